"""Words beside C12: random and old directions, and what it says beside growth."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.new_dimensions.directions import LEADING, RANDOM, WHOLE
from hyperinterp.claims.new_dimensions.result import NewDimensionsResult
from hyperinterp.claims.spec import Beaten, Claim, Verdict


def beats(result: NewDimensionsResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield what had to be beaten."""
    words = {
        RANDOM: "undone by random directions of equal variance",
        LEADING: "undone by the base's own leading directions",
        WHOLE: "undone by the base's whole stream",
    }
    for kind, told in words.items():
        for item in result.of(kind):
            if item.declared or kind == WHOLE:
                yield Beaten(told, item.moved, 0)


def caveat(claim: Claim, result: NewDimensionsResult) -> str:
    """Return why there was nothing to remove; "" where there was."""
    if result.declared:
        return ""
    return (
        "Nothing has grown outside the base's leading directions at the last block, so there is "
        "nothing to remove: whatever changed was not carried by new dimensions."
    )


def notes(claims: Mapping[str, Claim]) -> Iterator[str]:
    """Yield what the verdict says beside that on growth."""
    growth, carried = claims.get("C5"), claims.get("C12")
    if growth is None or carried is None:
        return
    if growth.verdict is Verdict.SUPPORTED and carried.verdict is Verdict.NOT_SUPPORTED:
        yield (
            "Growth marks the change and does not carry it on this pair: the space grows most in "
            "the last block, but without its new dimensions most of the change remains."
        )
