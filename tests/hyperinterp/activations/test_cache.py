"""A cache is what the model computes, under any name, on disk and off it."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import hyperinterp as hi
from hyperinterp.activations import ActivationCache, as_cache, cache, read_cache, site_of
from hyperinterp.errors import CorruptFile, InputRefused, NumericalFault, UnsafeFile
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site, SiteKind
from probes import Moments, participation_ratio
from tests.hyperinterp.families import make_tiny, word_tokenizer

TEXTS = ["the cat sat on the mat and then it ran", "a dog", "rain fell on the grey town all day"]


@pytest.fixture(scope="module")
def model() -> HookedModel:
    return HookedModel(make_tiny("llama").hf, word_tokenizer(), name="tiny")


@pytest.fixture(scope="module")
def kept(model: HookedModel) -> ActivationCache:
    ids = torch.randint(3, 90, (4, 7), generator=torch.Generator().manual_seed(0))
    return cache(model, ids, batch_size=3)


def test_holds_what_the_model_computes(model: HookedModel) -> None:
    ids = torch.randint(3, 90, (2, 6), generator=torch.Generator().manual_seed(1))
    sites = [Site(SiteKind.ATTN, 1), Site(SiteKind.RESID, 2), Site(SiteKind.FINAL_NORM)]
    found = cache(model, ids, sites)
    with torch.no_grad():
        hidden = model.hf(ids, output_hidden_states=True).hidden_states
    assert list(found) == sites
    assert torch.equal(found["final_norm"], hidden[-1])
    assert torch.equal(found[sites[0]], model.activations(ids, sites)[sites[0]])
    assert torch.allclose(found.lens(2), model.logits(ids), atol=1e-5)
    assert torch.allclose(found.lens("final_norm"), model.logits(ids), atol=1e-5)


def test_shorter_texts_end_in_nothing_that_computes(model: HookedModel) -> None:
    found = hi.cache(model, TEXTS, [1])
    own = found.lengths
    assert len(set(own)) > 1
    assert found[1].shape == (len(own), max(own), 32)
    assert bool((found[1].isnan().all(-1) == ~found.valid).all())
    rows = found.rows(1)
    assert len(rows) == sum(own) - len(own)  # position 0 left out
    assert len(found.rows(1, first=True)) == sum(own)
    moments = found.moments()[Site(SiteKind.RESID, 1)]
    assert isinstance(moments, Moments)
    assert participation_ratio(moments) == pytest.approx(participation_ratio(rows), rel=1e-5)
    with pytest.raises(ValueError, match="NaN"):
        participation_ratio(found[1])  # a padded tensor is refused, not measured


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("blocks.1.hook_out", Site(SiteKind.RESID, 1)),
        ("blocks.1.hook_resid_post", Site(SiteKind.RESID, 1)),
        ("blocks.1.hook_in", Site(SiteKind.RESID, 0)),
        ("blocks.0.hook_resid_pre", Site(SiteKind.EMBED)),
        ("blocks.2.attn.hook_out", Site(SiteKind.ATTN, 2)),
        ("blocks.2.hook_mlp_out", Site(SiteKind.MLP, 2)),
        ("ln_final.hook_out", Site(SiteKind.FINAL_NORM)),
        (("resid_post", 1), Site(SiteKind.RESID, 1)),
        (("resid_post", -1), Site(SiteKind.RESID, 2)),
        (("resid_pre", 0), Site(SiteKind.EMBED)),
        ("layers_output[2]", Site(SiteKind.RESID, 2)),
        (("layers_output", 2), Site(SiteKind.RESID, 2)),
        ("attentions_output.0", Site(SiteKind.ATTN, 0)),
        ("mlps_output[-1]", Site(SiteKind.MLP, 2)),
        ("resid.1", Site(SiteKind.RESID, 1)),
        ("embed", Site(SiteKind.EMBED)),
        (-1, Site(SiteKind.RESID, 2)),
    ],
)
def test_names_of_other_libraries(name: Any, site: Site) -> None:
    assert site_of(name, 3) == site


@pytest.mark.parametrize(
    "name", ["hook_embed", "blocks.1", "blocks.x.hook_out", "resid.",
             ("resid_post", True), "blocks.1.ln1.hook_normalized", "ln_final.hook_normalized"],
)  # fmt: skip
def test_names_that_mean_no_site_are_refused(name: Any) -> None:
    with pytest.raises(InputRefused, match="transformer-lens such as"):
        site_of(name, 3)


def test_blocks_that_are_not_there_are_refused(kept: ActivationCache, model: HookedModel) -> None:
    for name in (3, -4, "blocks.3.hook_out", Site(SiteKind.RESID, 9)):
        with pytest.raises(InputRefused, match="below 3"):
            kept[name]
    with pytest.raises(InputRefused, match="attention 1 is not in this cache; it holds embed"):
        kept["attn.1"]
    assert "blocks.0.hook_out" in kept
    assert ("resid_post", -1) in kept
    assert "attn.1" not in kept
    assert 99 not in kept
    with pytest.raises(InputRefused, match="expected at least one"):
        cache(model, torch.ones(1, 3, dtype=torch.long), [])


def test_slices_by_prompt_position_and_layer(kept: ActivationCache) -> None:
    some = kept.at(prompts=slice(1, 3), positions=[0, 2, 5], layers=[-1, 0])
    assert list(some) == [Site(SiteKind.RESID, 0), Site(SiteKind.RESID, 2)]
    assert torch.equal(some[2], kept[2][1:3][:, [0, 2, 5]])
    assert some.prompts == (1, 2)
    assert some.positions == (0, 2, 5)
    assert len(some.rows(0)) == 4
    assert kept.at(prompts=0)[1].data_ptr() == kept[1].data_ptr()  # a view, no copy
    assert kept.stack().shape == (3, 4, 7, 32)
    assert torch.equal(kept.stack("resid")[1], kept[1])
    half = kept.to(torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert half.origin == kept.origin
    for wrong in ({"prompts": 4}, {"positions": [0, 7]}, {"layers": 3}, {"prompts": []}):
        with pytest.raises(InputRefused):
            kept.at(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InputRefused, match=r"expected one of \['embed'"):
        kept.stack("attn")


def test_is_read_back_mapped_into_memory(kept: ActivationCache, tmp_path: Path) -> None:
    path = kept.save(tmp_path / "kept.safetensors")
    found = read_cache(path)
    assert found.origin == kept.origin
    assert (found.lengths, found.positions, found.prompts) == (
        kept.lengths, kept.positions, kept.prompts,
    )  # fmt: skip
    assert list(found) == list(kept)
    assert all(torch.equal(found[site], kept[site]) for site in kept)
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(path) in maps.read_text()
    before = path.read_bytes()
    found[1][0] = 7.0  # what is written stays in memory
    assert path.read_bytes() == before
    header = json.loads(before[8 : 8 + struct.unpack("<Q", before[:8])[0]])
    told = json.loads(header["__metadata__"]["hyperinterp"])
    assert told["fingerprint"] == kept.origin.fingerprint
    assert (told["dtype"], told["version"], told["sites"][0]) == ("float32", 1, "embed")
    with pytest.raises(InputRefused, match="exist"):
        kept.save(path)
    kept.at(layers=0).save(path, force=True)
    assert list(read_cache(path)) == [Site(SiteKind.RESID, 0)]
    with pytest.raises(InputRefused, match=r"pass model="):
        found.lens(1)


def rewritten(
    path: Path, change: dict[str, Any] | None, tensors: dict[str, Any] | None = None
) -> Path:
    """The file with fields of its header changed, or without one, or with other tensors."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    told = json.loads(header["__metadata__"]["hyperinterp"]) | (change or {})
    metadata = {} if change is None else {"hyperinterp": json.dumps(told)}
    other = path.with_name("other.safetensors")
    save_file(tensors or load_file(path), other, metadata)
    return other


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (None, InputRefused, "without its header"),
        ({"format": "weights"}, InputRefused, "format"),
        ({"version": 2}, InputRefused, "expected version 1"),
        ({"sites": ["embed"]}, CorruptFile, "other sites"),
        ({"sites": 3}, CorruptFile, "other sites"),
        ({"dtype": "float64"}, CorruptFile, "one floating dtype"),
        ({"lengths": [7, 7, 7]}, CorruptFile, "lengths: expected 4"),
        ({"lengths": [7, 7, 7, "7"]}, CorruptFile, "lengths"),
        ({"lengths": [7, 7, 7, 0]}, CorruptFile, "of 1 or more"),
        ({"positions": [0, 1, 2, 3, 4, 5, -6]}, CorruptFile, "positions"),
        ({"prompts": [0, 1, 2, True]}, CorruptFile, "prompts"),
        ({"model": None}, CorruptFile, "texts on the model"),
        ({"n_layers": -1}, CorruptFile, "number of blocks"),
    ],
)
def test_headers_that_disagree_are_refused(
    kept: ActivationCache, tmp_path: Path, change: Any, error: type[Exception], words: str
) -> None:
    path = kept.save(tmp_path / "kept.safetensors")
    with pytest.raises(error, match=words):
        read_cache(rewritten(path, change))


