import importlib.util

import plotly.graph_objects as go
import pytest

from hyperinterp import block as blocks
from hyperinterp import report as package
from hyperinterp.errors import InputRefused
from hyperinterp.report import view
from hyperinterp.report.schema import BLOCKS, Report


def test_plot_and_frame_of_every_block(complete: Report) -> None:
    for name in BLOCKS:
        assert isinstance(complete.plot(name), go.Figure)
        frame = complete.frame(name)
        assert len(frame) > 0
        assert "<table>" in complete.view(name)._repr_html_()
    assert list(complete.frame("claims")["claim"]) == list(complete.claims)


def test_choices_reach_the_figure(complete: Report) -> None:
    figure = complete.plot("geometry", "profile", measure="d90", site="attn")
    assert figure.layout.yaxis.title.text == "PCA dimension 90 %"
    assert len(complete.frame("geometry", "sites")) == 92


def test_a_block_alone_has_the_same_view(complete: Report) -> None:
    assert complete.static_bias is not None
    alone = view(complete.static_bias)
    assert alone.name == "static_bias"
    assert alone.plot("alpha").to_json() == complete.plot("static_bias", "alpha").to_json()
    assert "alpha" in repr(alone)


def test_errors_say_what_there_is(complete: Report, sparse: Report) -> None:
    with pytest.raises(InputRefused, match="not in this report: not asked for"):
        sparse.plot("geometry")
    with pytest.raises(InputRefused, match="expected one of"):
        complete.plot("nonsense")
    with pytest.raises(InputRefused, match="'profile'"):
        complete.plot("geometry", "nonsense")
    with pytest.raises(InputRefused, match="'sites'"):
        complete.frame("geometry", "nonsense")
    with pytest.raises(TypeError, match="expected a block"):
        view("geometry")


def test_frames_need_pandas(complete: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputRefused, match=r"hyperinterp\[frames\]"):
        complete.frame("geometry")


def test_repr_html_is_escaped_and_complete(complete: Report) -> None:
    made = complete._repr_html_()
    assert "runs/full &lt;s&gt;" in made
    assert all(claim.id in made for claim in complete.claims.values())
    assert "<script" not in made


def test_package_is_light() -> None:
    assert package.Report is Report
    with pytest.raises(AttributeError):
        _ = package.nonsense


def test_every_block_draws_itself(complete: Report) -> None:
    for name in BLOCKS:
        block = getattr(complete, name)
        assert block.plot().to_json() == complete.plot(name).to_json()
        assert block.to_frame().equals(complete.frame(name))
        assert block._repr_html_() == complete.view(name)._repr_html_()
        figures = block.names()
        assert list(figures) == [chart.name for chart in complete.view(name).charts]


def test_names_are_what_plot_takes(complete: Report) -> None:
    assert complete.geometry is not None
    options = complete.geometry.names()["profile"]
    assert "d90" in options["measure"]
    figure = complete.geometry.plot("profile", measure=options["measure"][1])
    assert figure.to_json() != complete.geometry.plot("profile").to_json()


def test_a_block_without_a_viewer_says_what_to_import(
    complete: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complete.geometry is not None
    monkeypatch.setattr(blocks, "_VIEWERS", [])
    with pytest.raises(RuntimeError, match=r"hyperinterp\.report"):
        complete.geometry.plot()
