"""C5 on planted pairs: it finds the block that grew, and says no when there is none."""

from dataclasses import replace

import pytest
import torch

from hyperinterp.claims import expansion
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.runs import visibility
from hyperinterp.sites import Site, SiteKind

from ..conftest import word_tokenizer
from ..planted import expand, flatten, make_room, planted_twin, settle
from ..tiny import tiny


@pytest.fixture
def judged(planted, make_study):
    def run(kind, seed=0, layer=None):
        base, fitted = planted(kind, seed)
        flatten(base)
        flatten(fitted)
        if layer is not None:
            expand(fitted, layer, seed)
        study = make_study((base, fitted), seed=seed, variants=("standardised", "unit_norm"))
        study.sizes = replace(study.sizes, components=layer is None)
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


# -- what the logits see -----------------------------------------------------------------------


def centred_ratio(logits):
    """Participation ratio of the covariance of logits, the mean over the vocabulary taken away."""
    rows = (logits - logits.mean(-1, keepdim=True)).double().flatten(0, -2)
    values = torch.linalg.eigvalsh(torch.cov(rows.T, correction=0))
    return float(values.sum() ** 2 / values.square().sum())


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gemma2"])
def test_the_seen_dimension_is_that_of_the_logits(make_study, family):
    base, fitted = (tiny(family, word_tokenizer(), seed) for seed in (0, 1))
    for model in (base, fitted):
        norm = model.final_norm
        with torch.no_grad():
            norm.weight += torch.linspace(0, 1, len(norm.weight))
    study = make_study((base, fitted), prompts=8, variants=("visible",))
    block, _ = evaluated(expansion.CLAIM, study)
    ids = torch.tensor(study.heldout.rows.rows)
    by_key = {site.key: site for site in block.sites}
    for role, model in (("base", base), ("fitted", fitted)):
        weight = model.hf.get_output_embeddings().weight.detach()
        final, gain = model.run(ids)[:, 1:], model.final_norm.weight.detach()
        found = getattr(by_key["final_norm"].metrics["pr@visible"], role).value
        assert found == pytest.approx(centred_ratio(final @ weight.T), rel=1e-5)
        last = Site(SiteKind.RESID, 2)
        stream = model.activations(ids, [last])[last][:, 1:]
        if family == "gpt_neox":  # a layer norm
            read = (stream - stream.mean(-1, keepdim=True)) * gain
        else:
            read = stream * (gain + (family == "gemma2"))
        found = getattr(by_key["resid.2"].metrics["pr@visible"], role).value
        assert found == pytest.approx(centred_ratio(read @ weight.T), rel=1e-5)
    assert all(pair.delta.lo is not None for pair in (by_key["resid.2"].metrics["pr@visible"],))
    assert "pr_corrected@visible" in block.contrast_variants
    assert {"raw_delta", "seen_delta"} <= set(block.to_frame("visible").columns)
    assert block.plot("profile", rows="visible").data
    beside = block.plot("seen").data
    for key, name in (("pr_corrected", "raw stream"), ("pr_corrected@visible", "as the logits")):
        drawn = [trace for trace in beside if (trace.name or "").startswith(name)]
        shown = [value for trace in drawn for value in trace.y]
        assert shown == [site.metrics[key].delta.value for site in block.sites]


def test_growth_that_no_logit_reads_is_not_seen(make_study):
    base = tiny("llama", word_tokenizer(), 0)
    settle(base)
    make_room(base, blind=True)
    twin = planted_twin(base, "carried expansion", 1)
    study = make_study((base, twin), prompts=8, variants=("visible",))
    block, _ = evaluated(expansion.CLAIM, study)
    last = next(site for site in block.sites if site.key == block.last_block)
    assert abs(last.metrics["pr"].delta.value) > 1
    assert last.metrics["pr@visible"].delta.value == pytest.approx(0, abs=1e-4)


def test_an_unembedding_that_is_no_matrix_is_told(make_study, planted, monkeypatch):
    monkeypatch.setattr(visibility, "readable", lambda model: model.name != "base")
    study = make_study(planted("last block"), prompts=8, variants=("visible",))
    block, _ = evaluated(expansion.CLAIM, study)
    assert not any("visible" in key for site in block.sites for key in site.metrics)
    assert any("no plain matrix" in warning for warning in study.run.log.warnings)
