"""What stands beside a claim: figures of what it had to beat, and what favours it unduly."""

from collections.abc import Iterator
from dataclasses import dataclass

from hyperinterp.analyses.bias_texts import label
from hyperinterp.analyses.geometry import GeometryBlock, SiteGeometry
from hyperinterp.analyses.results import Claim, Measured, Verdict
from hyperinterp.analyses.temperature import AT_CONTEXT, FITTED_SAMPLED
from hyperinterp.analyses.transplant import TransplantBlock
from hyperinterp.report.schema import Report


@dataclass(frozen=True)
class Null:
    """A figure of what a claim had to beat, or the fitted model's own beside it.

    Attributes:
        words: what it is.
        figure: the figure.
        condition: index of the condition on whose scale it lies; None when it is on another.
    """

    words: str
    figure: Measured
    condition: int | None = None


def nulls(report: Report, claim: Claim) -> tuple[Null, ...]:
    """Every figure in the report of what a tested claim had to beat."""
    if claim.verdict is Verdict.NOT_TESTED or claim.id not in _FOUND:
        return ()
    return tuple(item for item in _FOUND[claim.id](report) if item.figure.value is not None)


def _diversity(report: Report) -> Iterator[Null]:
    if report.diversity is not None and "ttr" in report.diversity.scores:
        base = report.diversity.scores["ttr"].base
        yield Null("type-token ratio of the base", base)
        yield from _fitted(report)


def _fitted(report: Report) -> Iterator[Null]:
    if report.diversity is not None and "ttr" in report.diversity.scores:
        yield Null("of the fitted model", report.diversity.scores["ttr"].fitted)


def _temperature(report: Report) -> Iterator[Null]:
    block = report.temperature
    if block is None:
        return
    if block.kl.value and block.kl_global.value is not None:
        share = Measured(block.kl_global.value / block.kl.value)
        yield Null("share left at one temperature for all contexts", share, 0)
    for arm in block.arms:
        if arm.name in (AT_CONTEXT, FITTED_SAMPLED):
            yield Null(f"type-token ratio, {arm.name}", arm.ttr)


def _static_bias(report: Report) -> Iterator[Null]:
    block = report.static_bias
    if block is None:
        return
    if block.explained_shuffled.value is not None:
        share = Measured(1 - block.explained_shuffled.value)
        yield Null("variance not static, with the shift shuffled", share, 1)
    for arm in block.arms:
        if block.best_arm == label((arm.bias, arm.alpha)):
            yield Null(f"type-token ratio, {block.best_arm}", arm.ttr)
    yield Null("of the fitted model", block.fitted_ttr)


def _ranks(report: Report) -> Iterator[Null]:
    if report.ranks is not None:
        rate = report.ranks.teacher_forced.override_rate
        yield Null("share overridden without any shift of the base", rate, 0)


def _stream(block: GeometryBlock) -> list[SiteGeometry]:
    """The outputs of the blocks, before the final norm."""
    return [site for site in block.sites if site.kind == "resid"]


def _geometry(report: Report) -> Iterator[Null]:
    block = report.geometry
    if block is None:
        return
    others = [
        (delta.value, site.label, delta)
        for site in _stream(block)
        if site.key != block.last_block
        and block.primary in site.metrics
        and (delta := site.metrics[block.primary].delta).value is not None
    ]
    if others:
        _, label, delta = max(others, key=lambda item: item[0])
        yield Null(f"largest growth of another block ({label})", delta)
    yield Null("growth of the last block", block.last_delta)


def _transplant(report: Report) -> Iterator[Null]:
    block = report.transplant
    if block is None:
        return
    last = _last_block(block)
    others = [
        (item.recovered_kl.value, item)
        for item in block.transplants
        if item.kind == "block" and item.direction == "fitted into base"
        and item.layers != (last,) and item.recovered_kl.value is not None
    ]  # fmt: skip
    if others:
        _, best = max(others, key=lambda pair: pair[0])
        yield Null(f"recovered by another block at most ({best.label})", best.recovered_kl, 0)
    for band in block.nulls:
        if band.layer == last:
            largest = Measured(band.recovered_kl[2])
            yield Null(f"by random changes of the same norm, largest of {band.draws}", largest, 0)


def _last_block(block: TransplantBlock) -> int:
    return max((item.layers[-1] for item in block.transplants if item.layers), default=-1)


def _sufficiency(report: Report) -> Iterator[Null]:
    block = report.sufficiency
    if block is None:
        return
    for twin in block.twins:
        if twin.role in ("base", "fitted"):
            yield Null(f"type-token ratio of {twin.name}", twin.ttr)


def _quotation(report: Report) -> Iterator[Null]:
    if report.quotation is not None:
        pair = report.quotation.copied_share
        yield Null("copied share in the base's text", pair.base)
        yield Null("in the fitted model's", pair.fitted)
        yield Null("in the held-out passages", report.quotation.heldout_share)


def _control(report: Report) -> Iterator[Null]:
    if report.control is not None and "ttr" in report.control.scores:
        yield Null("type-token ratio of the control", report.control.scores["ttr"].fitted)
        yield from _fitted(report)


_FOUND = {
    "C1": _diversity,
    "C2": _temperature,
    "C3": _static_bias,
    "C4": _ranks,
    "C5": _geometry,
    "C6": _transplant,
    "C7": _sufficiency,
    "C8": _quotation,
    "C9": _control,
}


def caveat(report: Report, claim: Claim) -> str:
    """What favours a supported claim on this pair whatever the truth; "" when nothing does."""
    if claim.id != "C5" or claim.verdict is not Verdict.SUPPORTED or report.geometry is None:
        return ""
    stream = _stream(report.geometry)
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
