"""The seed of a run reaches every draw: no resampling keeps a seed of its own."""

import ast
import inspect
from pathlib import Path

import pytest

import hyperinterp
import probes
from hyperinterp.analyses import trace as traced
from hyperinterp.claims import expansion, last_block
from hyperinterp.claims.running import evaluated

SEEDED = {
    name
    for name in probes.__all__
    if inspect.isfunction(getattr(probes, name))
    and "seed" in inspect.signature(getattr(probes, name)).parameters
}


def unseeded(source):
    """Lines that call a probe that draws, or hand one on, without a seed from outside."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            named = {item.id for item in (node.func, *node.args) if isinstance(item, ast.Name)}
            seeds = [item.value for item in node.keywords if item.arg == "seed"]
            if named & SEEDED and not (seeds and not isinstance(seeds[0], ast.Constant)):
                found.append(node.lineno)
    return found


def test_every_draw_is_given_the_seed():
    assert {"bootstrap", "bootstrap_contrast", "permutation_test", "self_bleu"} <= SEEDED
    assert unseeded("bootstrap(x)") == unseeded("resampled(bootstrap, x, seed=0)") == [1]
    assert unseeded("bootstrap(x, seed=study.run.seed)") == []
    root = Path(hyperinterp.__file__).parent
    wrong = {
        path.name: lines
        for path in sorted(root.rglob("*.py"))
        if (lines := unseeded(path.read_text(encoding="utf-8")))
    }
    assert wrong == {}


@pytest.fixture
def ends(make_tiny, make_study):
    """A function (figure of a study, seed) -> its value and its ends."""
    pair = make_tiny(0), make_tiny(1)

    def run(figure, seed):
        study = make_study(pair, seed=seed, stitched=0)
        found = figure(study)
        return found.value, found.lo, found.hi

    return run


def _expansion(study):
    return evaluated(expansion.CLAIM, study)[0].contrast


def _last_block(study):
    return evaluated(last_block.CLAIM, study)[0].last_contrast


def _growth(study):
    base = traced.side(study, study.base, "base")
    fitted = traced.side(study, study.fitted, "fitted")
    return traced.beside(study, base, study.fitted, fitted).growth.contrast


@pytest.mark.parametrize("figure", [_expansion, _last_block, _growth])
def test_another_seed_resamples_otherwise(ends, figure):
    first = ends(figure, 0)
    assert ends(figure, 0) == first
    other = ends(figure, 1)
    assert other[0] == pytest.approx(first[0])
    assert other[1] != first[1]
