"""A claim as data: rules, measured values, verdicts, and the claim's folder."""

import math
from dataclasses import dataclass
from enum import StrEnum

from hyperinterp.brief import Brief, rounded
from hyperinterp.claims.folder import Folder
from hyperinterp.claims.roles import Kind, Role


class Verdict(StrEnum):
    """The verdicts on a claim."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTED = "not tested"
    FAILED = "failed"


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
class Criterion:
    """One declared condition: what is compared with which threshold, and in which direction.

    Attributes:
        key: name of the quantity.
        words: what it is.
        threshold: what it is held against.
        above: it has to lie above the threshold, else below.
        optional: it holds only where its quantity was measured; never the first of a rule.
    """

    key: str
    words: str
    threshold: float
    above: bool = True
    optional: bool = False


@dataclass(frozen=True)
class Rule:
    """A claim's statement and everything that has to hold for it.

    Attributes:
        statement: the claim.
        unit: unit of the effect (the first criterion).
        null: the control to be beaten.
        criteria: all of them must hold; the first one is the effect.
    """

    statement: str
    unit: str
    null: str
    criteria: tuple[Criterion, ...]


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
        id: short name of the claim.
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


@dataclass(frozen=True)
class Beaten:
    """A value of what a claim had to beat, or the fitted model's own beside it.

    Attributes:
        words: what it is.
        measured: the value.
        condition: index of the condition on whose scale it lies; None when it is on another.
    """

    words: str
    measured: Measured
    condition: int | None = None


@dataclass(frozen=True)
class Published:
    """A value of this pair of which papers on hyperfitting report the like.

    Attributes:
        quantity: its name, as `hyperinterp.report.papers` lists them.
        model: "base", "base at T*" or "fitted"; "" where it is of the pair.
        measured: the value.
    """

    quantity: str
    model: str
    measured: Measured


@dataclass(frozen=True)
class Section:
    """A further section of a claim on the page, beside its own.

    Attributes:
        id: its anchor; a chart belongs to the section that it names.
        title: heading.
        question: what it asks.
        nothing: what to say where there is nothing to show.
    """

    id: str
    title: str
    question: str
    nothing: str = ""


@dataclass(frozen=True)
class ClaimSpec(Folder):
    """One claim: its rule, what it needs, and the folder that measures and shows it.

    The folder is a Python package with `measurement.py` (`measure`, `quantities` and, where the
    models generate text for it, `prepare`), `result.py`, and where there is something to show
    `figures.py` (`charts`), `tables.py` (`tables`), `texts.py` (`texts`) and `words.py` (`beats`,
    `caveat`, `notes`, `published`). They are imported when they are needed.

    Attributes:
        id: short name in tables: a capital, then letters or digits.
        slug: name of its result in a report: a lower-case identifier.
        title: heading of its section.
        question: what the section asks.
        rule: what is claimed, and what has to hold for it.
        needs: what has to be given to test it, in words.
        package: the folder, as a dotted name: `__name__` of its `__init__.py`.
        result: name of the class in `result.py` that `measure` returns.
        roles: checkpoints and texts beside the pair that it needs or takes; measured on the corpus
            where a role is one and it is given.
        least_prompts: fewest held-out prompts that it can be tested on.
        runs: shared runs that are made, or made wider, for it: "moments", "followed" or "half";
            "patches" (replays of both models) is told to a plan.
        sections: further sections on the page.
        first: the further sections stand before the claim's own.
    """

    id: str
    slug: str
    title: str
    question: str
    rule: Rule
    needs: str
    package: str
    result: str
    roles: tuple[Role, ...] = ()
    least_prompts: int = 2
    runs: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    first: bool = False

    @property
    def corpus(self) -> bool:
        """It is measured on the corpus, where one is given."""
        return any(role.kind is Kind.CORPUS for role in self.roles)
