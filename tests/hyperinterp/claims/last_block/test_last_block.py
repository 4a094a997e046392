import logging
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from hyperinterp.analyses.predictions import gain_share
from hyperinterp.capture import chosen_positions
from hyperinterp.claims import last_block
from hyperinterp.claims.last_block import measurement
from hyperinterp.claims.last_block import stitched as stitched_module
from hyperinterp.claims.last_block.patches import (
    INTO_BASE,
    INTO_FITTED,
    depths,
    null_layers,
    planned,
    together,
)
from hyperinterp.claims.last_block.patching import patched_everywhere
from hyperinterp.claims.last_block.stitched import planned_models
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.generation import GREEDY
from hyperinterp.models import Component, ComponentKind, blocks, paths_of

from ..tiny import changed, hooked_like, tiny, with_donor_weights

NO_TEXT = {"stitched": 0, "components": True}


@pytest.fixture
def no_text(monkeypatch):
    """C6 without generation, for the tests that are not about text."""
    monkeypatch.setattr(measurement, "stitched_texts", lambda *_: ())


def _of(block, kind, direction):
    return [t for t in block.patches if t.kind == kind and t.direction == direction]


# -- planted pairs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "where"), [("first block", 0), ("middle block", 1), ("last block", 2)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_change_in_one_block_is_found_there_and_nowhere_else(
    planted, make_study, no_text, kind, where, seed
):
    block, claim = evaluated(last_block.CLAIM, make_study(planted(kind, seed), **NO_TEXT))
    assert block.largest_block == where
    for direction in (INTO_BASE, INTO_FITTED):
        for component in ("block", "attention", "MLP"):
            for item in _of(block, component, direction):
                inside = item.layers == (where,)
                assert (item.recovered_kl.value == 0.0) != inside
                assert (item.kl_to_recipient.value == 0.0) != inside
        assert _of(block, "block", direction)[where].recovered_kl.value == 1.0
        assert _of(block, "block", direction)[where].agreement.value == 1.0
        for component in ("final norm", "unembedding"):
            assert _of(block, component, direction)[0].recovered_kl.value == 0.0
    outcomes = [condition.outcome for condition in claim.conditions]
    if where == 2:
        assert outcomes[:3] == [Verdict.SUPPORTED] * 3
        assert claim.verdict is Verdict.INCONCLUSIVE  # no text was written
        assert block.nulls[0].recovered_kl[2] < 0.5
    else:
        assert outcomes[0] is outcomes[1] is Verdict.NOT_SUPPORTED
        assert claim.verdict is Verdict.NOT_SUPPORTED
        assert block.last_contrast.value == pytest.approx(-1.0)


def test_a_model_with_itself_supports_nothing(planted, make_study):
    study = make_study(planted("itself"))
    block, claim = evaluated(last_block.CLAIM, study)
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert all(condition.outcome is Verdict.NOT_SUPPORTED for condition in claim.conditions)
    assert all(item.recovered_kl.value == 0.0 for item in block.patches)
    assert all(item.kl_to_donor.value == 0.0 for item in block.patches)
    assert block.nulls == ()
    assert block.behaviour.value == 0.0
    assert [item.ttr for item in block.stitched[1:]] == [block.stitched[0].ttr]
    assert any(
        "3 of 3 blocks have equal weights and settings" in warning
        for warning in study.run.log.warnings
    )
    assert block.patches[0].recovered_logit.reason


@pytest.mark.parametrize("kind", ["temperature", "static bias"])
def test_a_change_of_the_unembedding_belongs_to_the_unembedding(planted, make_study, no_text, kind):
    block, claim = evaluated(last_block.CLAIM, make_study(planted(kind), **NO_TEXT))
    assert claim.verdict is Verdict.NOT_SUPPORTED
    for item in block.patches:
        assert item.recovered_kl.value == (1.0 if item.kind == "unembedding" else 0.0)


def test_a_change_of_the_embedding_belongs_to_no_part(make_tiny, make_study, no_text):
    base = make_tiny()
    generator = torch.Generator().manual_seed(1)
    fitted = changed(
        base,
        lambda hf: hf.model.embed_tokens.weight.add_(
            torch.randn(hf.model.embed_tokens.weight.shape, generator=generator)
        ),
    )
    block, claim = evaluated(last_block.CLAIM, make_study((base, fitted), **NO_TEXT))
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert all(item.recovered_kl.value == 0.0 for item in block.patches)
    assert block.patches[0].kl_to_donor.value > 0.1


