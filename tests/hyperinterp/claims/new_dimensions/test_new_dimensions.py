from dataclasses import replace

import pytest
import torch

from hyperinterp.capture import chosen_positions, run_pair
from hyperinterp.claims import new_dimensions
from hyperinterp.claims.new_dimensions.directions import (
    COUNT,
    LEADING,
    NEW,
    RANDOM,
    WHOLE,
    Directions,
    estimated,
    whole,
)
from hyperinterp.claims.new_dimensions.interventions import (
    MEAN,
    Job,
    contexts_per_row,
    intervened,
    replaced,
)
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.models import edited
from hyperinterp.sites import Site, SiteKind
from hyperinterp.text import Passage, Passages
from probes import Moments

from ..conftest import word_tokenizer
from ..planted import make_room, planted_twin, settle
from ..tiny import changed, tiny

SMALL = {
    "new_tokens": 4, "window": 4, "prompts": 6, "null_draws": 2, "stitched": 1,
    "contexts_per_prompt": 4,
}  # fmt: skip
NO_TEXT = {
    "stitched": 0, "prompts": 4, "null_draws": 1, "dimension_blocks": 0, "contexts_per_prompt": 12,
}  # fmt: skip


def roomy(kind, family="llama", seed=0):
    """A settled base with unused dimensions, and its twin."""
    base = tiny(family, word_tokenizer(), seed)
    settle(base)
    make_room(base, blind=kind == "invisible expansion")
    return base, planted_twin(base, kind, seed + 1)


def basis_of(columns, kind=NEW):
    return Directions(kind, columns.shape[1], 0, columns.double(), 0.0)


def everything(width):
    return basis_of(torch.eye(width))


def logits_with(model, layer, ids, change):
    """A plain hook on the Hugging Face model: position 0 is left alone."""

    def hook(_module, _given, output):
        stream = output if isinstance(output, torch.Tensor) else output[0]
        return torch.cat([stream[:, :1], change(stream[:, 1:])], 1)

    handle = model.hf.get_decoder().layers[layer].register_forward_hook(hook)
    with torch.no_grad():
        found = model.hf(input_ids=ids, use_cache=False).logits
    handle.remove()
    return found


# -- planted pairs -----------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_an_expansion_that_alone_moves_the_choice_is_found(make_study, family):
    study = make_study(
        roomy("carried expansion", family),
        dimension_blocks=0, null_draws=1, stitched=1, new_tokens=20, window=20,
        contexts_per_prompt=16,
    )  # fmt: skip
    result, claim = evaluated(new_dimensions.CLAIM, study)
    assert claim.verdict is Verdict.SUPPORTED
    assert result.declared == 2  # of 8: those that the logits read
    assert result.available == 8
    (every,) = result.of(WHOLE)
    assert every.moved.value == 1.0  # the base's norm and unembedding: the base itself
    assert every.recovered_kl.value == 1.0
    assert every.disturbed.value == 0.0
    (back,) = result.of(WHOLE, recipient="base")
    assert back.moved.value == 1.0
    assert [item.label for item in result.texts[:2]] == ["base", "fitted"]


@pytest.mark.parametrize("kind", ["invisible expansion", "reordering"])
def test_what_new_dimensions_do_not_carry_is_not_supported(make_study, kind):
    study = make_study(roomy(kind), **NO_TEXT)
    result, claim = evaluated(new_dimensions.CLAIM, study)
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert result.override_rate.value > 0.5
    assert result.undone.hi < 0.5
    assert (result.growth > 0.4) == (kind == "invisible expansion")


@pytest.mark.parametrize("kind", ["itself", "temperature", "static bias"])
def test_without_growth_or_overrides_nothing_is_undone(planted, make_study, kind):
    sizes = SMALL | {"contexts_per_prompt": None}
    result, claim = evaluated(new_dimensions.CLAIM, make_study(planted(kind), **sizes))
    assert claim.verdict is Verdict.NOT_SUPPORTED
    assert claim.effect == 0.0
    assert result.declared == result.available == 0
    assert (result.override_rate.value > 0) == (kind == "static bias")
    assert all(item.undone.value == 0.0 for item in result.profile)
    assert new_dimensions.CLAIM.part("words", "caveat")(claim, result)


def test_overrides_in_one_prompt_alone_leave_it_open(make_tiny, make_study):
    """One passage has a word that the others have not, and the twin reads that word otherwise."""
    numbers = range(2, 24)
    texts = [" ".join(f"w{(7 * row + n) % 100}" for n in numbers) for row in range(4)]
    texts[1] += " w150 w1"

    def silent(hf):  # a word is seen where it stands, and nowhere else
        for block in hf.model.layers:
            block.self_attn.o_proj.weight.zero_()

    base = changed(make_tiny(), silent, "base")
    twin = changed(base, lambda hf: hf.model.embed_tokens.weight[150].neg_())
    passages = Passages(tuple(Passage(str(n), text) for n, text in enumerate(texts)), "words")
    result, claim = evaluated(
        new_dimensions.CLAIM,
        make_study((base, twin), passages=passages, **(NO_TEXT | {"contexts_per_prompt": None})),
    )
    assert 0 < result.override_rate.value < 0.2
    assert result.undone.value is None
    assert "prompt left out" in result.undone.reason
    assert claim.verdict is Verdict.INCONCLUSIVE


