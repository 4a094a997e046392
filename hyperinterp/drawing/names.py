"""Words for measures that several figures and tables share."""

METRICS = {
    "pr_corrected": "participation ratio, corrected",
    "pr": "participation ratio, naive",
    "effective_rank": "effective rank",
    "d90": "PCA dimension 90 %",
    "d95": "PCA dimension 95 %",
    "d99": "PCA dimension 99 %",
}
VARIANTS = {
    "": "raw, without position 0",
    "with_first": "with position 0",
    "without_outliers": "without norm outliers",
    "standardised": "standardised",
    "unit_norm": "unit norm",
    "visible": "as the logits read it",
    "integer": "whole numbers",
}


def metric_name(key: str) -> str:
    """Return words for a dimension, with or without a variant suffix."""
    name, _, variant = key.partition("@")
    words = METRICS.get(name, name)
    return f"{words}, {VARIANTS.get(variant, variant)}" if variant else words


MEASURES = {
    "ttr": "type-token ratio",
    "distinct_2": "distinct 2-grams",
    "distinct_3": "distinct 3-grams",
    "rep_2": "repeated 2-grams",
    "rep_3": "repeated 3-grams",
    "rep_4": "repeated 4-grams",
    "self_bleu": "self-BLEU",
}


def measure_name(key: str) -> str:
    """Return words for a score of generated text."""
    return MEASURES.get(key, key.replace("_", " ").replace("heldout", "held-out"))
