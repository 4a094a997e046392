"""Identities that must hold before a model is measured, checked once per model."""

from typing import Any

import torch
from torch.func import functional_call

from hyperinterp.errors import NumericalFault, UnsupportedModel
from hyperinterp.models.differences import SelfCheck
from hyperinterp.models.hooked import HookedModel
from hyperinterp.models.placement import check_reachable, weights_of
from hyperinterp.sites import Site, SiteKind, component_sites, stream_sites
from probes.devices import has_float64

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 8e-2, torch.float16: 2e-2, torch.float64: 1e-9}

LONGER = 40
"""Tokens per row of the check against the CPU, fewer where a model has fewer positions."""


def check_logits(name: str, logits: torch.Tensor, *, masked: bool = False) -> None:
    """Refuse logits `[..., vocab]` that no figure and no choice is defined on.

    Args:
        name: what to call the model.
        logits: float32 logits.
        masked: let minus infinity pass, with which some models rule token ids out for good; a
            context that leaves no token at all is refused all the same.

    Raises:
        NumericalFault: NaN, plus infinity, or a context without a finite logit.
        UnsupportedModel: minus infinity for single token ids, unless `masked`.
    """
    if bool(torch.isfinite(logits.sum())):  # the fastest pass in which NaN or an infinity shows
        return
    low, high = torch.aminmax(logits)  # both carry NaN through
    nothing_left = bool(torch.isneginf(low)) and bool(torch.isneginf(logits.amax(-1)).any())
    if not bool(torch.isfinite(high)) or nothing_left:
        raise NumericalFault(f"{name}: expected finite logits, found NaN or infinity")
    if not masked and bool(torch.isneginf(low)):
        ruled_out = int(torch.isneginf(logits).flatten(0, -2).any(0).sum())
        raise UnsupportedModel(
            f"{name}: expected finite logits, found minus infinity for {ruled_out} token ids: "
            "ranks and divergences over the vocabulary are not defined there"
        )


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    if found.shape != expected.shape:
        return float("inf")
    scale = expected.double().abs().max().clamp_min(1e-12)
    return float((found.to(expected.device).double() - expected.double()).abs().max() / scale)


def _logits_apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """`_relative` of logits, where both may rule out the same token ids by minus infinity."""
    ruled_out = torch.isneginf(expected)
    if not torch.equal(torch.isneginf(found).to(ruled_out.device), ruled_out):
        return float("inf")
    found = found.to(expected.device)
    return _relative(found.masked_fill(ruled_out, 0.0), expected.masked_fill(ruled_out, 0.0))


def _residual_error(model: HookedModel, ids: torch.Tensor) -> tuple[float, int]:
    sites = [*stream_sites(model.n_layers)[:-1], *component_sites(model.n_layers)]
    tensors = model.activations(ids, sites)
    worst, where = 0.0, 0
    for layer in range(model.n_layers):
        before = (
            tensors[Site(SiteKind.RESID, layer - 1)] if layer else tensors[Site(SiteKind.EMBED)]
        )
        components = tensors[Site(SiteKind.ATTN, layer)], tensors[Site(SiteKind.MLP, layer)]
        if any(component.shape != before.shape for component in components):
            return float("inf"), layer
        after = tensors[Site(SiteKind.RESID, layer)]
        total = (
            before.to(after.device)
            + components[0].to(after.device)
            + components[1].to(after.device)
        )
        error = _relative(total, after)
        if error > worst:
            worst, where = error, layer
    return worst, where


def _check_components(model: HookedModel, ids: torch.Tensor, tolerance: float) -> None:
    """Refuse differences of the stream that attention or MLP alone do not explain.

    A difference has to be the module's own output times one number (Granite scales it), or that
    output minus the stream (BLOOM adds inside the module). Anything else means that the block
    adds something of its own, which would be reported under a wrong name.
    """
    sites = [*stream_sites(model.n_layers)[:-1], *component_sites(model.n_layers)]
    added = model.activations(ids, sites)
    model.components_by_difference = False
    own = model.activations(ids, component_sites(model.n_layers))
    model.components_by_difference = True
    for layer in range(model.n_layers):
        stream = added[Site(SiteKind.RESID, layer - 1) if layer else Site(SiteKind.EMBED)]
        for kind in (SiteKind.ATTN, SiteKind.MLP):
            difference = added[Site(kind, layer)].double()
            output = own[Site(kind, layer)].reshape(difference.shape).to(difference)
            factor = (difference * output).sum() / (output * output).sum().clamp_min(1e-30)
            error = min(
                _relative(factor * output, difference),
                _relative(output - stream.to(output.device), difference),
            )
            if not error <= tolerance:
                raise UnsupportedModel(
                    f"{model.anatomy.family}: self-check {kind.value!r} at block {layer} expected "
                    f"the block to add its {kind.value} module's output alone, found {error:.3g} "
                    "of it unexplained (the block adds something else as well)"
                )
            stream = stream.to(difference.device) + added[Site(kind, layer)]


def _causal_error(model: HookedModel, ids: torch.Tensor) -> float:
    """Return the largest change of the logits at the positions before a token that changes."""
    other = ids.clone()
    other[:, -1] = (other[:, -1] + 1) % model.vocab_size
    return _logits_apart(model.logits(other)[:, :-1], model.logits(ids)[:, :-1])