# -- interventions -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(planted):
    return planted("middle block")


@pytest.fixture(scope="module")
def study(make_study, pair):
    return make_study(pair, **NO_TEXT)


def test_removing_nothing_changes_nothing_to_the_bit(study):
    none, width = torch.zeros(32, 0), study.base.d_model
    jobs = [Job(role, layer, basis_of(none)) for role in ("base", "fitted") for layer in range(3)]
    jobs += [Job("fitted", 2, basis_of(none), MEAN, torch.ones(width))]
    found = intervened(study, study.heldout.rows, jobs, "")
    for job, effect in zip(jobs, found.effects, strict=True):
        same = found.unchanged[job.recipient]
        assert torch.equal(effect.choice, same.choice)
        assert torch.equal(effect.kl, same.kl)


def test_interchange_with_oneself_is_the_identity():
    draw = torch.Generator().manual_seed(0)
    stream = torch.randn(2, 5, 32, generator=draw)
    basis = torch.linalg.qr(torch.randn(32, 7, generator=draw)).Q
    assert torch.equal(replaced(Job("fitted", 2, basis_of(basis)), stream, stream), stream)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_whole_stream_of_the_donor_takes_the_place(dtype):
    draw = torch.Generator().manual_seed(0)
    stream, donor = torch.randn(2, 5, 32, generator=draw).to(dtype), torch.ones(2, 5, 32).to(dtype)
    found = replaced(Job("fitted", 2, everything(32)), stream, donor)
    assert found.dtype == dtype
    assert torch.equal(found, donor)


def test_all_directions_at_the_last_block_are_the_other_model(study):
    """The pair shares final norm and unembedding; at a block below, the fitted blocks run on."""
    jobs = [Job("fitted", 2, everything(32)), Job("base", 2, everything(32))]
    found = intervened(study, study.heldout.rows, jobs, "")
    for job, effect in zip(jobs, found.effects, strict=True):
        assert torch.equal(effect.choice, found.unchanged[job.donor].choice)
        assert torch.equal(effect.kl, torch.zeros_like(effect.kl))


