"""A claim whose own work breaks costs its own row; the others are measured as without it."""

import math
from dataclasses import replace
from importlib import import_module

import pytest
from typer.testing import CliRunner

import hyperinterp as hi
from hyperinterp.claims.registry import CLAIMS
from hyperinterp.claims.spec import Verdict
from tests.hyperinterp import people

from .conftest import SIZES

WANTED = "C1,C4,C5"


@pytest.fixture
def given(words):
    return {"prompts": words(8), "sizes": replace(SIZES, prompts=8), "claims": WANTED}


@pytest.mark.parametrize("slug", ["diversity", "expansion", "reranking"])
@pytest.mark.parametrize("fault", ["raises", "NaN"])
def test_a_broken_claim_costs_its_own_row(slug, fault, given, tiny_pair, monkeypatch):
    base, fitted = tiny_pair
    whole = hi.compare(base, fitted, **given)
    spec = next(spec for spec in CLAIMS if spec.slug == slug)
    module = import_module(f"{spec.package}.measurement")
    honest = module.measure

    def broken(study):
        if fault == "raises":
            raise KeyError("planted")
        result = honest(study)
        name = next(k for k, v in vars(result).items() if isinstance(v, int | float | str))
        return replace(result, **{name: math.nan})

    monkeypatch.setattr(module, "measure", broken)
    report = hi.compare(base, fitted, **given)
    assert report.broken() == (spec.id,)
    row = report.claims[spec.id]
    assert row.verdict is Verdict.FAILED
    assert ("planted" if fault == "raises" else "nan") in row.why.lower()
    for name, claim in whole.claims.items():
        if name != spec.id:
            same = replace(claim, p_adjusted=None)  # Holm's adjustment is over fewer claims
            assert replace(report.claims[name], p_adjusted=None) == same
    assert hi.Report.from_json(report.to_json()).broken() == (spec.id,)


def test_the_command_ends_with_4_and_writes_the_report(tmp_path, monkeypatch):
    from hyperinterp.cli.app import app

    module = import_module("hyperinterp.claims.diversity.measurement")
    monkeypatch.setattr(module, "measure", lambda study: 1 / 0)
    texts = tmp_path / "p.txt"
    texts.write_text("\n".join(f"{n} is a number that {n * n} is the square of" for n in range(9)))
    pair = [str(people.base(tmp_path)), str(people.fitted(tmp_path))]
    more = ["--claims", "C1,C4", "--quick", "--prompts", str(texts), "--out", str(tmp_path / "r")]
    found = CliRunner().invoke(app, ["compare", *pair, *more])
    assert found.exit_code == 4, found.output
    report = hi.Report.read(tmp_path / "r")
    assert report.broken() == ("C1",)
    assert report.claims["C4"].conditions
    assert "division by zero" in (tmp_path / "r" / "report.md").read_text()
