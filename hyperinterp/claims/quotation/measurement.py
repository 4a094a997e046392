"""C8: is the diversity quotation of the training text?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hyperinterp.analyses.intervals import pair_of, ratio_of, ratio_pair
from hyperinterp.analyses.scoring import compared, together, values
from hyperinterp.claims.quotation.result import CopiedExample, QuotationResult
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.errors import InputRefused
from hyperinterp.generation import Decoding, Generated
from hyperinterp.text import TokenRows
from hyperinterp.under_comparison import Study
from probes import NgramIndex

COPY_LENGTH = 8
EXAMPLES = 8
BLOCKED = "greedy, copying blocked"


def prepare(study: Study) -> NgramIndex:
    """Orders the texts, those with copying blocked too; the n-grams of the training text."""
    index = NgramIndex(_training(study).rows, n=COPY_LENGTH)
    study.shared.texts.order_greedy("base", "fitted")
    for role in ("base", "fitted"):
        arm = Decoding(BLOCKED, rows=study.heldout.control_rows, blocked=index)
        study.shared.texts.order(role, [arm])
    return index


def measure(study: Study, index: NgramIndex) -> QuotationResult:
    """Find copied spans in both models' greedy text and in the true continuations."""
    training, passages = _training(study), study.training
    assert passages is not None
    written = {role: study.shared.texts.greedy(role) for role in ("base", "fitted")}
    with study.run.log.timed("quotation"):
        copied = {role: _copied(text.rows, index) for role, text in written.items()}
        share = _ratio_pair(copied["base"], copied["fitted"])
        spans = {
            role: [float(index.longest(row).length) for row in text.rows]
            for role, text in written.items()
        }
        return QuotationResult(
            training_passages=len(training),
            n=COPY_LENGTH,
            copied_share=share,
            longest_span=pair_of(spans["base"], spans["fitted"]),
            heldout_share=_heldout(study, index),
            free_diversity=_free(study, written, copied),
            blocked_diversity=_blocked(study),
            examples=_examples(study, written["fitted"], index, training),
            source=passages.origin,
        )


def quantities(result: QuotationResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {"copied": result.copied_share.delta}


def _training(study: Study) -> TokenRows:
    if study.training_rows is None:
        raise InputRefused(
            "expected the training passages, found none; name them with --train-data"
        )
    return study.training_rows


@dataclass(frozen=True)
class Copied:
    """Copied n-grams and all n-grams of each text, `[n_texts]`."""

    copied: np.ndarray
    grams: np.ndarray


def _copied(rows: Sequence[Sequence[int]], index: NgramIndex) -> Copied:
    found = [index.contains(row) for row in rows]
    return Copied(
        np.array([flags.sum() for flags in found], dtype=np.float64),
        np.array([len(flags) for flags in found], dtype=np.float64),
    )


def _ratio_pair(base: Copied, fitted: Copied) -> Pair:
    """Both shares (ratios of sums over prompts) and their difference, the same prompt left out."""
    found = ratio_pair((base.copied, base.grams), (fitted.copied, fitted.grams))
    if found.delta.value is not None:
        return found
    return replace(found, delta=missing(f"too few generations of {COPY_LENGTH} or more tokens"))


def _heldout(study: Study, index: NgramIndex) -> Measured:
    """The share of copied n-grams in what really follows the prompts."""
    pairs = zip(study.heldout.rows.rows, study.heldout.prompts.rows, strict=True)
    found = _copied([row[len(prompt) :] for row, prompt in pairs], index)
    share = ratio_of(found.copied, found.grams)
    if share.value is None:
        return missing(f"too few passages have {COPY_LENGTH} tokens after the prompt")
    return share


def _free(study: Study, written: dict[str, Generated], copied: dict[str, Copied]) -> Pair:
    scores = compared(study.sizes.window, *written.values())
    free = np.logical_and.reduce([item.copied == 0 for item in copied.values()])
    keep = together(*scores) & free
    if not keep.any():
        gap = missing(f"every prompt has a copied {COPY_LENGTH}-gram in one of the two texts")
        return Pair(gap, gap, gap)
    base, fitted = (values(item, "ttr", keep) for item in scores)
    return pair_of(base, fitted)


def _blocked(study: Study) -> Pair:
    """Diversity of what the models write where no n-gram of the training text can be completed."""
    texts = (study.shared.texts.of(role, BLOCKED) for role in ("base", "fitted"))
    scores = compared(study.sizes.window, *texts)
    keep = together(*scores)
    base, fitted = (values(item, "ttr", keep) for item in scores)
    return pair_of(base, fitted)


def _examples(
    study: Study, written: Generated, index: NgramIndex, training: TokenRows
) -> tuple[CopiedExample, ...]:
    """The fitted model's longest copied spans, the longest first, at most one per prompt."""
    assert study.training is not None
    found = []
    for row, ids in enumerate(written.rows):
        span = index.longest(ids)
        if span.source_index is None:
            continue
        source = study.training.items[training.index[span.source_index]].id
        text = study.heldout.tokenizer.decode(ids[span.start : span.start + span.length])
        found.append(CopiedExample(study.heldout.prompt_id(row), span.length, text, source))
    return tuple(sorted(found, key=lambda item: -item.length)[:EXAMPLES])
