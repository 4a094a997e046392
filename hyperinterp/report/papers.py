"""This pair beside the papers: their tables with its row, and the protocols behind both."""

from collections.abc import Iterator, Mapping

from hyperinterp.claims import registry
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.numbers import compact
from hyperinterp.drawing.table import Cell, Sheet
from hyperinterp.report.data import ReportData
from hyperinterp.report.provenance import recipe
from hyperinterp.report.sections import PageSection

CARLSSON = "Carlsson et al., arXiv:2412.04318"
LI = "Li et al., arXiv:2605.22579"
GREEDY = {
    "ttr": "type-token ratio",
    "rep_2": "repeated 2-grams",
    "rep_3": "repeated 3-grams",
    "agreement": "top-1 agreement with the base",
    "entropy": "entropy, nats",
}
THEIRS = {
    "base": (0.400, 0.592, 0.536, 1.000, 2.083),
    "base at T*": (0.397, 0.604, 0.548, 0.997, 0.875),
    "fitted": (0.684, 0.140, 0.069, 0.570, 0.862),
}
"""The rows of Li et al., in the order of `GREEDY`; their T* is 0.59."""
OTHERS = {
    "T*": ("temperature of equal entropy", "0.59", LI),
    "overrides": ("share of choices that are not the base's", "0.391", LI),
    "deep": ("share of them from base rank > 10", "0.129", LI),
    "static injection": (
        "type-token ratio, tokens that gained rank injected",
        "0.409 falling to 0.215; factors 0.01 to 0.5",
        LI,
    ),
    "growth": (
        "growth of the naive participation ratio, last block's output",
        "not told apart",
        LI,
    ),
    "growth after the norm": (
        "the same after the final norm, the last of the hidden states",
        "about +80.8; positions and centring not stated",
        LI,
    ),
    "late-stage": ("type-token ratio, late-stage twin", "0.469 (TinyLlama), 0.591 (Qwen)", LI),
    "all layers": ("type-token ratio, twin of all layers", "0.508 (TinyLlama), 0.575 (Qwen)", LI),
}
PROTOCOLS = (
    ("models", "up to 8B", "TinyLlama-1.1B, Qwen2.5-1.5B, others up to 8B"),
    ("training", "2000 passages of 256 tokens, batch 8, 20 epochs, Adam, learning rate 1e−6, no "
     "weight decay; the repository has 30 epochs and 5e−6", "2000 passages, 260 epochs"),
    ("prompts", "32 tokens, greedy", "not known"),
    ("what is scored", "type-token ratio on 96 tokens", "not known"),
    ("entropy", "mean over teacher-forced positions; 3.47 to 1.46", "2.083 to 0.862"),
    ("perplexity", "13 to 103 (8B)", "not known"),
    ("seeds, intervals", "one shuffle of the data changes 25 to 32 % of the top tokens",
     "no interval on the growth"),
)  # fmt: skip
NOTE = (
    "Other models, texts and prompts than this report's: figures to hold it beside, not to meet. "
    "Where a paper's figure is said not to be known, it was not found in what could be read."
)


def papers(report: ReportData) -> PageSection | None:
    """Return the section that holds the pair beside the papers; None without any value of it."""
    found = published(report)
    sheets = (_greedy(found), _others(found), _protocols(report))
    if not found:
        return None
    question = "What do the papers report of their models?"
    return PageSection("papers", "Beside the papers", question, None, "", (), sheets)


def published(report: ReportData) -> dict[tuple[str, str], Measured]:
    """Return the values of this pair of which the papers report the like.

    Returns:
        By the name of the quantity and the model; those that have a value.
    """
    return {
        (item.quantity, item.model): item.measured
        for spec in registry.every_claim()
        if (result := report.results.get(spec.slug)) is not None
        and (find := spec.part("words", "published")) is not None
        for item in find(result)
        if item.measured.value is not None
    }


def _greedy(found: Mapping[tuple[str, str], Measured]) -> Sheet:
    rows: list[tuple[Cell, ...]] = [(LI, name, *values) for name, values in THEIRS.items()]
    rows += [
        ("this pair", name, *(found.get((key, name)) for key in GREEDY))
        for name in THEIRS
        if any((key, name) in found for key in GREEDY)
    ]
    return Sheet(
        "Greedy text and choices", ("of", "model", *GREEDY.values()), tuple(rows), note=NOTE
    )


def _others(found: Mapping[tuple[str, str], Measured]) -> Sheet:
    rows = tuple(
        (words, found[key, ""], theirs, source)
        for key, (words, theirs, source) in OTHERS.items()
        if (key, "") in found
    )
    return Sheet("Other figures", ("quantity", "this pair", "theirs", "of"), rows)


def _protocols(report: ReportData) -> Sheet:
    ours = dict(_ours(report))
    rows = tuple((what, one, other, ours.get(what, "")) for what, one, other in PROTOCOLS)
    return Sheet("Protocols", ("what", CARLSSON, LI, "this report"), rows, shut=True)


def _ours(report: ReportData) -> Iterator[tuple[str, str]]:
    facts = report.provenance
    by_role = {item.role: item for item in facts.checkpoints}
    if "fitted" in by_role:
        yield "models", f"{compact(by_role['fitted'].parameters)} parameters"
        yield "training", recipe(by_role["fitted"].trained) or "not recorded"
    yield "prompts", f"{facts.prompts.used} of {facts.prompts.prompt_tokens} tokens, greedy"
    window = facts.sizes.get("window")
    if window:
        yield "what is scored", f"type-token ratio on the last {window} of the new tokens"
    yield "entropy", "mean over teacher-forced positions"
    yield "seeds, intervals", "one pair; intervals over prompts"
