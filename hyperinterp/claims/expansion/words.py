"""Words beside C5: the largest growth of another block, and what favours the claim."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.expansion.result import ExpansionResult, SiteGeometry
from hyperinterp.claims.spec import Beaten, Claim, Published, Verdict
from hyperinterp.drawing.names import metric_name


def beats(result: ExpansionResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield what had to be beaten, and the last block's own value."""
    others = [
        (delta.value, site.label, delta)
        for site in _stream(result)
        if site.key != result.last_block
        and result.primary in site.metrics
        and (delta := site.metrics[result.primary].delta).value is not None
    ]
    if others:
        _, label, delta = max(others, key=lambda item: item[0])
        yield Beaten(f"largest growth of another block ({label})", delta)
    yield Beaten(f"growth of the last block ({metric_name(result.primary)})", result.last_delta)


def caveat(claim: Claim, result: ExpansionResult) -> str:
    """Return what favours a supported claim on this pair whatever the truth; "" for nothing."""
    if claim.verdict is not Verdict.SUPPORTED:
        return ""
    stream = _stream(result)
    same = 0
    while same < len(stream) and not stream[same].drift:
        same += 1
    if not same:
        return ""
    told = f"The first {same} of {len(stream)} blocks" if same > 1 else "The first block"
    have = "have" if same > 1 else "has"
    return (
        f"{told} {have} equal outputs in both models and could not grow: a pair trained in its "
        "last blocks only favours this claim. Test a twin trained in all layers as well."
    )


def _stream(result: ExpansionResult) -> list[SiteGeometry]:
    """The outputs of the blocks, before the final norm."""
    return [site for site in result.sites if site.kind == "resid"]


def published(result: ExpansionResult) -> Iterator[Published]:
    """Yield the growth of the last block's output and of the final norm's, uncorrected."""
    for site in _stream(result):
        if site.key == result.last_block and "pr" in site.metrics:
            yield Published("growth", "", site.metrics["pr"].delta)
    for site in result.sites:
        if not site.pre_norm and "pr" in site.metrics:
            yield Published("growth after the norm", "", site.metrics["pr"].delta)
