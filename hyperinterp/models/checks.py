"""What must hold for a model before its figures mean anything, checked at load."""

from dataclasses import dataclass

import torch

from hyperinterp.errors import UnsupportedModel
from hyperinterp.models.hooked import HookedModel
from hyperinterp.sites import Site, SiteKind, part_sites, stream_sites

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 8e-2, torch.float16: 2e-2, torch.float64: 1e-9}


@dataclass(frozen=True)
class SelfCheck:
    """Largest relative differences found by `self_check` (0 is exact).

    Attributes:
        final_norm: final norm's hook against the backbone's own output.
        readout: unembedding of that output against the model's logits.
        lens: final norm and unembedding of the last block's output against the logits.
        replay: last block's output after replaying all blocks, against the recorded one.
        residual: stream + attention + MLP against the next stream; the worst block.
        parts: how attention and MLP are read: "module" outputs or stream "difference".
    """

    final_norm: float
    readout: float
    lens: float
    replay: float
    residual: float
    parts: str


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    scale = expected.double().abs().max().clamp_min(1e-12)
    return float((found.double() - expected.double()).abs().max() / scale)


def _residual_error(model: HookedModel, ids: torch.Tensor) -> tuple[float, int]:
    sites = [*stream_sites(model.n_layers)[:-1], *part_sites(model.n_layers)]
    tensors = model.activations(ids, sites)
    worst, where = 0.0, 0
    for layer in range(model.n_layers):
        before = (
            tensors[Site(SiteKind.RESID, layer - 1)] if layer else tensors[Site(SiteKind.EMBED)]
        )
        parts = tensors[Site(SiteKind.ATTN, layer)], tensors[Site(SiteKind.MLP, layer)]
        if any(part.shape != before.shape for part in parts):
            return float("inf"), layer
        error = _relative(before + parts[0] + parts[1], tensors[Site(SiteKind.RESID, layer)])
        if error > worst:
            worst, where = error, layer
    return worst, where


@torch.no_grad()
def self_check(model: HookedModel) -> SelfCheck:
    """Run the identities that every measure relies on, on a few tokens of the vocabulary.

    Where reading attention and MLP modules does not add up to the stream (a family that scales
    or adds inside a part), the model is switched to reading them as stream differences.

    Raises:
        UnsupportedModel: an identity fails; the message names family, identity and block.
    """
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, model.vocab_size, (2, 7), generator=generator)
    tolerance = TOLERANCE.get(model.dtype, 1e-4)
    last = Site(SiteKind.RESID, model.n_layers - 1)
    found = model.activations(ids, [last, Site(SiteKind.FINAL_NORM)])
    final, logits = model.run(ids), model.logits(ids)
    recording = model.record(ids, keep=[0])
    errors = {
        "final norm": _relative(found[Site(SiteKind.FINAL_NORM)], final),
        "readout": _relative(model.readout(final), logits),
        "lens at the last block": _relative(model.lens(found[last]), logits),
        "replay": _relative(model.replay(recording, 0), found[last]),
    }
    for identity, error in errors.items():
        if not error <= tolerance:
            raise UnsupportedModel(
                f"{model.anatomy.family}: self-check {identity!r} expected a relative "
                f"difference within {tolerance:g}, found {error:.3g}"
            )
    residual, layer = _residual_error(model, ids)
    if not residual <= tolerance and model.anatomy.block.mid_norm is not None:
        model.parts_by_difference = True
        residual, layer = _residual_error(model, ids)
    if not residual <= tolerance:
        raise UnsupportedModel(
            f"{model.anatomy.family}: self-check 'residual' at block {layer} expected stream + "
            f"attention + MLP within {tolerance:g} of the next stream, found {residual:.3g}"
        )
    final_norm, readout, lens, replay = errors.values()
    parts = "difference" if model.parts_by_difference else "module"
    return SelfCheck(final_norm, readout, lens, replay, residual, parts)
