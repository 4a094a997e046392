import importlib.util
import re
from pathlib import Path
from types import ModuleType

import plotly.graph_objects as go
import pytest

from hyperinterp import report as package
from hyperinterp.claims.registry import CLAIMS
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.drawing.rendering import dataset
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.table import table
from hyperinterp.errors import InputRefused
from hyperinterp.report.schema import Report

NAMES = (*(spec.slug for spec in CLAIMS), "training_curve")


def test_plot_and_frame_of_every_block(complete: Report) -> None:
    for name in NAMES:
        assert isinstance(complete.plot(name), go.Figure)
        frame = complete.to_frame(name)
        assert len(frame) > 0
        assert "<table>" in complete.view(name)._repr_html_()
    assert list(complete.to_frame()["claim"]) == list(complete.claims)
    assert list(complete.to_frame()["verdict"]) == [
        str(c.verdict) for c in complete.claims.values()
    ]
    assert len(complete.to_frame("conditions")) > len(complete.claims)


def test_tables_become_data_sets(complete: Report) -> None:
    for name in (*NAMES, "claims", "conditions"):
        made, frame = complete.to_dataset(name), complete.to_frame(name)
        assert made.column_names == list(frame.columns)
        assert len(made) == len(frame) > 0
    sites = complete.expansion.to_dataset("sites")
    assert sites["site"][0] == complete.expansion.sites[0].key
    mixed = dataset(table("x", "X", [{"a": 1, "b": True}, {"a": 2.5, "b": "no"}, {"a": None}]))
    assert mixed["a"][:] == [1.0, 2.5, None]
    assert mixed["b"][:] == ["True", "no", None]
    with pytest.raises(InputRefused, match="expected one of"):
        complete.expansion.to_dataset("nonsense")


def test_the_page_on_frames_names_every_table(complete: Report) -> None:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "training.md"
    rows = re.findall(r"^\| `(\w+)` \| (`.+`) \|$", page.read_text("utf-8"), flags=re.MULTILINE)
    named = {block: re.findall(r"`(\w+)`", cell) for block, cell in rows}
    assert list(named) == list(NAMES)
    for block, names in named.items():
        there = [item.name for item in complete.view(block).tables() if item.rows]
        assert names == there


def test_choices_reach_the_figure(complete: Report) -> None:
    figure = complete.plot("expansion", "profile", measure="d90", site="attn")
    assert figure.layout.yaxis.title.text == "PCA dimension 90 %"
    assert len(complete.to_frame("expansion", "sites")) == 32
    assert len(complete.to_frame("expansion", "components")) == 60


def test_a_long_legend_has_room_above_the_plot() -> None:
    def top(*names: str) -> float:
        sketch = Sketch()
        for name in names:
            sketch.add("scatter", x=[0], y=[0], name=name)
        return sketch.figure("Title", 300, ("sample",)).layout.margin.t

    assert top("base", "fitted") == top("base") == top()
    long = [f"base sampled at T = {n}" for n in range(7)]  # three columns, three rows
    assert top(*long) == top() + 2 * 19


def test_a_block_alone_has_the_same_view(complete: Report) -> None:
    alone = complete.static_bias
    assert alone.plot("alpha").to_json() == complete.plot("static_bias", "alpha").to_json()
    assert "alpha" in alone.names()


def test_errors_say_what_there_is(complete: Report, sparse: Report) -> None:
    with pytest.raises(InputRefused, match="not in this report: not asked for"):
        sparse.plot("expansion")
    with pytest.raises(InputRefused, match="expected one of"):
        complete.plot("nonsense")
    with pytest.raises(InputRefused, match="'profile'"):
        complete.plot("expansion", "nonsense")
    with pytest.raises(InputRefused, match="'sites'"):
        complete.to_frame("expansion", "nonsense")


def test_frames_need_pandas(complete: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputRefused, match=r"hyperinterp\[frames\]"):
        complete.to_frame("expansion")


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
    for name in NAMES:
        block = getattr(complete, name)
        assert block.plot().to_json() == complete.plot(name).to_json()
        assert block.to_frame().equals(complete.to_frame(name))
        assert block._repr_html_() == complete.view(name)._repr_html_()
        figures = block.names()
        assert list(figures) == [chart.name for chart in complete.view(name).charts()]


def test_names_are_what_plot_takes(complete: Report) -> None:
    assert complete.expansion is not None
    options = complete.expansion.names()["profile"]
    assert "d90" in options["measure"]
    figure = complete.expansion.plot("profile", measure=options["measure"][1])
    assert figure.to_json() != complete.expansion.plot("profile").to_json()


def test_reprs_are_a_line_or_two_and_change_nothing_else(
    complete: Report, factory: ModuleType
) -> None:
    again = Report.from_json(complete.to_json())
    assert again == complete
    assert hash(complete.claims["C1"]) == hash(again.claims["C1"])
    assert complete != factory.complete(seed=1)
    things: list[object] = [complete, complete.provenance, *complete.claims.values()]
    things += [getattr(complete, name) for name in NAMES]
    assert complete.reranking is not None
    assert complete.expansion is not None
    things += [
        complete.reranking.teacher_forced,
        complete.reranking.lens,
        complete.expansion.sites[0],
    ]
    for item in things:
        shown = repr(item)
        assert shown.startswith(type(item).__name__)
        assert len(shown) < 400
        assert shown.count("\n") < 2
    assert all(
        f"{claim.id} {claim.verdict}" in repr(complete) for claim in complete.claims.values()
    )
    assert "n = 24" in repr(complete)


def test_reprs_of_figures_are_rounded() -> None:
    third = Measured(1 / 3, 0.25, 0.5, 24, "prompt", "jackknife")
    assert repr(third) == "Measured(0.3333 [0.25, 0.5], n = 24 prompts)"
    assert repr(missing("too short")) == "Measured(None: too short)"
    assert repr(Pair(third, third, Measured(0.0))) == (
        "Pair(base=0.3333 [0.25, 0.5], fitted=0.3333 [0.25, 0.5], delta=0)"
    )
    assert third.value == 1 / 3