def test_all_directions_at_the_last_block_keep_the_readout_of_the_recipient(planted, make_study):
    """A static bias of the unembedding stays: the streams are the same already."""
    study = make_study(planted("static bias"), **NO_TEXT)
    found = intervened(study, study.heldout.rows, [Job("fitted", 2, everything(32))], "")
    assert torch.equal(found.effects[0].choice, found.unchanged["fitted"].choice)
    assert not torch.equal(found.effects[0].choice, found.unchanged["base"].choice)


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("given", ["component", "mean"])
def test_an_intervention_is_a_plain_hook(study, pair, layer, given):
    base, fitted = pair
    draw = torch.Generator().manual_seed(layer)
    basis = torch.linalg.qr(torch.randn(32, 5, generator=draw)).Q
    mean = torch.randn(32, generator=draw)
    job = Job("fitted", layer, basis_of(basis))
    if given == "mean":
        job = replace(job, given=MEAN, mean=mean)
    found = intervened(study, study.heldout.rows, [job], "")
    ids = torch.tensor(study.heldout.rows.rows)
    with torch.no_grad():
        streams = base.hf(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    theirs = base.activations(ids, [Site(SiteKind.RESID, layer)])[Site(SiteKind.RESID, layer)]
    if layer < 2:  # the last entry of Hugging Face's tuple is after the final norm
        assert torch.allclose(theirs, streams[layer + 1], atol=1e-5)
    target = theirs[:, 1:] if given == "component" else mean

    def change(stream):
        return stream + (target - stream) @ basis @ basis.T

    positions = chosen_positions(ids.shape[1], contexts_per_row(study))
    logits = logits_with(fitted, layer, ids, change)[:, positions].flatten(0, 1)
    assert torch.equal(found.effects[0].choice, logits.argmax(-1))
    own = base.logits(ids)[:, positions].flatten(0, 1).log_softmax(-1).double()
    kl = (own.exp() * (own - logits.log_softmax(-1).double())).sum(-1)
    assert torch.allclose(found.effects[0].kl, kl, atol=1e-4)
    fitted_choice = fitted.logits(ids)[:, positions].flatten(0, 1).argmax(-1)
    assert torch.equal(found.unchanged["fitted"].choice, fitted_choice)
    rank = 1 + (own > own.gather(-1, fitted_choice[:, None])).sum(-1)
    assert torch.equal(found.base_rank, rank)


def test_an_edit_is_gone_after_its_context(pair):
    _, fitted = pair
    ids = torch.arange(6)[None]
    before = fitted.logits(ids)
    with edited(fitted, 2, lambda stream: stream * 0 + 1) as model:
        assert not torch.equal(model.logits(ids), before)
    assert torch.equal(fitted.logits(ids), before)


def test_writing_without_directions_is_a_loop_with_a_hook(make_study):
    study = make_study(roomy("carried expansion"), **SMALL)
    result, _ = evaluated(new_dimensions.CLAIM, study)
    site = Site(SiteKind.RESID, 2)
    rows = study.heldout.rows.chosen(range(0, 6, 2))
    sums = run_pair(study.base, study.fitted, rows, sites=[site]).sites[site]
    found = estimated(site, sums.moments, draws=2, seed=0, ladder=True)
    basis = next(item for item in found.verdict if item.kind == NEW).basis.float()
    mean = found.means["fitted"].float()
    ids = torch.tensor([study.heldout.prompts.rows[1]])
    start = ids.shape[1]
    for _ in range(study.sizes.new_tokens):
        logits = logits_with(study.fitted, 2, ids, lambda s: s - (s - mean) @ basis @ basis.T)
        ids = torch.cat([ids, logits[:, -1:].argmax(-1)], 1)
    text = study.heldout.tokenizer.decode(ids[0, start:])
    assert next(item for item in result.texts if item.kind == NEW).example == text


# -- directions --------------------------------------------------------------------------------


def test_the_directions_of_a_site(make_study):
    study = make_study(roomy("carried expansion"), **NO_TEXT)
    site = Site(SiteKind.RESID, 2)
    sums = run_pair(study.base, study.fitted, study.heldout.rows, sites=[site]).sites[site]
    found = estimated(site, sums.moments, draws=2, seed=0, ladder=True)
    fitted = sums.moments["fitted"].covariance()
    by_kind = {kind: [d for d in found.sets if d.kind == kind] for kind in (NEW, RANDOM, COUNT)}
    assert [item.dose for item in by_kind[NEW]] == [1, 2, 4, 8]
    assert [item.dose for item in by_kind[RANDOM]] == [1, 2, 2, 4, 8]
    for item in found.sets:
        gram = item.basis.T @ item.basis
        assert torch.allclose(gram, torch.eye(len(gram), dtype=torch.float64), atol=1e-10)
        share = (item.basis.T @ fitted @ item.basis).trace() / fitted.trace()
        assert item.removed == pytest.approx(float(share))
    held = [item.removed for item in by_kind[NEW]]
    assert held[1] >= found.growth / 2 > held[0]
    assert found.declared == 2
    assert [item.draw for item in by_kind[RANDOM] if item.dose == 2] == [0, 1]
    assert {item.basis.shape[1] for item in by_kind[COUNT] if item.dose == 2} == {2}
    again = estimated(site, sums.moments, draws=2, seed=0, ladder=True)
    assert all(torch.equal(a.basis, b.basis) for a, b in zip(found.sets, again.sets, strict=True))
    assert torch.equal(whole(found).basis, torch.eye(32, dtype=torch.float64))
    alone = estimated(site, sums.moments, draws=1, seed=0, ladder=False)
    assert [item.kind for item in alone.sets] == [NEW, LEADING, RANDOM]


def test_a_site_that_never_varies_has_no_directions():
    moments = {role: Moments(4) for role in ("base", "fitted")}
    for role in ("base", "fitted"):
        moments[role].add(torch.ones(6, 4))
    found = estimated(Site(SiteKind.RESID, 0), moments, draws=1, seed=0, ladder=True)
    assert (found.available, found.declared, found.sets) == (0, 0, ())


# -- the result --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(make_study):
    study = make_study(roomy("carried expansion"), **SMALL, dimension_blocks=2)
    return study, *evaluated(new_dimensions.CLAIM, study)


def test_halves_do_not_meet_and_runs_are_counted(result):
    study, found, _ = result
    assert found.estimated_on == 3
    assert found.rows == 3 * 23
    assert found.contexts == 3 * 2  # half of the four that C6 looks at
    for role in ("base", "fitted"):
        assert study.run.log.forwards[f"{role} over every other passage"] == 1
    above = sum(3 * (2 - item.layer) for item in found.profile if item.directions)
    assert found.blocks_run == 3 * (2 * 3 - 2 + above)  # two blocks in common run once


def test_figures_and_tables_of_a_result(result):
    _, found, claim = result
    assert {item.layer for item in found.profile} == {0, 1, 2}
    assert found.plot("dose", measure="recovered_kl", given="mean").data
    assert [chart.name for chart in found.charts()] == ["dose", "kinds", "depth"]  # short texts
    assert all(list(chart.variants()) for chart in found.charts())
    frame = found.to_frame("interventions")
    assert set(frame["kind"]) == {NEW, LEADING, RANDOM, COUNT, WHOLE}
    assert found.to_frame("quantities").shape[0] > 10
    beats = list(new_dimensions.CLAIM.part("words", "beats")(found, {}))
    assert len(beats) == 3
    assert not new_dimensions.CLAIM.part("words", "caveat")(claim, found)
