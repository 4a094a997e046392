"""Every family: hooks read what Hugging Face computes, replay and readout are exact."""

import copy

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from hyperinterp.errors import MismatchedPair, UnsupportedModel
from hyperinterp.models import (
    Component,
    ComponentKind,
    HookedModel,
    blocks,
    patched,
    perturbation,
    perturbed,
    self_check,
)
from hyperinterp.models.components import paths_of
from hyperinterp.sites import Site, SiteKind, block_outputs, component_sites, stream_sites
from probes import CounterNormal, norm_matched_noise
from tests.hyperinterp.families import NEWER, NEWER_REFUSED, REFUSED, SMALL, make_refused, make_tiny


def ids_for(model, rows=2, length=9):
    generator = torch.Generator().manual_seed(3)
    return torch.randint(3, model.vocab_size, (rows, length), generator=generator)


def test_self_check_passes(tiny, family):
    found = self_check(tiny(family))
    assert found.causal < 1e-6
    assert max(found.final_norm, found.readout, found.lens, found.replay) < 1e-6
    assert found.residual < 1e-5


def test_sites_agree_with_hidden_states_of_transformers(tiny, family):
    model = tiny(family)
    ids = ids_for(model)
    with torch.no_grad():
        states = model.hf(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    found = model.activations(ids, stream_sites(model.n_layers))
    assert torch.allclose(found[Site(SiteKind.EMBED)], states[0], atol=1e-6)
    for site in block_outputs(model.n_layers - 1):
        assert torch.allclose(found[site], states[site.layer + 1], atol=1e-6)
    assert torch.allclose(found[Site(SiteKind.FINAL_NORM)], states[-1], atol=1e-6)


def test_parts_add_up_to_the_stream(tiny, family):
    model = tiny(family)
    self_check(model)
    ids = ids_for(model)
    found = model.activations(ids, [*stream_sites(3), *component_sites(3)])
    before = found[Site(SiteKind.EMBED)]
    for layer in range(3):
        after = found[Site(SiteKind.RESID, layer)]
        total = before + found[Site(SiteKind.ATTN, layer)] + found[Site(SiteKind.MLP, layer)]
        assert torch.allclose(total, after, atol=1e-5)
        before = after


def test_replay_from_any_block_equals_the_forward_pass(tiny, family):
    model = tiny(family)
    ids = ids_for(model)
    recording = model.record(ids)
    last = model.activations(ids, [Site(SiteKind.RESID, 2)])[Site(SiteKind.RESID, 2)]
    for start in range(3):
        with torch.no_grad():
            assert torch.equal(model.replay(recording, start), last)
    with torch.no_grad():
        logits = model.readout(model.normalise(last))
    assert torch.allclose(logits, model.logits(ids), atol=1e-5)


def test_record_can_stop_early(tiny, family):
    model = tiny(family)
    ids = ids_for(model)
    full = model.record(ids)
    partial = model.record(ids, keep=(), stop_at=2)
    assert set(partial.inputs) == {2}
    assert torch.equal(partial.inputs[2], full.inputs[2])
    assert len(partial.calls) == 3


@pytest.mark.parametrize("kind", [ComponentKind.BLOCK, ComponentKind.ATTN, ComponentKind.MLP])
def test_patching_computes_the_donors_function_and_restores(tiny, family, kind):
    recipient, donor = tiny(family, 0), tiny(family, 1)
    ids = ids_for(recipient)
    before = recipient.logits(ids)
    component = Component(kind, 1)
    paths = paths_of(recipient, component)
    originals = [recipient.hf.get_submodule(path) for path in paths]
    with patched(recipient, donor, [component]):
        assert not torch.allclose(recipient.logits(ids), before, atol=1e-4)
    for path, original in zip(paths, originals, strict=True):
        assert recipient.hf.get_submodule(path) is original
    assert torch.equal(recipient.logits(ids), before)


def test_patching_everything_gives_the_donor(tiny, family):
    recipient, donor = tiny(family, 0), tiny(family, 1)
    ids = ids_for(recipient)
    stream = donor.record(ids, keep=[0]).inputs[0]
    components = [
        *blocks(range(3)),
        Component(ComponentKind.FINAL_NORM),
        Component(ComponentKind.UNEMBED),
    ]
    recording = recipient.record(ids)
    with patched(recipient, donor, components), torch.no_grad():
        last = recipient.replay(recording, 0, stream)
        logits = recipient.readout(recipient.normalise(last))
    assert torch.allclose(logits, donor.logits(ids), atol=1e-4)


def test_the_model_is_restored_after_an_error(tiny):
    recipient, donor = tiny(), tiny("llama", 1)
    ids = ids_for(recipient)
    before = recipient.logits(ids)
    with pytest.raises(RuntimeError, match="inside"), patched(recipient, donor, blocks([0])):
        raise RuntimeError("inside")
    assert torch.equal(recipient.logits(ids), before)
    assert not any(module._forward_hooks for module in recipient.hf.modules())


def test_a_random_change_has_the_size_it_was_given(tiny):
    recipient, donor = tiny(), tiny("llama", 1)
    component = blocks([1])[0]
    before = {name: p.clone() for name, p in recipient.blocks[1].named_parameters()}
    with perturbed(recipient, perturbation(recipient, donor, component, torch.zeros_like)):
        for name, parameter in recipient.blocks[1].named_parameters():
            assert torch.equal(parameter, before[name])
    with perturbed(recipient, perturbation(recipient, donor, component, lambda change: change)):
        for name, parameter in recipient.blocks[1].named_parameters():
            theirs = donor.blocks[1].get_parameter(name)
            assert torch.allclose(parameter, theirs, atol=1e-6)


def coarse_pair(share, steps):
    """Two models in bfloat16; in one MLP map a share of the entries differs by so many steps."""
    wide = SMALL | {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        hf = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **wide))
        pair = [HookedModel(copy.deepcopy(hf).to(torch.bfloat16)) for _ in range(2)]
        weight = pair[1].blocks[0].get_parameter(COARSE)
        weight.view(torch.int16).add_((torch.rand(weight.shape) < share).to(torch.int16) * steps)
    return pair