def test_damaged_and_hostile_files_are_refused(kept: ActivationCache, tmp_path: Path) -> None:
    path = kept.save(tmp_path / "kept.safetensors")
    raw = path.read_bytes()
    with pytest.raises(InputRefused, match="found none"):
        read_cache(tmp_path / "absent")
    with pytest.raises(InputRefused, match="found none"):
        read_cache(tmp_path)
    for bad in (raw[:-9], raw[:100], b"", b"\xff" * 64, raw[:8] + b"{" * 900, raw + b"x"):
        path.write_bytes(bad)
        with pytest.raises((CorruptFile, UnsafeFile)):
            read_cache(path)
    path.write_bytes(raw)
    mixed = dict(load_file(path))
    mixed["embed"] = mixed["embed"].long()
    with pytest.raises(CorruptFile, match="one floating dtype"):
        read_cache(rewritten(path, {}, mixed))
    flat = {name: tensor.flatten() for name, tensor in load_file(path).items()}
    with pytest.raises(CorruptFile, match="prompt position"):
        read_cache(rewritten(path, {}, flat))
    named = dict(
        zip(["../x", "__class__", *list(mixed)[2:]], load_file(path).values(), strict=True)
    )
    with pytest.raises(CorruptFile, match="keys of sites"):
        read_cache(rewritten(path, {"sites": list(named)}, named))


