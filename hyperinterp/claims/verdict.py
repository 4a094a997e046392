"""Turn measured values into verdicts; each claim declares its own rule beside its measurement.

A condition holds when its whole interval lies on the right side of the threshold, fails when
it lies on the wrong side (touching it counts as wrong), and is undecided otherwise. A claim is
supported when all its conditions hold, not supported when any fails, else inconclusive. The
first condition is the claim's effect. No threshold depends on a result.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hyperinterp.claims.spec import Claim, ClaimSpec, Condition, Criterion, Measured, Rule, Verdict
from hyperinterp.drawing.numbers import short
from probes import holm
from probes.resampling.estimate import student_cdf, student_quantile

LEAST_P = sys.float_info.min
"""The least p value that is told apart: one of 0 would claim that chance is ruled out."""


def decide(measured: Measured, criterion: Criterion) -> Condition:
    """Hold one measured value against one declared threshold."""
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


def judge(spec: ClaimSpec, quantities: Mapping[str, Measured]) -> Claim:
    """Apply the declared rule of a claim to the measured quantities, by criterion key.

    Raises:
        KeyError: a criterion of the rule that is not optional has no quantity.
    """
    conditions = tuple(
        decide(quantities[item.key], item)
        for item in spec.rule.criteria
        if item.key in quantities or not item.optional
    )
    outcomes = [condition.outcome for condition in conditions]
    if Verdict.NOT_SUPPORTED in outcomes:
        verdict = Verdict.NOT_SUPPORTED
    elif all(outcome is Verdict.SUPPORTED for outcome in outcomes):
        verdict = Verdict.SUPPORTED
    else:
        verdict = Verdict.INCONCLUSIVE
    effect = conditions[0].measured
    return replace(
        _row(spec, verdict, explain(conditions)),
        effect=effect.value,
        interval=None if effect.lo is None or effect.hi is None else (effect.lo, effect.hi),
        n=effect.n,
        method=effect.method,
        p_value=p_value(conditions),
        conditions=conditions,
    )


def not_tested(spec: ClaimSpec, reason: str = "") -> Claim:
    """Return the row of a claim that these inputs cannot test, with what it would need."""
    why = f"Not tested: {reason}" if reason else f"Not tested: needs {spec.needs}."
    return _row(spec, Verdict.NOT_TESTED, why)


def failed(spec: ClaimSpec, reason: str) -> Claim:
    """Return the row of a claim whose own code broke, with the reason."""
    return _row(spec, Verdict.FAILED, f"Failed: {reason}")


def _row(spec: ClaimSpec, verdict: Verdict, why: str) -> Claim:
    rule: Rule = spec.rule
    return Claim(
        id=spec.id,
        statement=rule.statement,
        verdict=verdict,
        effect=None,
        interval=None,
        unit=rule.unit,
        n=0,
        threshold=rule.criteria[0].threshold,
        null=rule.null,
        why=why,
    )


def explain(conditions: Sequence[Condition]) -> str:
    """Every condition in plain words with its figures."""
    return " ".join(_sentence(condition) for condition in conditions)


def _sentence(condition: Condition) -> str:
    figure = condition.measured
    words = condition.words[0].upper() + condition.words[1:]
    wanted = f"{'above' if condition.above else 'below'} {short(condition.threshold)}"
    if figure.value is None:
        return f"{words}: no figure ({figure.reason}), so undecided."
    shown = short(figure.value)
    if figure.lo is not None and figure.hi is not None:
        shown += f" [{short(figure.lo)}, {short(figure.hi)}]"
    outcome = {
        Verdict.SUPPORTED: "holds",
        Verdict.NOT_SUPPORTED: "fails",
    }.get(condition.outcome, "undecided")
    return f"{words}: {shown}, required {wanted}: {outcome}."


def p_value(conditions: Sequence[Condition]) -> float | None:
    """Return the p-value of a claim: chance alone carrying it over its thresholds, in (0, 1].

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
