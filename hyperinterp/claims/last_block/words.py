"""Words beside C6: other blocks and random changes, and what it says beside C5."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.last_block.result import LastBlockResult
from hyperinterp.claims.spec import Beaten, Claim, Measured, Verdict


def beats(result: LastBlockResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield what had to be beaten."""
    last = max((item.layers[-1] for item in result.patches if item.layers), default=-1)
    others = [
        (item.recovered_kl.value, item)
        for item in result.patches
        if item.kind == "block" and item.direction == "fitted into base"
        and item.layers != (last,) and item.recovered_kl.value is not None
    ]  # fmt: skip
    if others:
        _, best = max(others, key=lambda pair: pair[0])
        yield Beaten(f"recovered by another block at most ({best.label})", best.recovered_kl, 0)
    for band in result.nulls:
        if band.layer == last:
            largest = Measured(band.recovered_kl[2])
            words = f"by random changes of the same norm, largest of {band.draws}"
            yield Beaten(words, largest, 0)


def notes(claims: Mapping[str, Claim]) -> Iterator[str]:
    """Yield what the verdict says beside that on growth."""
    growth, cause = claims.get("C5"), claims.get("C6")
    if growth is None or cause is None:
        return
    if growth.verdict is Verdict.SUPPORTED and cause.verdict is Verdict.NOT_SUPPORTED:
        yield (
            "Growth and cause come apart on this pair: the space grows most in the last block, "
            "but patching that block alone does not reproduce the change."
        )
