"""C8: is the diversity quotation of the training text?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hyperinterp.analyses.intervals import pair_of, ratio_of, ratio_pair
from hyperinterp.analyses.scoring import compared, together, values
from hyperinterp.claims.quotation.result import CopiedExample, QuotationResult
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.errors import InputRefused
from hyperinterp.generation import Generated
from hyperinterp.study import Study
from hyperinterp.text import TokenRows
from probes import NgramIndex

COPY_LENGTH = 8
EXAMPLES = 8


def prepare(study: Study) -> None:
    """Orders the texts."""
    study.shared.texts.order_greedy("base", "fitted")


def measure(study: Study) -> QuotationResult:
    """Find copied spans in both models' greedy text and in the true continuations."""
    training, passages = study.training_rows, study.training
    if training is None or passages is None:
        raise InputRefused(
            "expected the training passages, found none; name them with --train-data"
        )
    written = {role: study.shared.texts.greedy(role) for role in ("base", "fitted")}
    with study.run.log.timed("quotation"):
        index = NgramIndex(training.rows, n=COPY_LENGTH)
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
            examples=_examples(study, written["fitted"], index, training),
            source=passages.origin,
        )


def quantities(result: QuotationResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {"copied": result.copied_share.delta}


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
