"""Words beside C13: the other placements, and what the verdict depends on."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.placement.result import PlacementResult
from hyperinterp.claims.spec import Beaten, Claim


def beats(result: PlacementResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield the gains of the other placements."""
    for twin in result.twins:
        if twin.role == "elsewhere":
            where = twin.name if twin.blocks is None else f"{twin.name}, blocks {twin.blocks}"
            yield Beaten(f"gain of {where}", twin.gain, condition=1)


def caveat(claim: Claim, result: PlacementResult) -> str:
    """Return which twins do not count, and what nobody recorded of them; "" without either."""
    found = [f"{twin.name} is set aside: {twin.apart}." for twin in result.set_aside]
    trained = result.twins[1:]
    unknown = [
        words
        for words, field in (
            ("blocks", "blocks"), ("trained parameters", "trainable_parameters"),
            ("training loss", "train_loss"),
        )
        if any(getattr(twin, field) is None for twin in trained)
    ]  # fmt: skip
    if unknown:
        found.append(
            f"Not recorded with every twin: {', '.join(unknown)}. That they differ in the place of "
            "the trained blocks alone is the user's word."
        )
    return " ".join(found)