def _check_against_cpu(model: HookedModel, ids: torch.Tensor, tolerance: float) -> None:
    """Refuse a device whose logits are not those of the CPU, from all tokens and after a cache.

    An operation that is wrong on a device is wrong alike on both sides of an identity; only the
    same weights on another device show it. They are copied to the CPU for the moment.
    """
    own = {name: tensor.cpu() for name, tensor in weights_of(model.hf).items()}

    def here(**given: Any) -> Any:
        return functional_call(model.hf, own, kwargs=given, tie_weights=False)

    def there(**given: Any) -> Any:
        return model.hf(**{name: _placed(item, model.device) for name, item in given.items()})

    logits = []
    for run in (here, there):
        model.forget_lengths()
        whole = run(input_ids=ids, use_cache=False).logits
        begun = run(input_ids=ids[:, :-1], use_cache=True).past_key_values
        last = run(input_ids=ids[:, -1:], past_key_values=begun, use_cache=True).logits
        logits.append((whole.cpu().float(), last.cpu().float()))
    for what, expected, found in zip(("logits", "logits of a step"), *logits, strict=True):
        error = _logits_apart(found, expected)
        if not error <= tolerance:
            raise UnsupportedModel(
                f"{model.anatomy.family}: self-check 'as on the CPU' expected {what} on "
                f"{model.device} within {tolerance:g} of the CPU's, found {error:.3g} (a fault of "
                "torch on this device); update torch, or use --device cpu"
            )


def _placed(item: Any, device: torch.device) -> Any:
    return item.to(device) if isinstance(item, torch.Tensor) else item


def _identities(model: HookedModel, ids: torch.Tensor) -> dict[str, float]:
    """Relative errors of hooks, readout, lens and replay, by the name of the identity."""
    last = Site(SiteKind.RESID, model.n_layers - 1)
    found = model.activations(ids, [last, Site(SiteKind.FINAL_NORM)])
    if Site(SiteKind.FINAL_NORM) not in found or last not in found:
        raise UnsupportedModel(
            f"{model.anatomy.family}: self-check 'final norm' expected {model.anatomy.final_norm} "
            "to run after the last block of the backbone, found that it did not"
        )
    final, logits = model.run(ids), model.logits(ids)
    recording = model.record(ids, keep=[0])
    return {
        "final norm": _relative(found[Site(SiteKind.FINAL_NORM)], final),
        "readout": _logits_apart(model.readout(final), logits),
        "lens at the last block": _logits_apart(model.lens(found[last]), logits),
        "replay": _relative(model.replay(recording, 0), found[last]),
    }


@torch.no_grad()
def self_check(model: HookedModel) -> SelfCheck:
    """Run the identities that every measure relies on, on a few tokens of the vocabulary.

    Where reading attention and MLP modules does not add up to the stream (a family that scales
    or adds inside a component), the model is switched to reading them as stream differences, and
    each difference has to be explained by the module's own output.

    On a device without float64 (mps), the logits are held against those of the same weights on the
    CPU as well, which takes the memory of one more copy for the moment.

    The model remembers the result; `checked` runs it only where there is none.

    Raises:
        UnsupportedModel: an identity fails; the message names family, identity and block.
        NumericalFault: a logit is NaN or infinite; minus infinity for single token ids passes, as
            a model may be read and write without them.
    """
    if model.dtype not in TOLERANCE:
        raise UnsupportedModel(
            f"{model.name}: expected weights of float32, bfloat16, float16 or float64, found "
            f"{str(model.dtype).removeprefix('torch.')}; load it de-quantised, or `.to("
            "torch.bfloat16)`"
        )
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, model.vocab_size, (2, 7), generator=generator)
    tolerance = TOLERANCE[model.dtype]
    check_logits(model.name, model.logits(ids).float(), masked=True)
    causal = _causal_error(model, ids)
    if not causal <= tolerance:
        raise UnsupportedModel(
            f"{model.anatomy.family}: self-check 'causal' expected a decoder, whose logits depend "
            f"on earlier tokens alone, found that a later token moves them by {causal:.3g}"
        )
    errors = _identities(model, ids)
    for identity, error in errors.items():
        if not error <= tolerance:
            raise UnsupportedModel(
                f"{model.anatomy.family}: self-check {identity!r} expected a relative "
                f"difference within {tolerance:g}, found {error:.3g}"
            )
    residual, layer = _residual_error(model, ids)
    if not residual <= tolerance and model.anatomy.block.mid_norm is not None:
        model.components_by_difference = True
        residual, layer = _residual_error(model, ids)
    if not residual <= tolerance:
        raise UnsupportedModel(
            f"{model.anatomy.family}: self-check 'residual' at block {layer} expected stream + "
            f"attention + MLP within {tolerance:g} of the next stream, found {residual:.3g}"
        )
    if model.components_by_difference:
        _check_components(model, ids, tolerance)
    if not has_float64(model.device):
        limit = min(model.position_limit or LONGER, LONGER)
        longer = torch.randint(0, model.vocab_size, (2, limit), generator=generator)
        _check_against_cpu(model, longer, tolerance)
    components = "difference" if model.components_by_difference else "module"
    model.self_check = SelfCheck(
        causal=causal,
        final_norm=errors["final norm"],
        readout=errors["readout"],
        lens=errors["lens at the last block"],
        replay=errors["replay"],
        residual=residual,
        components=components,
    )
    return model.self_check


def checked(model: HookedModel) -> HookedModel:
    """The model, after its `self_check` where it has not passed one yet.

    Raises:
        UnsupportedModel: as `self_check`.
        NumericalFault: as `self_check`.
        InputRefused: the model was moved to where it cannot be measured.
    """
    check_reachable(model.hf)
    if model.self_check is None:
        self_check(model)
    return model