COARSE = "mlp.up_proj.weight"


@pytest.mark.parametrize(("share", "steps"), [(0.01, 1), (1.0, 20)])
def test_a_random_change_of_coarse_weights_is_not_rounded_away(share, steps):
    recipient, donor = coarse_pair(share, steps)
    before = recipient.blocks[0].get_parameter(COARSE).detach().float()
    difference = donor.blocks[0].get_parameter(COARSE).detach().float() - before
    source, changes = CounterNormal(1), []

    def noise(change):
        return norm_matched_noise(change, source)

    for _ in range(2):
        modules = perturbation(recipient, donor, blocks([0])[0], noise)
        with perturbed(recipient, modules):
            changes.append(recipient.blocks[0].get_parameter(COARSE).detach().float() - before)
            same = recipient.blocks[0].get_parameter("mlp.down_proj.weight")
            assert torch.equal(same, donor.blocks[0].get_parameter("mlp.down_proj.weight"))
    for change in changes:
        assert float(change.norm() / difference.norm()) == pytest.approx(1, abs=0.1)
        assert torch.corrcoef(torch.stack([change.flatten(), difference.flatten()]))[0, 1] < 0.1
    assert not torch.equal(*changes)
    if share == 1.0:
        spread = float(difference.norm()) / difference.numel() ** 0.5
        median = float(changes[0].abs().median())
        assert median == pytest.approx(0.6745 * spread, rel=0.1)  # that of a Gaussian
    else:
        assert 0 < (changes[0] != 0).sum() <= (difference != 0).sum()
        assert changes[0].min() < 0 < changes[0].max()


def test_models_of_other_shape_are_refused(tiny):
    wider = tiny()
    wider.hf.resize_token_embeddings(98)
    with (
        pytest.raises(MismatchedPair, match="blocks, width and vocabulary"),
        patched(tiny(), wider, blocks([0])),
    ):
        pass


def test_the_self_check_catches_a_planted_error(tiny, family):
    model = tiny(family)
    honest = model.readout

    def dishonest(hidden):
        return honest(hidden) + 0.5

    model.readout = dishonest
    with pytest.raises(UnsupportedModel, match=r"readout.*expected.*found"):
        self_check(model)


def test_a_wrong_residual_is_caught(tiny, family):
    model = tiny(family)
    self_check(model)
    reader = model._reading

    def shifted(site, read):
        off = 0.5 if site.kind is SiteKind.ATTN and site.layer == 1 else 0.0
        return reader(site, lambda where, tensor: read(where, tensor + off))

    model._reading = shifted
    with pytest.raises(UnsupportedModel, match="block 1"):
        self_check(model)


@pytest.mark.parametrize("name", sorted(NEWER))
def test_newer_families_are_right_or_refused(name):
    """Self-check, replay and a transplant; no family may give figures that are not checked."""
    recipient, donor = make_tiny(name, 0), make_tiny(name, 1)
    try:
        found = self_check(recipient)
    except UnsupportedModel:
        assert name in NEWER_REFUSED
        return
    assert name not in NEWER_REFUSED
    assert max(found.causal, found.final_norm, found.readout, found.lens, found.replay) < 1e-6
    assert found.residual < 1e-5
    ids = ids_for(recipient)
    stitched = copy.deepcopy(recipient.hf)
    path = paths_of(recipient, blocks([1])[0])[0]
    stitched.get_submodule(path).load_state_dict(donor.hf.get_submodule(path).state_dict())
    recording = recipient.record(ids, keep=[1])
    with patched(recipient, donor, blocks([1])), torch.no_grad():
        found = recipient.lens(recipient.replay(recording, 1))
    assert torch.allclose(found, stitched(input_ids=ids).logits, atol=1e-4)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_no_plain_decoder_is_refused_in_one_line(name):
    with pytest.raises(UnsupportedModel) as caught:
        self_check(HookedModel(make_refused(name)))
    assert REFUSED[name][3] in str(caught.value)
    assert "expected" in str(caught.value)
    assert "found" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_difference_that_holds_more_than_its_module_is_refused():
    """Reading by difference adds up whatever the block does; the modules have to explain it."""
    model = make_tiny("granite")
    assert self_check(model).components == "difference"
    model.components_by_difference = False
    block = model.blocks[1]
    inner = block.forward

    def with_an_extra_term(stream, *args, **kwargs):
        return inner(stream, *args, **kwargs) + 0.1 * stream.roll(1, dims=-1)

    block.forward = with_an_extra_term
    with pytest.raises(UnsupportedModel, match=r"'mlp' at block 1 .*unexplained"):
        self_check(model)


def test_logits_that_see_the_future_are_refused():
    model = make_tiny("llama")
    honest = model.logits
    model.logits = lambda ids: honest(ids) + ids[:, -1:, None]
    with pytest.raises(UnsupportedModel, match="'causal'"):
        self_check(model)
