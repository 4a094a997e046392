"""Context-free shifts of the base's logits: means, rank gainers, and the best one there is."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.capture import CHUNK, Contexts, paired_logits
from hyperinterp.distributed import Processes
from hyperinterp.under_comparison import Study
from probes.ranks.tokens import order_rows

FIT_CONTEXTS = 1024
FIT_BYTES = 1 << 29
HELD_EVERY = 4
PATIENCE = 10
START_ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def centred_shift(base: Float[Tensor, "n v"], fitted: Float[Tensor, "n v"]) -> Float[Tensor, "n v"]:
    """Fitted minus base logits, each row's mean over the vocabulary taken off.

    A constant added to all logits changes no probability, so it is no shift.
    """
    shift = fitted.double() - base.double()
    return shift - shift.mean(-1, keepdim=True)


def mean_shift(study: Study, contexts: Contexts) -> Float[Tensor, " v"]:
    """Mean centred logit shift over contexts, float32 on the CPU."""

    def each(ours: Tensor, theirs: Tensor) -> Tensor:
        return centred_shift(ours, theirs).sum(0).cpu().double()

    return (_total(study.shared.map_logits(contexts, each, CHUNK)) / len(contexts)).float()


def scale_and_shift(study: Study, contexts: Contexts) -> tuple[float, Float[Tensor, " v"]]:
    """The s and c that make s * base + c nearest to the fitted logits, by least squares.

    One number for all contexts and one per token: a temperature and a static bias together.
    Logits are centred over the vocabulary first. Where no s above 0 fits better than a constant,
    s is 0, and c alone orders the tokens.

    Returns:
        s, and c in float32 on the CPU.
    """

    def each(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        a, b = _centred(ours), _centred(theirs)
        parts = (a.sum(0), b.sum(0), (a * a).sum(), (a * b).sum())
        return tuple(part.cpu().double() for part in parts)  # pyright: ignore[reportReturnType]

    columns = zip(*study.shared.map_logits(contexts, each, CHUNK), strict=True)
    base, fitted, square, product = (_total(column) for column in columns)
    n = len(contexts)
    spread = float(square - base @ base / n)
    scale = max(0.0, float(product - base @ fitted / n) / spread) if spread > 0 else 1.0
    return scale, ((fitted - scale * base) / n).float()


def _centred(logits: Float[Tensor, "n v"]) -> Float[Tensor, "n v"]:
    wide = logits.double()
    return wide - wide.mean(-1, keepdim=True)


def rank_gainers(study: Study, contexts: Contexts, count: int) -> Int[Tensor, " count"]:
    """The tokens whose rank improves most from base to fitted: largest mean fall of log rank.

    Measured on an even choice of at most `sizes.order_contexts` contexts; of equal falls the
    lowest id comes first.
    """
    chosen = _even(contexts, study.sizes.order_contexts)

    def each(ours: Tensor, theirs: Tensor) -> Tensor:
        return (_log_ranks(ours) - _log_ranks(theirs)).sum(0, dtype=torch.float64).cpu()

    return order_rows(_total(study.shared.map_logits(chosen, each, CHUNK)))[:count]


def _log_ranks(logits: Float[Tensor, "n v"]) -> Float[Tensor, "n v"]:
    order = order_rows(logits)
    places = torch.arange(1, logits.shape[-1] + 1, device=logits.device).float().log()
    return torch.empty_like(logits).scatter_(-1, order, places.expand_as(order))


def _even(contexts: Contexts, count: int) -> Contexts:
    """At most `count` contexts, evenly spaced over the rows and positions."""
    count = min(count, len(contexts))
    return contexts.where(torch.linspace(0, len(contexts) - 1, count).long())


@dataclass(frozen=True)
class FittedBias:
    """A bias fitted by gradient.

    Attributes:
        bias: float32 on the CPU.
        losses: mean KL(fitted || base + bias) at every step where the bias is fitted, nats.
        held_losses: the same on the prompts kept aside; empty where none was.
        chosen: the step whose bias it is.
    """

    bias: Float[Tensor, " v"]
    losses: tuple[float, ...]
    held_losses: tuple[float, ...]
    chosen: int


@dataclass
class _Part:
    """The base's logits at some contexts and two sums of the fitted ones: all that the loss needs.

    mean KL(p || softmax(l + b)) = mean sum p (log p - l) - (mean p) . b + mean logsumexp(l + b)

    Each process holds the logits of its share of the contexts; the sums are over all, and what is
    decided by is the first process's: hardware may differ in the last bit.
    """

    logits: list[Tensor]
    wanted: Tensor
    constant: float
    count: int
    processes: Processes

    def loss(self, bias: Tensor) -> tuple[float, Tensor]:
        """Mean KL in nats at `bias`, and the mean predicted distribution `[v]`."""
        predicted = torch.zeros_like(self.wanted)
        total = 0.0
        for rows in self.logits:
            shifted = rows + bias
            top = shifted.amax(-1, keepdim=True)
            weights = shifted.sub_(top).exp_()
            mass = weights.sum(-1)
            total += float((mass.log() + top.squeeze(-1)).sum())
            predicted += mass.reciprocal() @ weights
        total, predicted = _together(self.processes, total, predicted)
        predicted /= self.count
        loss = self.constant - float(self.wanted @ bias) + total / self.count
        return self.processes.everywhere(loss)[0], predicted


def fit_bias(study: Study, contexts: Contexts, shift: Tensor, steps: int) -> FittedBias:
    """The bias b with the least mean KL(fitted || softmax(base + b)), a convex problem.

    At most 1024 calibration contexts (fewer when their logits would take more than 512 MB). Each
    step multiplies every token's odds by its wanted over its predicted frequency, with one count
    added to both so that tokens never seen stay where they are; this never raises the loss
    (Jensen), and Nesterov momentum with restarts speeds it up. It starts from the best multiple
    (0 to 1) of the mean shift. Every fourth prompt is kept aside: the step that is best there is
    taken (early stopping), and the search ends when nothing was gained there for 10 steps.

    Args:
        study: the pair.
        contexts: calibration contexts.
        shift: mean shift over them.
        steps: most optimiser steps.
    """
    room = FIT_BYTES // (4 * study.base.vocab_size)
    fit, held = _parts(study, _even(contexts, max(2, min(FIT_CONTEXTS, room))))
    shift = shift.to(fit.wanted)
    _, start = min((held.loss(alpha * shift)[0], alpha) for alpha in START_ALPHAS)
    current = ahead = start * shift
    kept, least, chosen, pace = current, math.inf, 0, 0
    losses: list[float] = []
    aside: list[float] = []
    for number in range(steps + 1):
        loss, predicted = fit.loss(ahead)
        losses.append(max(loss, 0.0))
        there = loss if held is fit else held.loss(ahead)[0]
        aside.append(max(there, 0.0))
        if there < least - 1e-6:
            kept, least, chosen = ahead, there, number
        if number - chosen >= PATIENCE:
            break
        step = ((fit.wanted * fit.count + 1) / (predicted * fit.count + 1)).log()
        following = ahead + step
        uphill = float((predicted - fit.wanted) @ (following - current)) > 0
        uphill = study.run.processes.everywhere(uphill)[0]
        pace = 0 if uphill else pace + 1
        current, ahead = following, following + pace / (pace + 3) * (following - current)
    apart = () if held is fit else tuple(aside)
    bias = study.run.processes.everywhere(kept.float().cpu())[0]
    return FittedBias(bias, tuple(losses), apart, chosen)


def _parts(study: Study, contexts: Contexts) -> tuple[_Part, _Part]:
    """The part that is fitted to and the part kept aside; the same one below four prompts."""
    prompts = contexts.row.unique().tolist()
    aside = prompts[HELD_EVERY - 1 :: HELD_EVERY]
    if not aside:
        part = _part(study, contexts)
        return part, part
    fitted_to = [row for row in prompts if row not in aside]
    return _part(study, contexts.in_rows(fitted_to)), _part(study, contexts.in_rows(aside))


def _part(study: Study, contexts: Contexts) -> _Part:
    base, fitted, shared = study.base, study.fitted, study.run.processes
    kept, constant = [], 0.0
    wanted = torch.zeros(base.vocab_size, device=base.device)
    for _, ours, theirs in paired_logits(base, fitted, contexts, CHUNK, shared):
        log_p = theirs.log_softmax(-1)
        weight = log_p.exp()
        wanted += weight.sum(0)
        constant += float(torch.einsum("nv,nv->n", weight, log_p - ours).sum())
        kept.extend(ours.split(_rows_in_cache(ours)))
    count = len(contexts)
    constant, wanted = _together(shared, constant, wanted)
    return _Part(kept, wanted / count, constant / count, count, shared)


def _together(processes: Processes, number: float, tensor: Tensor) -> tuple[float, Tensor]:
    """Both summed over all processes."""
    if processes.size == 1:
        return number, tensor
    both = torch.cat([torch.tensor([number], dtype=torch.float64), tensor.cpu().double()])
    both = processes.summed(both)
    return float(both[0]), both[1:].to(tensor)


def _total(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum(0)


def _rows_in_cache(logits: Tensor) -> int:
    budget = 1 << (20 if logits.device.type == "cpu" else 26)
    return max(1, budget // logits.shape[-1])
