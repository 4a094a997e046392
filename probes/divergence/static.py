"""Context-free changes of logits: the centred shift, one scale and shift, and the best bias."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from probes._foreign import Array, real, same_shape, widen
from probes.slices import row_slices

PATIENCE = 10
"""Steps without a gain on the contexts kept aside after which the search for a bias ends."""

START_ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Multiples of the mean shift from which the search for a bias may start."""


def _centred(logits: Float64[Tensor, "*contexts v"]) -> Float64[Tensor, "*contexts v"]:
    return logits - logits.mean(-1, keepdim=True)


def _pair(base: Array, fitted: Array, axes: str = "[... v]") -> tuple[Tensor, Tensor]:
    ndim = 2 if axes == "[n v]" else None
    ours = real(base, "base", ndim=ndim, axes=axes)
    theirs = real(fitted, "fitted", ndim=ndim, axes=axes)
    same_shape(ours, theirs, "base", "fitted")
    return ours, theirs


def centred_shift(base: Array, fitted: Array) -> Float64[Tensor, "*contexts v"]:
    """Fitted minus base logits, each row's mean over the vocabulary taken off.

    A constant added to all logits changes no probability, so it is no shift.

    Args:
        base: Logits [... v].
        fitted: The same shape.

    Returns:
        Float64 of the same shape.

    Raises:
        ValueError: for shapes or devices that differ, an empty input, NaN or infinity.

    >>> centred_shift(torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]))
    tensor([[ 1., -1.]], dtype=torch.float64)
    """
    ours, theirs = _pair(base, fitted)
    return _centred(widen(theirs, "fitted") - widen(ours, "base"))


class ScaleAndShift(NamedTuple):
    """One factor for all logits and one summand per token.

    Attributes:
        scale: The factor s, 0 or more.
        shift: The summands c, [v].
    """

    scale: float
    shift: Float64[Tensor, " v"]


@dataclass(frozen=True)
class ScaleShiftAccumulator:
    """Sums over contexts behind `scale_and_shift`; those of several chunks add up.

    Attributes:
        n: Contexts.
        base: Sum of the centred base logits, [v].
        fitted: Sum of the centred fitted logits, [v].
        square: Sum of all squared centred base logits.
        product: Sum of all products of centred base and fitted logits.
    """

    n: int
    base: Float64[Tensor, " v"]
    fitted: Float64[Tensor, " v"]
    square: Float64[Tensor, ""]
    product: Float64[Tensor, ""]

    @staticmethod
    def of(base: Array, fitted: Array) -> "ScaleShiftAccumulator":
        """The sums of logits [n v] of both models. Raises ValueError as `scale_and_shift`."""
        ours, theirs = _pair(base, fitted, "[n v]")
        a, b = _centred(widen(ours, "base")), _centred(widen(theirs, "fitted"))
        sums = (a.sum(0), b.sum(0), (a * a).sum(), (a * b).sum())
        return ScaleShiftAccumulator(len(a), *(item.cpu() for item in sums))

    @staticmethod
    def joined(chunks: Iterable["ScaleShiftAccumulator"]) -> "ScaleShiftAccumulator":
        """The sums of several chunks, at least one."""
        every = list(chunks)
        columns = zip(*((c.base, c.fitted, c.square, c.product) for c in every), strict=True)
        return ScaleShiftAccumulator(
            sum(c.n for c in every), *(torch.stack(column).sum(0) for column in columns)
        )

    def result(self) -> ScaleAndShift:
        """Solve for s and c; where no s above 0 fits better than a constant, s is 0."""
        spread = float(self.square - self.base @ self.base / self.n)
        along = float(self.product - self.base @ self.fitted / self.n)
        scale = max(0.0, along / spread) if spread > 0 else 1.0
        return ScaleAndShift(scale, (self.fitted - scale * self.base) / self.n)


def scale_and_shift(base: Array, fitted: Array) -> ScaleAndShift:
    """The s and c that make s * base + c nearest to the fitted logits, by least squares.

    One number for all contexts and one per token: a temperature and a static bias together.
    Logits are centred over the vocabulary first. Where no s above 0 fits better than a constant,
    s is 0, and c alone orders the tokens.

    Args:
        base: Logits [n v].
        fitted: The same shape.

    Returns:
        s, and c in float64 on the CPU.

    Raises:
        ValueError: for other shapes, devices that differ, an empty input, NaN or infinity.
    """
    return ScaleShiftAccumulator.of(base, fitted).result()


