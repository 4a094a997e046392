"""Diversity, repetition and copying of generated token ids. One prompt is one sequence."""

from probes.diversity.copying import (
    CopiedSpan,
    NgramIndex,
    copied_share,
    copied_spans,
    longest_copied_span,
)
from probes.diversity.loops import Loop, final_loop
from probes.diversity.repetition import (
    DiversityScores,
    distinct_n,
    diversity_product,
    diversity_scores,
    generated_window,
    rep_n,
    repeated_spans,
    type_token_ratio,
    type_token_ratio_by_position,
)
from probes.diversity.self_bleu import SelfBleu, self_bleu

__all__ = [
    "CopiedSpan",
    "DiversityScores",
    "Loop",
    "NgramIndex",
    "SelfBleu",
    "copied_share",
    "copied_spans",
    "distinct_n",
    "diversity_product",
    "diversity_scores",
    "final_loop",
    "generated_window",
    "longest_copied_span",
    "rep_n",
    "repeated_spans",
    "self_bleu",
    "type_token_ratio",
    "type_token_ratio_by_position",
]
