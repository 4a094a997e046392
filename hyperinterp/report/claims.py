"""One claim in words: its side, its effect, what decided it, and what it lacks."""

from collections.abc import Mapping

from hyperinterp.claims import registry
from hyperinterp.claims.running import NOT_ASKED
from hyperinterp.claims.spec import Claim, Condition, Verdict
from hyperinterp.claims.verdict import p_words
from hyperinterp.drawing.numbers import DASH, number, words
from hyperinterp.drawing.table import Table, table

_REASONS = ("Not tested: ", "Failed: ")
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
    return DASH if claim.threshold is None else f"{side(above(claim))} {claim.threshold:g}"


def bound(claim: Claim) -> str:
    """The declared threshold as a sign and a number, e.g. `> 0.05`."""
    return (
        DASH if claim.threshold is None else f"{'>' if above(claim) else '<'} {claim.threshold:g}"
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
    return f"{told} {words(figure)}, has to be {side(item.above)}\u00a0{item.threshold:g}{count}"


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
