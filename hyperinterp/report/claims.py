"""One claim in words: its side, its effect, what decided it, and what it lacks."""

import math
from collections.abc import Mapping

from hyperinterp.claims import registry
from hyperinterp.claims.running import NOT_ASKED
from hyperinterp.claims.spec import Claim, Condition, Verdict
from hyperinterp.claims.verdict import p_words
from hyperinterp.drawing.numbers import DASH, number, short, words
from hyperinterp.drawing.table import Table, table

_REASONS = ("Not tested: ", "Failed: ")
_MOST_TIMES = 100
_DECIDES = {
    Verdict.NOT_SUPPORTED: "fails",
    Verdict.INCONCLUSIVE: "undecided",
}


def above(claim: Claim) -> bool:
    """Return whether the effect has to lie above its threshold: as judged, else as declared."""
    if claim.conditions:
        return claim.conditions[0].above
    rules = {spec.id: spec.rule for spec in registry.every_claim()}
    return claim.id not in rules or rules[claim.id].criteria[0].above


def side(above: bool) -> str:
    """Above or below, in words."""
    return "above" if above else "below"


def required(claim: Claim) -> str:
    """The declared threshold, e.g. `above 0.05`."""
    return DASH if claim.threshold is None else f"{side(above(claim))} {short(claim.threshold)}"


def bound(claim: Claim) -> str:
    """The declared threshold as a sign and a number, e.g. `> 0.05`."""
    return (
        DASH
        if claim.threshold is None
        else f"{'>' if above(claim) else '<'} {short(claim.threshold)}"
    )


def effect_words(claim: Claim) -> str:
    """The effect with its interval, e.g. `0.358 [0.310, 0.400]`."""
    if claim.effect is None or claim.interval is None:
        return number(claim.effect)
    lo, hi = claim.interval
    return f"{number(claim.effect)} [{number(lo)}, {number(hi)}]"


def sentence(item: Condition) -> str:
    """A condition with its figure, what it needs, and how much is behind it."""
    figure, told = item.measured, item.words
    if figure.value is None:
        return f"{told}: no figure ({figure.reason})"
    told += ":" if told[-1].isdigit() else ""
    count = f", n\u00a0=\u00a0{figure.n}" if figure.n else ""
    return (
        f"{told} {words(figure)}, has to be {side(item.above)}\u00a0{short(item.threshold)}{count}"
    )


def decided(claim: Claim) -> str:
    """Return the reason of the verdict in one line; what was lacking for a claim not tested."""
    if claim.verdict in (Verdict.NOT_TESTED, Verdict.FAILED):
        return _reason(claim)
    if claim.verdict is Verdict.SUPPORTED:
        count = len(claim.conditions)
        known = {0: "", 1: "", 2: "both conditions hold"}
        return known.get(count, f"all {count} conditions hold")
    deciding = [item for item in claim.conditions if item.outcome is claim.verdict]
    if deciding:
        told = "; ".join(sentence(item) for item in deciding)
    else:
        together = DASH if claim.p_adjusted is None else p_words(claim.p_adjusted)
        told = f"with all claims of this report together (Holm) {together}"
    return f"{_DECIDES[claim.verdict]}: {told}"


def would_change(claim: Claim) -> str:
    """Return what would change a verdict; "" where something lacks, since that is told."""
    if claim.verdict in (Verdict.NOT_TESTED, Verdict.FAILED):
        return ""
    held = [item for item in claim.conditions if item.outcome is claim.verdict]
    if claim.verdict is Verdict.INCONCLUSIVE:
        told = [_undecided(item) for item in held]
        words = "; ".join(told) or "fewer claims at once (--claims), or more prompts"
        return f"{words[0].upper()}{words[1:]}."
    if claim.verdict is Verdict.NOT_SUPPORTED:
        return "; ".join(map(_missed, held)) + "."
    near = min(held, key=_room, default=None)
    if near is None:
        return ""
    return (
        f"An interval that reaches {short(near.threshold)}; the nearest to it is that of "
        f"“{near.words}”, which ends at {number(_near_end(near))}."
    )


def _missed(item: Condition) -> str:
    """Return what a condition that fails would need."""
    return (
        f"“{item.words}” would have to lie wholly {side(item.above)} {short(item.threshold)}, "
        f"where its interval ends at {number(_near_end(item))}"
    )


def _near_end(item: Condition) -> float | None:
    """The end of the interval that lies nearest to the threshold, for a decided condition."""
    return item.measured.lo if _beyond(item) else item.measured.hi


def _beyond(item: Condition) -> bool:
    value = item.measured.value
    return value is not None and value > item.threshold


def _room(item: Condition) -> float:
    """Distance of the interval to the threshold, in halves of the interval."""
    end, value = _near_end(item), item.measured.value
    if end is None or value is None:
        return math.inf
    return abs(end - item.threshold) / max(abs(value - end), 1e-12)


def _undecided(item: Condition) -> str:
    """Return the prompts that would decide it, if its value stays: widths fall as 1/sqrt(n)."""
    value, end = item.measured.value, _near_end(item)
    if value is None or end is None or value == item.threshold or not item.measured.n:
        return f"a value with an interval for “{item.words}”"
    factor = (abs(value - end) / abs(value - item.threshold)) ** 2
    outcome = "for" if _beyond(item) is item.above else "against"
    if factor > _MOST_TIMES:
        return f"more than {_MOST_TIMES} times the prompts, to decide “{item.words}”"
    needed = math.ceil(round(item.measured.n * factor, 6)) + 1
    return (
        f"about {needed:,} prompts, which would decide “{item.words}” {outcome} the claim if "
        f"{number(value)} stays"
    )


def unasked(claim: Claim) -> bool:
    """Return whether a claim was left out on purpose."""
    return claim.verdict is Verdict.NOT_TESTED and _reason(claim).startswith(NOT_ASKED)


def _reason(claim: Claim) -> str:
    told = claim.why
    for opening in _REASONS:
        told = told.removeprefix(opening)
    return told


def asked(claims: Mapping[str, Claim]) -> list[Claim]:
    """The claims that a reader asked for; all others are named in one line."""
    return [claim for claim in claims.values() if not unasked(claim)]


def left_out(claims: Mapping[str, Claim]) -> str:
    """The ids of the claims that were not asked for, or nothing."""
    return ", ".join(claim.id for claim in claims.values() if unasked(claim))


def claim_tables(claims: Mapping[str, Claim]) -> tuple[Table, ...]:
    """Return the claims, and every condition of every claim."""
    rows = (
        {
            "claim": claim.id, "statement": claim.statement, "verdict": str(claim.verdict),
            "effect": claim.effect, "lo": claim.interval[0] if claim.interval else None,
            "hi": claim.interval[1] if claim.interval else None, "unit": claim.unit,
            "n": claim.n, "threshold": claim.threshold, "null": claim.null,
            "p_value": claim.p_value, "p_adjusted": claim.p_adjusted, "method": claim.method,
            "why": claim.why,
        }
        for claim in claims.values()
    )  # fmt: skip
    conditions = (
        {
            "claim": claim.id, "condition": item.words, "value": item.measured,
            "required": "above" if item.above else "below", "threshold": item.threshold,
            "outcome": str(item.outcome),
        }
        for claim in claims.values()
        for item in claim.conditions
    )  # fmt: skip
    return table("claims", "Claims", rows), table("conditions", "Conditions", conditions)
