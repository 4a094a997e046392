"""C5 on planted pairs: it finds the block that grew, and says no when there is none."""

from dataclasses import replace

import pytest

from hyperinterp.claims import expansion
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict

from ..planted import expand, flatten


@pytest.fixture
def judged(planted, make_study):
    def run(kind, seed=0, layer=None):
        base, fitted = planted(kind, seed)
        flatten(base)
        flatten(fitted)
        if layer is not None:
            expand(fitted, layer, seed)
        study = make_study((base, fitted), seed=seed, variants=("standardised", "unit_norm"))
        study.sizes = replace(study.sizes, parts=layer is None)
        return evaluated(expansion.CLAIM, study)

    return run


@pytest.mark.parametrize("seed", range(3))
def test_an_expansion_of_the_last_block_is_found(judged, seed):
    block, claim = judged("itself", seed, layer=2)
    assert block.largest_block == "resid.2"
    assert claim.verdict is Verdict.SUPPORTED
    assert block.last_delta.lo > 0
    assert block.delta()["resid.1"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_an_expansion_of_a_middle_block_is_not_called_terminal(judged, seed):
    block, claim = judged("itself", seed, layer=1)
    assert block.largest_block == "resid.1"
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert block.contrast.hi <= 0


@pytest.mark.parametrize("kind", ["itself", "temperature", "static bias"])
def test_a_change_after_the_stream_changes_nothing(judged, kind):
    block, claim = judged(kind)
    assert claim.verdict is Verdict.NOT_SUPPORTED
    for site in block.sites:
        assert site.drift == 0
        assert site.cka == pytest.approx(1, abs=1e-5)
        for name, pair in site.metrics.items():
            assert pair.delta.value in (None, 0.0), name


def test_the_block_says_where_the_new_dimensions_lie(judged):
    block, _ = judged("itself", layer=2)
    last = next(site for site in block.sites if site.key == "resid.2")
    assert last.outside["fitted"] > last.outside["base"]
    assert last.pre_norm
    final = next(site for site in block.sites if site.key == "final_norm")
    assert not final.pre_norm
    assert block.final_norm_gain.value is not None
    assert set(block.contrast_variants) >= {"pr", "effective_rank@standardised", "d90@unit_norm"}
    assert last.metrics["pr"].delta.value == pytest.approx(
        last.metrics["pr"].fitted.value - last.metrics["pr"].base.value
    )
    assert "resid.2" in block.delta("pr")
