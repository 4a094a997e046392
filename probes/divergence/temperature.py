"""The temperature at which one model's next-token entropy equals another's."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes._foreign import Array, values
from probes.divergence.measures import slope_rows
from probes.divergence.streams import Chunks, RowStream

_LOG_STEP = 3.0
_FLOOR = 1e-15
_RELATIVE_T = 1e-7


@dataclass(frozen=True)
class TemperatureMatch:
    """A solved temperature.

    Attributes:
        temperature: T, a scalar tensor, or one value per context ([...]).
        entropy: Entropy in nats reached at `temperature` (the mean over contexts, or per context).
        target: Entropy in nats that was asked for, of the same shape.
        clamped: int8; -1 where the target lies below every entropy that the row can have
            (T was set to the least one allowed), +1 where it lies above, 0 where it was solved.
        iterations: Passes over the logits.
        converged: Whether every value that is not clamped met the tolerance.
        reason: In words, why it stopped.
    """

    temperature: Float[Tensor, "*contexts"]
    entropy: Float[Tensor, "*contexts"]
    target: Float[Tensor, "*contexts"]
    clamped: Int[Tensor, "*contexts"]
    iterations: int
    converged: bool
    reason: str


def mean_entropy(
    logits_or_chunks: Array | Chunks, temperature: float | Array = 1.0
) -> Float[Tensor, ""]:
    """Mean over contexts of the entropy of softmax(logits / T), in [0, log v] nats.

    Args:
        logits_or_chunks: Logits [... v], or a function without arguments that returns an
            iterable of chunks [n_i v].
        temperature: One T > 0, or one per context.

    Returns:
        A float64 scalar on the CPU.

    Raises:
        ValueError: for T that is not positive and finite, an empty input, NaN or infinity.

    >>> float(mean_entropy(torch.zeros(3, 4), temperature=0.5).exp())
    4.0
    """
    given = values(temperature, "temperature").reshape(-1)
    if not bool((given > 0).all()):
        raise ValueError(f"temperature: expected values above 0, found {float(given.min())}")
    total, count = torch.zeros((), dtype=torch.float64), 0
    rows = RowStream(logits_or_chunks)
    for index, chunk in rows():
        if len(given) != 1 and int(index[-1]) >= len(given):
            raise ValueError(f"temperature: expected one per context, found only {len(given)}")
        at = (given if len(given) == 1 else given[index]).to(chunk.device)
        total += slope_rows(chunk, at)[0].sum().cpu()
        count += len(index)
    if len(given) not in (1, count):
        raise ValueError(f"temperature: expected 1 or {count} values, found {len(given)}")
    return total / count


def _evaluate(
    rows: RowStream, log_t: Tensor, active: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Entropies, slopes and row numbers at exp(log_t), in one pass over the logits."""
    found: list[Tensor] = []
    slopes: list[Tensor] = []
    index: list[Tensor] = []
    for at, chunk in rows(active):
        t = (log_t if len(log_t) == 1 else log_t[at]).exp().to(chunk.device)
        value, slope = slope_rows(chunk, t)
        found.append(value.cpu())
        slopes.append(slope.cpu())
        index.append(at)
    return torch.cat(found), torch.cat(slopes), torch.cat(index)


def _newton_step(value: Tensor, target: Tensor, slope: Tensor) -> Tensor:
    """Return the step to take off log T.

    Newton for log H, which is nearly linear in 1/T where the entropy is small and in log T where
    it is not; a flat entropy says no more than the direction.
    """
    ratio = (value / target).log() * value / slope
    flat = ~ratio.isfinite()
    step = torch.where(ratio > 0, ratio.clamp_min(0.0).log1p(), ratio)
    return torch.where(flat, (value - target).sign() * _LOG_STEP, step).clamp(-_LOG_STEP, _LOG_STEP)


@dataclass
class _Search:
    """State of one safeguarded Newton search in log T per entry; all tensors are [m]."""

    target: Tensor
    bounds: tuple[float, float]
    tolerance: float

    def __post_init__(self):
        self.x = torch.zeros_like(self.target)
        self.low = torch.full_like(self.target, -math.inf)
        self.high = torch.full_like(self.target, math.inf)
        self.value = torch.full_like(self.target, math.nan)
        self.clamped = torch.zeros(len(self.target), dtype=torch.int8)
        self.solved = torch.zeros(len(self.target), dtype=torch.bool)

    @property
    def active(self) -> Tensor:
        return ~self.solved & (self.clamped == 0)

    def step(self, at: Tensor, value: Tensor, slope: Tensor) -> None:
        """Take in the entropy and its slope at the entries `at`, and move those not solved."""
        x, gap = self.x[at], value - self.target[at]
        self.value[at] = value
        met = (gap.abs() <= self.tolerance) & (gap.abs() <= _RELATIVE_T * slope)
        self.solved[at] = met | (gap.abs() <= _FLOOR)
        below, above = math.log(self.bounds[0]), math.log(self.bounds[1])
        clamp = (gap > 0) & (x <= below), (gap < 0) & (x >= above)
        self.clamped[at] = clamp[1].to(torch.int8) - clamp[0].to(torch.int8)
        self.clamped[self.solved] = 0
        low = self.low[at] = torch.where(gap < 0, x, self.low[at])
        high = self.high[at] = torch.where(gap > 0, x, self.high[at])
        newton = x - _newton_step(value, self.target[at], slope)
        middle = (low + high) / 2
        outside = (newton <= low) | (newton >= high)
        moved = torch.where(outside & middle.isfinite(), middle, newton).clamp(below, above)
        stuck = (high - low) <= 4e-16 * x.abs().clamp_min(1.0)
        self.solved[at] |= stuck & (gap.abs() <= self.tolerance)
        self.x[at] = torch.where(self.active[at], moved, x)


