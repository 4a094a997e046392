"""The geometry of two caches is that of a comparison of the two models."""

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

import hyperinterp as hi
from hyperinterp.activations import as_cache, cache, read_cache
from hyperinterp.claims import expansion
from hyperinterp.claims.expansion.cached import geometry
from hyperinterp.claims.running import evaluated
from hyperinterp.errors import InputRefused, MismatchedPair, NumericalFault
from hyperinterp.sizes import PRESETS

VARIANTS = ("standardised", "unit_norm")


@pytest.fixture(scope="module")
def pair(make_tiny, words):
    texts = words(12, 0, 9, 20)  # of many lengths
    models = make_tiny(0), make_tiny(1)
    return models, texts, tuple(cache(model, texts, tokens=20) for model in models)


@pytest.fixture(scope="module")
def compared(pair, make_study):
    models, texts, _ = pair
    study = make_study(models, passages=texts, variants=VARIANTS, prompts=12, context_tokens=20)
    return evaluated(expansion.CLAIM, study)[0]


def close(one, other, tolerance, ends, size=1.0):
    """Whether two measured values and their ends agree to a part of their size, at least `size`."""
    assert one.reason == other.reason
    for name, part in (("value", tolerance), ("lo", ends), ("hi", ends)):
        ours, theirs = getattr(one, name), getattr(other, name)
        assert (ours is None) is (theirs is None)
        near = ours is None or math.isclose(ours, theirs, rel_tol=part, abs_tol=part * size)
        assert near, (name, ours, theirs)


def same(found, wanted, tolerance=1e-6, ends=1e-6):
    sites = {site.key: site for site in wanted.sites}
    assert found.sites
    for site in found.sites:
        other = sites[site.key]
        assert set(site.metrics) == set(other.metrics)
        for name, measured in site.metrics.items():
            size = max(1.0, *(abs(side.value or 0) for side in (measured.base, measured.fitted)))
            for part in ("base", "fitted", "delta"):  # a difference is as exact as its sides
                pair = getattr(measured, part), getattr(other.metrics[name], part)
                close(*pair, tolerance, ends, size)
        assert site.n_rows == other.n_rows
        assert site.outliers == other.outliers
        for name in ("drift", "cosine", "cka", "overlap"):
            assert getattr(site, name) == pytest.approx(getattr(other, name), abs=tolerance)
    for name in ("last_delta", "contrast", "final_norm_gain"):
        close(getattr(found, name), getattr(wanted, name), tolerance, ends)
    assert set(found.contrast_variants) == set(wanted.contrast_variants)


def test_equals_a_comparison_also_from_disk(pair, compared, tmp_path):
    base, fitted = pair[2]
    found = geometry(base, fitted)
    assert len(found.sites) == len(compared.sites) == 5
    same(found, compared)
    assert found.width == 32
    read = [
        read_cache(item.save(tmp_path / f"{number}.safetensors"))
        for number, item in enumerate((base, fitted))
    ]
    assert geometry(*read) == found
    assert found.plot("profile").data  # it draws itself like any other


def bridged(models, ids, n_layers):
    """Caches of transformer-lens, which computes by its own rounding.

    Its bridge takes softmax in float32, also in a float64 model, and norms in float64, where
    transformers takes these in float32: activations differ by some 4e-7 of their size. Values of
    the geometry agree to 1e-6 all the same; ends of intervals, which multiply the difference by
    the number of prompts, to 1e-5.
    """
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    found = []
    for model in models:
        hf = deepcopy(model.hf).double()
        bridge = build_bridge_from_module(
            hf, "LlamaForCausalLM", hf_config=hf.config, tokenizer=None
        )
        with torch.no_grad():
            found.append(as_cache(bridge.run_with_cache(ids)[1], ids=ids, n_layers=n_layers))
    return found


