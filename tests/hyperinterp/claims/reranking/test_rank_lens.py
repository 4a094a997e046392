"""The lens by depth, against transformer-lens's own logit lens."""

import logging
from copy import deepcopy

import pytest
import torch

from hyperinterp.claims import expansion, reranking
from hyperinterp.claims.reranking.lens import lens_profile
from hyperinterp.claims.running import evaluated
from hyperinterp.runs import depths
from hyperinterp.sites import Site, SiteKind, block_outputs
from probes import lens_ranks

from ..tiny import tiny

ARCHITECTURES = {"llama": "LlamaForCausalLM", "gpt_neox": "GPTNeoXForCausalLM"}


def bridge(model, architecture):
    """The same weights behind transformer-lens."""
    logger = logging.getLogger("transformers")
    level = logger.level
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    bridged = build_bridge_from_module(
        deepcopy(model.hf), architecture, hf_config=model.hf.config, tokenizer=None
    )
    logger.setLevel(level)
    return bridged


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("family", ARCHITECTURES)
def test_ranks_at_every_depth_are_those_of_transformer_lens(make_tiny, family):
    model = tiny(family, make_tiny().tokenizer, seed=3)
    ids = torch.randint(0, 151, (2, 7), generator=torch.Generator().manual_seed(1))
    targets = ids.roll(-1, 1)
    bridged = bridge(model, ARCHITECTURES[family])
    from transformer_lens.tools.analysis.logit_lens import logit_lens

    with torch.no_grad():
        theirs = logit_lens(bridged, ids, positions=None, targets=targets).readout.target_ranks
    sites = [Site(SiteKind.EMBED), *block_outputs(model.n_layers)]
    streams = {}
    model.run(ids, sites, lambda site, tensor: streams.__setitem__(site, tensor.clone()))
    hidden = torch.stack([streams[site] for site in sites])
    ours = lens_ranks(hidden, targets, model.normalise, model.readout).ranks
    assert torch.equal(ours, theirs.reshape(ours.shape) + 1)


def test_the_profile_counts_every_overridden_decision_once(planted, make_study):
    study = make_study(planted("middle block"))
    profile = lens_profile(study)
    assert sum(profile.overtake) + profile.never == profile.n_contexts
    assert profile.depths[0] == "embedding"
    for line in profile.trajectories:
        assert line.fitted_rank_of_fitted[-1] == 1
        assert line.base_rank_of_fitted[-1] > 1
        assert line.base_token != line.fitted_token
    early = 1 + study.base.n_layers // 2  # up to the changed block both models are one
    assert all(
        profile.base_median_rank[depth] == profile.fitted_median_rank[depth]
        for depth in range(early)
    )


def test_a_model_beside_itself_has_no_profile(planted, make_study):
    study = make_study(planted("itself"))
    assert lens_profile(study) is None


def test_streams_kept_by_the_run_for_the_intervals_are_those_of_the_model_itself(
    planted, make_study
):
    study = make_study(planted("middle block"), wanted=("moments", "followed"))
    evaluated(expansion.CLAIM, study)
    evaluated(reranking.CLAIM, study)
    assert study.run.log.forwards["base over the passages"] == 2
    assert study.run.log.forwards["fitted over the passages"] == 2
    assert not any("lens" in name for name in study.run.log.forwards)
    chosen = study.shared.followed
    alone = make_study((study.base, study.fitted))
    for role in ("base", "fitted"):
        kept, read = study.shared.streams(role), alone.shared.streams(role)
        for site in depths(study.base.n_layers):
            assert torch.allclose(kept[site], read[site], atol=1e-5)
            for index in (0, len(chosen.contexts) - 1):
                row = int(chosen.contexts.row[index])
                ids = torch.tensor([study.heldout.rows.rows[row]])
                found = study.model(role).activations(ids, [site])[site]
                wanted = found[0, chosen.contexts.position[index]]
                assert torch.allclose(kept[site][index], wanted, atol=1e-5)
    assert alone.run.log.forwards["base over the passages of the lens"] == 1