def matched_temperature(
    logits: Array | Chunks,
    target_entropy: float | Array,
    per_context: bool = False,
    *,
    tolerance: float = 1e-9,
    max_iterations: int = 100,
    temperature_bounds: tuple[float, float] = (1e-6, 1e6),
) -> TemperatureMatch:
    """The T at which the entropy of softmax(logits / T) equals a target.

    By default one T for the MEAN entropy over contexts; with `per_context` one T for each. Entropy
    never falls as T grows (dH/dT = Var_p(l) / T^3), so the root is bracketed: Newton steps in
    log T, and bisection where a step leaves the bracket. Each iteration is one pass over the
    logits. Solved means within `tolerance` nats and, unless the entropy is exact to 1e-15 nats,
    within a relative 1e-7 of T.

    Args:
        logits: Shape [... v]; or a function without arguments that returns the same chunks
            [n_i v] each time it is called (logits too large to keep).
        target_entropy: Nats. A number, or one per context (without `per_context`: their mean).
        per_context: Solve each context for its own target (a number is taken for all).
        tolerance: Of the entropy, in nats.
        max_iterations: Passes over the logits after which to give up (`converged` is then False).
        temperature_bounds: Least and largest T. A target outside the entropies at these two is
            unreachable (below the limit log(number of ties at the top), or not below log v):
            without `per_context` an error; with it the row's T is clamped to that bound and
            flagged in `clamped`, and does not count against `converged`.

    Returns:
        A `TemperatureMatch` with float64 tensors on the CPU.

    Raises:
        ValueError: for an unreachable mean target, a negative target, wrong shapes, bounds that
            do not enclose 1, an empty input, NaN or infinity, or chunks that differ between passes.

    >>> base = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    >>> match = matched_temperature(base, mean_entropy(base, temperature=0.7))
    >>> round(float(match.temperature), 6)
    0.7
    """
    if not 0 < temperature_bounds[0] < 1 < temperature_bounds[1] < math.inf:
        raise ValueError(f"temperature_bounds: expected to enclose 1, found {temperature_bounds}")
    if max_iterations < 1:
        raise ValueError(f"max_iterations: expected at least 1, found {max_iterations}")
    rows, given = RowStream(logits), values(target_entropy, "target_entropy")
    if bool((given < 0).any()):
        raise ValueError(f"target_entropy: expected 0 nats or more, found {float(given.min())}")
    if given.ndim > 0 and rows.lead is not None and tuple(given.shape) != rows.lead:
        raise ValueError(
            f"target_entropy: expected shape {list(rows.lead)}, found {list(given.shape)}"
        )
    # One probe at T = 1 counts the contexts of a stream before the search is laid out.
    entropies, slopes, _ = _evaluate(rows, torch.zeros(1, dtype=torch.float64), None)
    if given.ndim > 0 and given.numel() != len(entropies):
        raise ValueError(f"target_entropy: expected {len(entropies)}, found {given.numel()} values")
    goal = given.reshape(-1).expand(len(entropies)) if per_context else given.mean()[None]
    search, passes = _Search(goal.clone(), temperature_bounds, tolerance), 1
    at = torch.arange(len(goal))
    while True:
        if per_context:
            search.step(at, entropies, slopes)
        else:
            search.step(at, entropies.mean()[None], slopes.mean()[None])
        active = search.active
        if passes == max_iterations or not bool(active.any()):
            return _result(search, rows, passes, per_context)
        entropies, slopes, index = _evaluate(rows, search.x, active if per_context else None)
        at = index if per_context else at
        passes += 1


def _result(search: _Search, rows: RowStream, passes: int, per_context: bool) -> TemperatureMatch:
    clamped, left = int((search.clamped != 0).sum()), int(search.active.sum())
    if clamped and not per_context:
        raise ValueError(
            f"target_entropy: expected a mean entropy that a temperature in {search.bounds} can "
            f"reach, found {float(search.target)} nats; the nearest is {float(search.value)}"
        )
    shape: tuple[int, ...] = ()
    if per_context:
        shape = rows.lead if rows.lead is not None else (len(search.x),)
    reason = f"{left} not solved in {passes} passes" if left else f"solved in {passes} passes"
    if clamped:
        reason += f"; {clamped} unreachable targets clamped"
    return TemperatureMatch(
        temperature=search.x.exp().reshape(shape),
        entropy=search.value.reshape(shape),
        target=search.target.reshape(shape),
        clamped=search.clamped.reshape(shape),
        iterations=passes,
        converged=left == 0,
        reason=reason,
    )