def test_equals_it_from_a_cache_of_transformer_lens(pair):
    models = [hi.load(deepcopy(model.hf).double()) for model in pair[0]]
    ids = torch.randint(0, 151, (8, 12), generator=torch.Generator().manual_seed(0))
    found = bridged(models, ids, 3)
    own = [cache(model, ids) for model in models]
    assert found[0].origin.text_sha256 == own[0].origin.text_sha256
    assert len(found[0]) >= 11  # attention and MLP of every block as well
    ours, theirs = geometry(*own), geometry(*found)
    kept = {site.key for site in ours.sites}
    shared = tuple(site for site in theirs.sites if site.key in kept)
    same(replace(theirs, sites=shared), ours, ends=1e-5)
    named = [
        as_cache({site.key: tensor for site, tensor in item.items()}, ids=ids, n_layers=3)
        for item in own
    ]
    assert geometry(*named) == ours  # the way in changes nothing


def test_refusals(pair, words):
    (_, fitted), _, (ours, theirs) = pair
    with pytest.raises(MismatchedPair, match="one text"):
        geometry(ours, cache(fitted, words(12, 5, 9, 20), tokens=20))
    with pytest.raises(InputRefused, match="at least 8 prompts, found 3"):
        geometry(ours.at(prompts=slice(3)), theirs.at(prompts=slice(3)))
    with pytest.raises(InputRefused, match="do not slice positions"):
        geometry(ours.at(positions=slice(2, 8)), theirs.at(positions=slice(2, 8)))
    with pytest.raises(InputRefused, match=r"last block \(block 2\) in both"):
        geometry(ours.at(layers=[0, 1]), theirs)
    narrow = replace(theirs, tensors={site: it[..., :16] for site, it in theirs.items()})
    with pytest.raises(MismatchedPair, match="32 and 16"):
        geometry(ours, narrow)
    with pytest.raises(MismatchedPair, match="3 and 4 blocks"):
        geometry(ours, replace(theirs, origin=replace(theirs.origin, n_layers=4)))
    broken = {site: tensor.clone() for site, tensor in theirs.items()}
    broken[next(iter(broken))][0, 1, 0] = math.inf
    with pytest.raises(NumericalFault, match="embedding"):
        geometry(ours, replace(theirs, tensors=broken))


@pytest.mark.full
@pytest.mark.real
def test_the_caches_of_the_real_pair(twin, tmp_path):
    """Saved, mapped, and brought from TransformerLens: the geometry is that of `compare`.

    In float64, values to 1e-6. A prompt is left out of sums that are projected in float32, and an
    interval multiplies what that rounds by the number of prompts: its ends to 1e-5. Texts are
    short: fewer rows than dimensions are as good a check, in a fraction of the time.
    """
    prompts = hi.builtin_passages("heldout").head(8)
    models = hi.load("smollm2", dtype="float64"), hi.load(twin, base="smollm2", dtype="float64")
    sizes = replace(
        PRESETS["quick"], prompts=8, context_tokens=16, components=False, variants=VARIANTS
    )
    report = hi.compare(*models, prompts=prompts, claims="C5", sizes=sizes)
    caches = [hi.cache(model, prompts, tokens=16) for model in models]
    paths = [item.save(tmp_path / f"{n}.safetensors") for n, item in enumerate(caches)]
    found = hi.geometry(*(hi.read_cache(path) for path in paths))
    wanted = {site.key: site for site in report.expansion.sites}
    kept = [site for site in found.sites if site.key in wanted]
    assert len(kept) >= 31
    same(replace(found, sites=tuple(kept)), report.expansion, ends=1e-5)
    ids = torch.tensor([models[0].tokenizer(text)["input_ids"][:16] for text in prompts.texts])
    brought = bridged(models, ids, 30)
    ours = hi.geometry(*(hi.cache(model, ids) for model in models))
    theirs = hi.geometry(*brought)
    known = {site.key for site in ours.sites}
    shared = tuple(site for site in theirs.sites if site.key in known)
    same(replace(theirs, sites=shared), ours, tolerance=1e-5, ends=1e-4)  # thirty blocks