@dataclass
class BiasLoss:
    """Mean KL(p || softmax(l + b)) over contexts as a function of a bias b on the logits l.

    mean KL = mean sum p (log p - l) - (mean p) . b + mean logsumexp(l + b), so the logits l and
    two sums over p are all that it needs. A share of the contexts can be held: `sums` is what
    shares add up.

    Attributes:
        logits: Base logits in pieces [m v].
        wanted: Sum over contexts of the fitted distribution p, [v].
        constant: Sum over contexts of sum p (log p - l), in nats.
        count: Contexts.
    """

    logits: list[Tensor]
    wanted: Float[Tensor, " v"]
    constant: float
    count: int

    @classmethod
    def of(
        cls, chunks: Iterable[tuple[Tensor, Tensor]], nothing: Tensor | None = None
    ) -> "BiasLoss":
        """The loss over chunks of base and fitted logits [n v]; computed in their dtype.

        Args:
            chunks: Pairs of logits.
            nothing: Zeros [v], for a share that may hold no chunk.

        Raises:
            ValueError: for shapes or devices that differ, or no chunk without `nothing`.
        """
        kept: list[Tensor] = []
        constant, count = 0.0, 0
        wanted = nothing
        for base, fitted in chunks:
            ours, theirs = _pair(base, fitted, "[n v]")
            log_p = theirs.log_softmax(-1)
            weight = log_p.exp()
            wanted = weight.sum(0) if wanted is None else wanted + weight.sum(0)
            constant += float(torch.einsum("nv,nv->n", weight, log_p - ours).sum())
            slices = row_slices(*ours.shape, device=ours.device, itemsize=ours.itemsize)
            kept.extend(ours[rows] for rows in slices)
            count += len(ours)
        if wanted is None:
            raise ValueError("chunks: expected at least one, found none")
        return cls(kept, wanted, constant, count)

    def sums(self, bias: Float[Tensor, " v"]) -> tuple[float, Float[Tensor, " v"]]:
        """Sums of logsumexp(l + b) and of the predicted distribution over the contexts held."""
        predicted = torch.zeros_like(self.wanted)
        total = 0.0
        for rows in self.logits:
            shifted = rows + bias
            top = shifted.amax(-1, keepdim=True)
            weights = shifted.sub_(top).exp_()
            mass = weights.sum(-1)
            total += float((mass.log() + top.squeeze(-1)).sum())
            predicted += mass.reciprocal() @ weights
        return total, predicted

    def at(self, bias: Float[Tensor, " v"]) -> tuple[float, Float[Tensor, " v"]]:
        """Mean KL in nats at `bias`, and the mean predicted distribution."""
        total, predicted = self.sums(bias)
        predicted /= self.count
        loss = self.constant / self.count - float(self.frequencies @ bias) + total / self.count
        return loss, predicted

    @property
    def frequencies(self) -> Float[Tensor, " v"]:
        """The mean fitted distribution, [v]."""
        return self.wanted / self.count


@dataclass(frozen=True)
class FittedBias:
    """A bias fitted by `fitted_bias`.

    Attributes:
        bias: [v], where the logits are.
        losses: Mean KL(fitted || base + bias) at every step where the bias is fitted, nats.
        held_losses: The same on the contexts kept aside; empty where none were.
        chosen: The step whose bias it is.
    """

    bias: Float[Tensor, " v"]
    losses: tuple[float, ...]
    held_losses: tuple[float, ...]
    chosen: int


def _same(decision: bool) -> bool:
    return decision


def fitted_bias(
    fit: BiasLoss,
    held: BiasLoss,
    shift: Float[Tensor, " v"],
    steps: int,
    agreed: Callable[[bool], bool] = _same,
) -> FittedBias:
    """The bias b with the least mean KL(fitted || softmax(base + b)), a convex problem.

    Each step multiplies every token's odds by its wanted over its predicted frequency, with one
    count added to both so that tokens never seen stay where they are; this never raises the loss
    (Jensen), and Nesterov momentum with restarts speeds it up. It starts from the best multiple
    (0 to 1) of a given shift. The step that is best on the contexts kept aside is taken (early
    stopping), and the search ends when nothing was gained there for 10 steps.

    Args:
        fit: The loss that is made small.
        held: The loss on contexts kept aside, or `fit` itself.
        shift: A first guess, [v]; the mean centred shift.
        steps: Most steps.
        agreed: What all processes that share the contexts decide, given what this one would.

    >>> base = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    >>> loss = BiasLoss.of([(base, base + torch.tensor([0.5, -0.5]))])
    >>> round(fitted_bias(loss, loss, torch.tensor([0.5, -0.5]), 5).losses[0], 6)
    0.0
    """
    shift = shift.to(fit.wanted)
    _, start = min((held.at(alpha * shift)[0], alpha) for alpha in START_ALPHAS)
    current = ahead = start * shift
    wanted = fit.frequencies
    kept, least, chosen, pace = current, math.inf, 0, 0
    losses: list[float] = []
    aside: list[float] = []
    for number in range(steps + 1):
        loss, predicted = fit.at(ahead)
        losses.append(max(loss, 0.0))
        there = loss if held is fit else held.at(ahead)[0]
        aside.append(max(there, 0.0))
        if there < least - 1e-6:
            kept, least, chosen = ahead, there, number
        if number - chosen >= PATIENCE:
            break
        step = ((wanted * fit.count + 1) / (predicted * fit.count + 1)).log()
        following = ahead + step
        uphill = agreed(float((predicted - wanted) @ (following - current)) > 0)
        pace = 0 if uphill else pace + 1
        current, ahead = following, following + pace / (pace + 3) * (following - current)
    return FittedBias(kept, tuple(losses), () if held is fit else tuple(aside), chosen)
