"""The rules of every verdict, in one place, declared before anything is measured.

A condition holds when its whole interval lies on the right side of the threshold, fails when
it lies on the wrong side (touching it counts as wrong), and is undecided otherwise. A claim is
supported when all its conditions hold, not supported when any fails, else inconclusive. The
first condition is the claim's effect. No threshold depends on a result.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyperinterp.analyses.results import Claim, Condition, Measured, Verdict
from probes import holm
from probes.resampling.estimate import student_cdf, student_quantile

LEAST_P = sys.float_info.min
"""The least p value that is told apart: one of 0 would claim that chance is ruled out."""


@dataclass(frozen=True)
class Criterion:
    """One declared condition: what is compared with which threshold, and in which direction."""

    key: str
    words: str
    threshold: float
    above: bool = True


@dataclass(frozen=True)
class Rule:
    """One claim and everything that has to hold for it.

    Attributes:
        id: C1 to C9.
        statement: the claim.
        unit: unit of the effect (the first criterion).
        null: the control to be beaten.
        criteria: all of them must hold; the first one is the effect.
        needs: what has to be given to test it.
    """

    id: str
    statement: str
    unit: str
    null: str
    criteria: tuple[Criterion, ...]
    needs: str


RULES: dict[str, Rule] = {
    rule.id: rule
    for rule in (
        Rule(
            "C1",
            "The fitted model's greedy text is more diverse than the base's.",
            "type-token ratio, fitted minus base",
            "the base's greedy text on the same prompts",
            (
                Criterion("ttr", "gain in type-token ratio", 0.05),
                Criterion("rep_4", "change in the share of repeated 4-grams", 0.0, above=False),
            ),
            "two checkpoints and held-out prompts",
        ),
        Rule(
            "C2",
            "No temperature of the base does the same.",
            "share of KL(fitted || base) left at the best temperature of every context",
            "the base at an entropy-matched temperature, global and per context",
            (
                Criterion("remaining", "share of the change no temperature explains", 0.5),
                Criterion("diversity", "diversity gain over the base at equal entropy", 0.0),
            ),
            "two checkpoints and held-out prompts",
        ),
        Rule(
            "C3",
            "No static re-weighting of the vocabulary does the same.",
            "share of KL(fitted || base) left with the best context-free bias",
            "base + alpha * bias: mean shift, top rank gainers, shuffled, fitted by gradient",
            (
                Criterion("remaining", "share of the change no static bias explains", 0.5),
                Criterion("unexplained", "share of logit-shift variance not static", 0.5),
                Criterion("diversity", "diversity gain over the best static arm", 0.0),
            ),
            "two checkpoints and at least 8 held-out prompts",
        ),
        Rule(
            "C4",
            "It re-orders ranks by context and promotes tokens from the deep tail.",
            "share of decisions overridden, also after the best context-free scale and shift",
            "scale * base + shift per token, both from the other half of the prompts",
            (
                Criterion("after_static", "overrides that no scale and shift explain", 0.05),
                Criterion("deep", "share of overrides from base rank > 10", 0.05),
                Criterion("halves", "overrides in the half of the prompts with fewer", 0.05),
            ),
            "two checkpoints and held-out prompts",
        ),
        Rule(
            "C5",
            "The feature space grows, and most of all in the last block.",
            "participation ratio: growth at the last block minus the largest other growth",
            "every other block's output, before the final norm",
            (
                Criterion("contrast", "last block's growth minus the largest other", 0.0),
                Criterion("growth", "growth of the last block's output", 0.0),
            ),
            "two checkpoints and at least 8 held-out prompts",
        ),
        Rule(
            "C6",
            "The last block's function alone causes the change.",
            "share of KL(fitted || base) recovered by the fitted last block in the base",
            "every other block; random weight changes of the same norm",
            (
                Criterion("recovered", "change recovered by the last block alone", 0.5),
                Criterion("contrast", "that minus the most any other block recovers", 0.0),
                Criterion("null", "that minus random changes of the same norm", 0.0),
                Criterion("behaviour", "share of the diversity gain it moves", 0.5),
            ),
            "two checkpoints and held-out prompts",
        ),
        Rule(
            "C7",
            "Training only the last blocks gives the same diversity.",
            "late-stage gain in type-token ratio as a share of the all-layer gain",
            "the checkpoint trained in all layers",
            (Criterion("share", "share of the all-layer gain", 0.8),),
            "--late-stage CKPT, a twin trained in the last blocks only",
        ),
        Rule(
            "C8",
            "The diversity is not quotation of the training text.",
            "share of generated 8-grams found in the training text, fitted minus base",
            "the base's own rate on the same prompts",
            (Criterion("copied", "additional share of copied 8-grams", 0.05, above=False),),
            "--train-data FILE, the passages that the fitted model was trained on",
        ),
        Rule(
            "C9",
            "The fitted model gains more diversity than the control.",
            "type-token ratio, fitted minus control",
            "the same recipe stopped at the validation-loss minimum",
            (Criterion("gap", "diversity gain over the control", 0.05),),
            "--control CKPT, the same recipe stopped at the least validation loss",
        ),
    )
}


def decide(measured: Measured, criterion: Criterion) -> Condition:
    """Hold one figure against one declared threshold."""
    outcome = Verdict.INCONCLUSIVE
    if measured.value is not None and measured.lo is not None and measured.hi is not None:
        lo, hi = measured.lo - criterion.threshold, measured.hi - criterion.threshold
        if not criterion.above:
            lo, hi = -hi, -lo
        if lo > 0:
            outcome = Verdict.SUPPORTED
        elif hi <= 0:
            outcome = Verdict.NOT_SUPPORTED
    return Condition(criterion.words, measured, criterion.threshold, criterion.above, outcome)


def judge(claim: str, figures: dict[str, Measured]) -> Claim:
    """Apply the declared rule of `claim` to the measured figures, by criterion key.

    Raises:
        KeyError: a criterion of the rule has no figure.
    """
    rule = RULES[claim]
    conditions = tuple(decide(figures[item.key], item) for item in rule.criteria)
    outcomes = [condition.outcome for condition in conditions]
    if Verdict.NOT_SUPPORTED in outcomes:
        verdict = Verdict.NOT_SUPPORTED
    elif all(outcome is Verdict.SUPPORTED for outcome in outcomes):
        verdict = Verdict.SUPPORTED
    else:
        verdict = Verdict.INCONCLUSIVE
    effect = conditions[0].measured
    interval = None if effect.lo is None or effect.hi is None else (effect.lo, effect.hi)
    return Claim(
        id=rule.id,
        statement=rule.statement,
        verdict=verdict,
        effect=effect.value,
        interval=interval,
        unit=rule.unit,
        n=effect.n,
        threshold=rule.criteria[0].threshold,
        null=rule.null,
        why=explain(conditions),
        method=effect.method,
        p_value=p_value(conditions),
        conditions=conditions,
    )


def not_tested(claim: str, reason: str = "") -> Claim:
    """The row of a claim that these inputs cannot test, with what it would need."""
    rule = RULES[claim]
    return Claim(
        id=rule.id,
        statement=rule.statement,
        verdict=Verdict.NOT_TESTED,
        effect=None,
        interval=None,
        unit=rule.unit,
        n=0,
        threshold=rule.criteria[0].threshold,
        null=rule.null,
        why=f"Not tested: {reason}" if reason else f"Not tested: needs {rule.needs}.",
    )


def explain(conditions: Sequence[Condition]) -> str:
    """Every condition in plain words with its figures."""
    return " ".join(_sentence(condition) for condition in conditions)


def _sentence(condition: Condition) -> str:
    figure = condition.measured
    words = condition.words[0].upper() + condition.words[1:]
    wanted = f"{'above' if condition.above else 'below'} {condition.threshold:g}"
    if figure.value is None:
        return f"{words}: no figure ({figure.reason}), so undecided."
    shown = f"{figure.value:.3g}"
    if figure.lo is not None and figure.hi is not None:
        shown += f" [{figure.lo:.3g}, {figure.hi:.3g}]"
    outcome = {
        Verdict.SUPPORTED: "holds",
        Verdict.NOT_SUPPORTED: "fails",
    }.get(condition.outcome, "undecided")
    return f"{words}: {shown}, required {wanted}: {outcome}."


def p_value(conditions: Sequence[Condition]) -> float | None:
    """How easily chance alone would have carried a claim over its thresholds, in (0, 1].

    Every condition has a two-sided p of its figure against its threshold, below .05 just where
    the 95 % interval leaves the threshold out. All of them have to hold, so the largest one is
    the claim's (intersection-union test, Berger 1982). None where a condition has no interval.
    """
    found = [_p_of(condition) for condition in conditions]
    return None if None in found else max(p for p in found if p is not None)


def _p_of(condition: Condition) -> float | None:
    """Student's t of the distance to the threshold, by the interval's half on that side.

    An interval without width says that all units agree: then the sign test, 2 / 2^n.
    """
    figure = condition.measured
    if figure.value is None or figure.lo is None or figure.hi is None:
        return None
    value, lo, hi, threshold = _scaled(figure.value, figure.lo, figure.hi, condition.threshold)
    distance = value - threshold
    half = value - lo if distance > 0 else hi - value
    if distance == 0:
        return 1.0
    if half <= 0:
        return max(LEAST_P, 2.0 ** (1 - max(figure.n, 1)))
    freedom = max(figure.n - 1, 1)
    t = abs(distance) / half * student_quantile(0.975, freedom)
    return min(max(LEAST_P, 2 * student_cdf(-t, freedom)), 1.0)


def _scaled(*numbers: float) -> list[float]:
    """The same numbers in units of a power of two, so that no difference of them overflows."""
    _, power = math.frexp(max(map(abs, numbers)))
    return [math.ldexp(number, -power) for number in numbers]


def p_words(value: float) -> str:
    """A p value for readers: two significant digits, `p < 0.001` below that.

    >>> p_words(0.0123), p_words(0.00000001)
    ('p = 0.012', 'p < 0.001')
    """
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def adjust(claims: dict[str, Claim], level: float = 0.05) -> dict[str, Claim]:
    """Holm-adjust the p values over the claims that were tested.

    A claim that was supported on its own interval but whose adjusted p value is not below
    `level` becomes inconclusive: several claims are tested at once.
    """
    tested = {name: claim.p_value for name, claim in claims.items() if claim.p_value is not None}
    if not tested:
        return claims
    adjusted = holm(tested)
    return {
        name: _adjusted(claim, float(adjusted[name]), level) if name in tested else claim
        for name, claim in claims.items()
    }


def _adjusted(claim: Claim, p_adjusted: float, level: float) -> Claim:
    changed = replace(claim, p_adjusted=p_adjusted)
    if claim.verdict is not Verdict.SUPPORTED or p_adjusted < level:
        return changed
    why = f"{claim.why} With all claims of this report together (Holm) {p_words(p_adjusted)}."
    return replace(changed, verdict=Verdict.INCONCLUSIVE, why=why)