def test_hidden_states_of_transformers(model: HookedModel) -> None:
    ids = torch.randint(3, 90, (2, 6), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        hidden = model.hf(ids, output_hidden_states=True).hidden_states
    found, own = as_cache(hidden, ids=ids), cache(model, ids)
    assert found.origin.text_sha256 == own.origin.text_sha256
    assert found.origin.n_layers == 3
    assert Site(SiteKind.RESID, 2) not in found  # it lies behind the final norm there
    for site in found:
        assert torch.equal(found[site], own[site])
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    assert as_cache(hidden, mask=mask).lengths == (6, 4)
    assert bool(as_cache(hidden, mask=mask)[0][1, 4:].isnan().all())
    with pytest.raises(InputRefused, match="padding_side"):
        as_cache(hidden, mask=mask.flip(1))
    with pytest.raises(InputRefused, match="mask: expected shape"):
        as_cache(hidden, mask=mask[:1])
    with pytest.raises(InputRefused, match="output_hidden_states=True"):
        as_cache(hidden[:1])


def test_what_a_trace_saved_by_name(model: HookedModel) -> None:
    class Proxy:
        def __init__(self, value: Any) -> None:
            self.value = value

    stream = torch.randn(2, 6, 32)
    found = as_cache({
        ("layers_output", 0): Proxy((stream, None)), "attentions_output[1]": stream.numpy(),
        "layers.1.other": stream,
    })  # fmt: skip
    assert list(found) == [Site(SiteKind.RESID, 0), Site(SiteKind.ATTN, 1)]
    assert torch.equal(found[0], stream)
    assert as_cache({"resid.0": stream[0]})[0].shape == (1, 6, 32)
    assert as_cache(found) is found
    for wrong, words in (
        ({"x": stream}, "expected names such as"), (3, "found int"), ({}, "found none"),
        ({"resid.0": "text"}, "expected a floating tensor"),
        ({"resid.0": stream, "resid.1": stream[:1]}, "one shape"),
    ):  # fmt: skip
        with pytest.raises(InputRefused, match=words):
            as_cache(wrong)


def test_bad_input_is_refused(model: HookedModel, kept: ActivationCache) -> None:
    ids = torch.ones(1, 3, dtype=torch.long)
    for texts in (ids.float(), ids[0], torch.full((1, 3), 500), torch.empty(0, 3).long()):
        with pytest.raises(InputRefused, match="token ids"):
            cache(model, texts)
    with pytest.raises(InputRefused, match="tokenizer"):
        cache(HookedModel(model.hf, name="mute"), TEXTS)
    with pytest.raises(InputRefused):
        cache("no-such-checkpoint-here", TEXTS)
    marked = replace(kept, origin=replace(kept.origin, fingerprint="1" * 64))
    with pytest.raises(InputRefused, match="other weights"):
        marked.lens(1, HookedModel(model.hf, fingerprint="9" * 64))
    broken = replace(kept, tensors={site: it.clone() for site, it in kept.items()})
    broken[1][0, 2, 0] = torch.nan
    with pytest.raises(NumericalFault, match="block 1"):
        broken.rows(1)
    with pytest.raises(InputRefused, match="first=True"):
        kept.at(positions=0).rows(1)
    with pytest.raises(InputRefused, match="site of the stream"):
        cache(model, ids, ["attn.0"]).lens("attn.0")


def test_the_top_level_has_the_conventions_of_the_field() -> None:
    for name in ("ActivationCache", "Site", "as_cache", "cache", "export_bundle", "geometry",
                 "inspect_checkpoint", "patched", "read_cache"):  # fmt: skip
        assert name in hi.__all__
        assert getattr(hi, name).__doc__
    assert callable(hi.cache)  # and no module of that name takes its place
