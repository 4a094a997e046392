"""What every analysis hands over: measured figures with intervals, and claims with verdicts."""

import math
from dataclasses import dataclass
from enum import StrEnum

from hyperinterp.block import Brief, rounded
from probes import Estimate


class Verdict(StrEnum):
    """The four things that can be said of a claim."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Measured(Brief):
    """One figure, or the reason why there is none. Never NaN.

    Attributes:
        value: the figure; None when it is missing.
        lo: lower end of the interval; None without one.
        hi: upper end of the interval; None without one.
        n: how many units (prompts, mostly) stand behind it.
        unit: what was resampled, e.g. "prompt"; "" without an interval.
        method: how the interval was made; "" without one.
        reason: why the figure is missing; "" when it is there.
    """

    value: float | None
    lo: float | None = None
    hi: float | None = None
    n: int = 0
    unit: str = ""
    method: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        for name in ("value", "lo", "hi"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"Measured.{name}: expected a finite number or None, got {number}")
        if self.value is None and not self.reason:
            raise ValueError("Measured: a missing figure needs a reason")

    def __repr__(self) -> str:
        unit = f" {self.unit}{'s' * (self.n != 1)}" if self.unit else ""
        return f"Measured({self.inside()}{f', n = {self.n}{unit}' if self.n else ''})"

    def inside(self) -> str:
        """The figure with its interval, or why there is none."""
        if self.value is None:
            return f"None: {self.reason}"
        if self.lo is None or self.hi is None:
            return rounded(self.value)
        return f"{rounded(self.value)} [{rounded(self.lo)}, {rounded(self.hi)}]"


def measured(estimate: Estimate) -> Measured:
    """A resampling estimate as a report figure; missing where a number overflowed."""
    ends = (estimate.value, estimate.lo, estimate.hi)
    if not all(map(math.isfinite, ends)):
        return missing("the values are too large for an interval in double precision")
    return Measured(
        value=estimate.value,
        lo=estimate.lo,
        hi=estimate.hi,
        n=estimate.n,
        unit=estimate.unit,
        method=estimate.method,
    )


def missing(reason: str) -> Measured:
    """A figure that is not there, with the reason."""
    return Measured(value=None, reason=reason)


@dataclass(frozen=True)
class Pair(Brief):
    """One measure on both models and their paired difference (fitted minus base)."""

    base: Measured
    fitted: Measured
    delta: Measured

    def inside(self) -> str:
        """Both figures without the difference."""
        return f"{self.base.inside()} → {self.fitted.inside()}"


@dataclass(frozen=True)
class Condition(Brief):
    """One thing that has to hold for a claim.

    Attributes:
        words: the condition, readable without the code.
        measured: the figure that it is about.
        threshold: what the figure is held against.
        above: True when the figure must lie above the threshold, False for below.
        outcome: supported when the whole interval lies on the right side, not supported when
            it lies on the wrong side (touching counts as wrong), inconclusive otherwise.
    """

    words: str
    measured: Measured
    threshold: float
    above: bool
    outcome: Verdict


@dataclass(frozen=True)
class Claim(Brief):
    """One row of the report.

    Attributes:
        id: C1 to C9.
        statement: the claim in one sentence.
        verdict: what the figures say of it.
        effect: the primary figure; None when it was not tested.
        interval: [lo, hi] of the effect; None without one.
        unit: unit of the effect.
        n: units behind the effect.
        threshold: what the effect had to exceed, declared before measuring.
        null: the control that the claim had to beat.
        why: the verdict explained in plain words, with the figures.
        method: how the interval was made.
        p_value: the largest two-sided p of its conditions, where each has an interval.
        p_adjusted: the same, Holm-adjusted over the claims tested in this report.
        conditions: everything that had to hold; the first one is the effect.
    """

    id: str
    statement: str
    verdict: Verdict
    effect: float | None
    interval: tuple[float, float] | None
    unit: str
    n: int
    threshold: float | None
    null: str
    why: str
    method: str = ""
    p_value: float | None = None
    p_adjusted: float | None = None
    conditions: tuple[Condition, ...] = ()

    def __repr__(self) -> str:
        if self.effect is None or self.threshold is None:
            return f"Claim({self.id} {self.verdict})"
        effect = Measured(self.effect, *(self.interval or (None, None))).inside()
        return f"Claim({self.id} {self.verdict}: {effect} against {self.threshold:g}, n = {self.n})"