def test_a_change_of_all_blocks_needs_all_blocks(make_tiny, make_study, no_text):
    base, other = make_tiny(0), make_tiny(1)
    fitted = hooked_like(base, with_donor_weights(base, other, ["model.layers"]))
    block, claim = evaluated(last_block.CLAIM, make_study((base, fitted), **NO_TEXT))
    for direction in (INTO_BASE, INTO_FITTED):
        for kind in ("last k", "first k"):
            *few, every = _of(block, kind, direction)
            assert every.layers == (0, 1, 2)
            assert every.recovered_kl.value == 1.0
            assert all(item.recovered_kl.value < 0.9 for item in few)
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert len(block.nulls) == 1
    assert block.nulls[0].layer == 2
    assert (
        block.nulls[0].recovered_kl[0]
        <= block.nulls[0].recovered_kl[1]
        <= block.nulls[0].recovered_kl[2]
    )


def test_supported_when_the_last_block_moves_predictions_and_text(
    make_tiny, make_study, monkeypatch
):
    """A planted last block whose text gains diversity: everything that C6 asks for holds."""
    base = make_tiny(0)

    def loop(hf):  # the base's last block drowns the stream in one direction: it repeats a token
        hf.model.layers[-1].mlp.down_proj.weight.mul_(0)
        hf.model.layers[-1].self_attn.o_proj.weight.mul_(0)
        hf.model.layers[-1].mlp.down_proj.weight[0].fill_(30.0)

    stuck = changed(base, loop, "base")
    block, claim = evaluated(last_block.CLAIM, make_study((stuck, base), control_prompts=16))
    assert block.behaviour.value == pytest.approx(1.0)
    assert claim.verdict is Verdict.SUPPORTED, claim.why
    assert block.stitched[0].label == "base + fitted block 2"
    assert block.stitched[1].label == "fitted + base block 2"
    assert block.stitched[1].gain_share.value == pytest.approx(0.0, abs=1e-12)
    own = {item.label: item for item in block.unchanged}
    assert [(name, item.gain_share.value) for name, item in own.items()] == [
        ("base", 0.0),
        ("fitted", 1.0),
    ]
    assert own["fitted"].ttr == block.stitched[0].ttr  # the last block is all that differs
    assert own["base"].ttr == block.stitched[1].ttr


# -- oracles -----------------------------------------------------------------------------------


def _kl(p_logits, q_logits):
    p, q = (torch.softmax(x.double(), -1).numpy() for x in (p_logits, q_logits))
    return rel_entr(p, q).sum(-1)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma2", "opt"])
def test_equals_full_forwards_of_models_with_swapped_weights(
    family, make_tiny, make_study, no_text
):
    tokenizer = make_tiny().tokenizer
    pair = {way: tiny(family, tokenizer, seed) for seed, way in enumerate((INTO_BASE, INTO_FITTED))}
    base, fitted = pair.values()
    study = make_study((base, fitted), patch_prompts=3, contexts_per_prompt=5, **NO_TEXT)
    block, _ = evaluated(last_block.CLAIM, study)
    rows = torch.tensor([row[:10] for row in study.heldout.rows.rows[:3]])
    where = chosen_positions(rows.shape[1], 5)
    assert block.n_contexts == 3 * len(where)
    every = (*planned(base, inside=True), *together(base.n_layers, range(base.n_layers)))
    found = {item.label + item.kind: item.components for item in every}
    for item in block.patches:
        recipient, donor = (base, fitted) if item.direction == INTO_BASE else (fitted, base)
        chosen = found[item.label + item.kind]
        paths = [path for one in chosen for path in paths_of(recipient, one)]
        stitched = with_donor_weights(recipient, donor, paths)
        if item.kind == "unembedding" and recipient.hf.config.tie_word_embeddings:
            continue  # the weights of a tied pair cannot be patched at one end by loading them
        with torch.no_grad():
            models = (recipient.hf, donor.hf, stitched)
            ours, theirs, mixed = (model(input_ids=rows).logits[:, where] for model in models)
        assert item.kl_to_donor.value == pytest.approx(_kl(theirs, mixed).mean(), abs=1e-5)
        assert item.kl_to_recipient.value == pytest.approx(_kl(ours, mixed).mean(), abs=1e-5)
        recovered = 1 - _kl(theirs, mixed).sum() / _kl(theirs, ours).sum()
        assert item.recovered_kl.value == pytest.approx(recovered, abs=1e-5)
        agreement = (mixed.argmax(-1) == theirs.argmax(-1)).float().mean()
        assert item.agreement.value == pytest.approx(float(agreement), abs=1e-6)
        best, mine = theirs.argmax(-1, keepdim=True), ours.argmax(-1, keepdim=True)
        apart = (best != mine).squeeze(-1)
        gaps = [
            float((x.gather(-1, best) - x.gather(-1, mine)).squeeze(-1)[apart].sum())
            for x in (mixed, ours, theirs)
        ]
        share = (gaps[0] - gaps[1]) / (gaps[2] - gaps[1])
        assert item.recovered_logit.value == pytest.approx(share, abs=1e-4)
        before = float((~apart).float().mean())
        assert block.agreement.value == pytest.approx(before, abs=1e-6)


def test_the_unembedding_of_a_tied_model_moves_alone(make_tiny, make_study, no_text):
    tokenizer = make_tiny().tokenizer
    base, fitted = tiny("gpt2", tokenizer, 0), tiny("gpt2", tokenizer, 1)
    block, _ = evaluated(last_block.CLAIM, make_study((base, fitted), patch_prompts=2, **NO_TEXT))
    rows = torch.tensor(make_study((base, fitted)).heldout.rows.rows[:2])
    where = chosen_positions(rows.shape[1], None)
    hidden = base.run(rows)[:, where]
    mixed = hidden @ fitted.hf.lm_head.weight.detach().T
    item = _of(block, "unembedding", INTO_BASE)[0]
    expected = _kl(fitted.logits(rows)[:, where], mixed).mean()
    assert item.kl_to_donor.value == pytest.approx(expected, abs=1e-5)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_replaying_a_donor_stream_agrees_with_transformer_lens(make_tiny):
    pytest.importorskip("transformer_lens")
    logger = logging.getLogger("transformers")
    level = logger.level
    from transformer_lens.model_bridge.sources import build_bridge_from_module
    from transformer_lens.patching import generic_activation_patch, layer_pos_patch_setter

    base, fitted = make_tiny(0), make_tiny(1)
    bridged, donor = (
        build_bridge_from_module(
            deepcopy(model.hf), "LlamaForCausalLM", hf_config=model.hf.config, tokenizer=None
        )
        for model in (base, fitted)
    )
    logger.setLevel(level)
    ids = torch.randint(0, 151, (2, 6), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        _, cache = donor.run_with_cache(ids)

        def metric(logits):
            return (logits[:, -1, 5] - logits[:, -1, 9]).mean()

        theirs = generic_activation_patch(
            bridged, ids, cache, metric, layer_pos_patch_setter, "resid_pre", ["layer", "pos"]
        )
    ours, given = base.record(ids), fitted.record(ids)
    for layer in range(base.n_layers):
        for position in range(ids.shape[1]):
            stream = ours.inputs[layer].clone()
            stream[:, position] = given.inputs[layer][:, position]
            with torch.no_grad():
                logits = base.lens(base.replay(ours, layer, stream))
            assert float(metric(logits)) == pytest.approx(float(theirs[layer, position]), abs=1e-4)


# -- cost --------------------------------------------------------------------------------------


def test_suffix_replay_runs_about_half_of_the_blocks(make_tiny, make_study):
    layers, rows, draws = 12, 4, 2
    tokenizer = make_tiny().tokenizer
    pair = tiny("llama", tokenizer, 0, layers), tiny("llama", tokenizer, 1, layers)
    study = make_study(pair, patch_prompts=rows, contexts_per_prompt=4, null_draws=draws)
    found = patched_everywhere(study)
    last = sum(k for k in depths(layers) if k > 1)
    first = 10 + sum(layers - k for k in (2, 3, 5, 10))  # what fewer blocks reached is used again
    one_way = layers * (layers + 1) // 2 + last + first
    assert found.executed == rows * (2 * layers + 2 * one_way + draws)
    assert found.executed < 0.56 * found.naive
    naive = 2 + 2 * (layers + 1 + 5 + 4) + draws  # new final norms are all ones: equal
    assert found.naive == rows * layers * naive


def test_the_corners_of_what_differs_are_measured():
    """Equal blocks are flat: a figure of points must hold those where the change comes in."""
    found = {
        kind: [len(item.components) for item in together(30, range(13, 17)) if item.kind == kind]
        for kind in ("last k", "first k")
    }
    assert found["last k"] == [1, 2, 3, 5, 10, 13, 17, 20, 30]
    assert found["first k"] == [1, 2, 3, 5, 10, 13, 17, 20, 30]
    late = [len(item.components) for item in together(30, range(26, 30)) if item.kind == "last k"]
    assert late == [1, 2, 3, 4, 5, 10, 20, 30]
    assert [len(item.components) for item in together(2, ())] == [1, 2, 1, 2]


def test_equal_blocks_cost_nothing(planted, make_study):
    found = patched_everywhere(make_study(planted("last block"), patch_prompts=4))
    assert found.executed == 4 * (2 * 3 + 2 * 1 + 2)  # two recordings, one patch each way, 2 draws


def test_does_not_depend_on_the_batch(make_tiny, make_study, no_text):
    pair = make_tiny(0), make_tiny(1)
    found = []
    for size in (1, 8):
        study = make_study(pair)
        study.run = replace(study.run, batch_size=size)
        found.append(evaluated(last_block.CLAIM, study)[0])
    for ours, theirs in zip(*(item.patches for item in found), strict=True):
        assert ours.kl_to_donor.value == pytest.approx(theirs.kl_to_donor.value, abs=1e-5)
    assert found[0].nulls[0].recovered_kl == pytest.approx(found[1].nulls[0].recovered_kl, abs=1e-5)
    assert found[0].replays == found[1].replays


def test_models_are_left_as_they_were(make_tiny, make_study):
    pair = make_tiny(0), make_tiny(1)
    before = [deepcopy(model.hf.state_dict()) for model in pair]
    modules = [list(model.hf.modules()) for model in pair]
    evaluated(last_block.CLAIM, make_study(pair, components=True))
    for model, state, found in zip(pair, before, modules, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in model.hf.state_dict().items())
        assert list(model.hf.modules()) == found
        assert not any(module._forward_hooks for module in model.hf.modules())


# -- plans -------------------------------------------------------------------------------------


def test_the_mlp_of_opt_lies_in_two_modules_and_moves_whole(make_tiny, make_study, no_text):
    tokenizer = make_tiny().tokenizer
    study = make_study((tiny("opt", tokenizer, 0), tiny("opt", tokenizer, 1)), **NO_TEXT)
    block, _ = evaluated(last_block.CLAIM, study)
    assert len(paths_of(study.base, Component(ComponentKind.MLP, 0))) == 2
    assert len(_of(block, "MLP", INTO_BASE)) == study.base.n_layers
    assert not any("MLP" in warning for warning in study.run.log.warnings)


def test_weights_outside_attention_and_mlp_are_told(make_tiny, make_study, no_text):
    pair = make_tiny(0), make_tiny(1)
    for model in pair:
        for layer in model.blocks:
            layer.gate = torch.nn.Linear(4, 4)
    study = make_study(pair, **NO_TEXT)
    block, _ = evaluated(last_block.CLAIM, study)
    assert _of(block, "attention", INTO_BASE)
    assert not _of(block, "MLP", INTO_BASE)
    assert any("MLP" in warning for warning in study.run.log.warnings)


def test_null_blocks_are_the_last_one_and_others_evenly():
    every = range(30)
    assert null_layers(every, 30, 1) == (29,)
    assert null_layers(every, 30, 4) == (29, 4, 14, 24)
    assert sorted(null_layers(every, 30, 64)) == list(range(30))
    assert null_layers(every, 30, 0) == ()
    assert null_layers([3], 30, 4) == (3,)


@pytest.mark.parametrize(
    ("layers", "expected"), [(1, (1,)), (3, (1, 2, 3)), (30, (1, 2, 3, 5, 10, 20, 30))]
)
def test_depths(layers, expected):
    assert depths(layers) == expected


def test_stitched_models_come_in_the_order_of_interest_and_once_each():
    labels = [item.label for item in planned_models(30, 12)]
    assert labels[:6] == [
        "base + fitted block 29",
        "fitted + base block 29",
        "base + fitted blocks 25-29",
        "base + fitted blocks 0-24",
        "base + fitted block 12",
        "base + fitted blocks 10-19",
    ]
    assert len(set(labels)) == len(labels) >= 16
    assert [item.label for item in planned_models(30, 29)][4] == "base + fitted blocks 10-19"
    assert [item.label for item in planned_models(1, 0)] == [
        "base + fitted block 0",
        "fitted + base block 0",
    ]


# -- behaviour ---------------------------------------------------------------------------------


def test_gain_share_is_a_ratio_of_sums():
    base = np.array([0.1, 0.2, 0.3, 0.2])
    fitted = base + np.array([0.4, 0.5, 0.3, 0.4])
    share = gain_share(base, fitted, base + 0.2)
    assert share.value == pytest.approx(0.8 / 1.6)
    assert share.lo < share.value < share.hi
    assert gain_share(base, fitted, fitted).value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [([0.1, -0.1, 0.2, -0.2], "not resolved"), ([-0.4, -0.5, -0.4, -0.5], "no gain")],
)
def test_a_share_of_no_gain_is_missing_with_the_reason(change, reason):
    base = np.full(4, 0.5)
    share = gain_share(base, base + np.array(change), base)
    assert share.value is None
    assert reason in share.reason
    assert gain_share(base[:1], base[:1] + 1, base[:1]).value is None
    assert gain_share(base[:0], base[:0], base[:0]).reason


def test_one_block_only_has_no_contrast(make_tiny, make_study, no_text):
    tokenizer = make_tiny().tokenizer
    pair = tiny("llama", tokenizer, 0, layers=1), tiny("llama", tokenizer, 1, layers=1)
    block, claim = evaluated(last_block.CLAIM, make_study(pair))
    assert "one block only" in block.last_contrast.reason
    assert claim.verdict is not Verdict.SUPPORTED


def test_stitched_text_is_generated_by_the_stitched_model(make_tiny, make_study):
    study = make_study((make_tiny(0), make_tiny(1)))
    stitched = planned_models(3, 2)[0]
    every = frozenset(blocks(range(3)))
    arm = stitched_module._order(study, stitched, every)
    written = stitched_module._written(study, "base", arm)
    hf = with_donor_weights(study.base, study.fitted, ["model.layers.2"])
    naive = hooked_like(study.base, hf)
    expected = study.shared.texts.write(naive, [replace(GREEDY, rows=study.heldout.control_rows)])[
        "greedy"
    ]
    assert written == expected
    assert stitched_module._order(study, stitched, frozenset()) is GREEDY
    own = stitched_module._written(study, "base", GREEDY)
    assert own.rows == study.shared.texts.greedy("base").rows[:6]


@pytest.mark.parametrize("layers", [1, 3, 6, 30])
@pytest.mark.parametrize("most", [0, 1, 4, 6, 16])
def test_models_that_are_planned_before_the_largest_block_is_known_are_in_every_plan(layers, most):
    known = planned_models(layers, None, most)
    plans = [set(planned_models(layers, largest, most)) for largest in range(layers)]
    assert set(known) <= set.intersection(*plans)
    assert len(known) >= most - 2 or set(known) == set.intersection(*plans)


def test_texts_of_known_stitched_models_are_written_with_all_others(make_tiny, make_study):
    study = make_study((make_tiny(0), make_tiny(1)), stitched=3)
    measurement.prepare(study)
    study.shared.texts.greedy("base")
    steps = []
    for model in (study.base, study.fitted):
        model.hf.register_forward_hook(lambda *_: steps.append(1))
    found = stitched_module.stitched_texts(study, 2, frozenset(blocks(range(3))))
    assert [item.label for item in found] == [it.label for it in planned_models(3, 2, 3)]
    assert not steps
