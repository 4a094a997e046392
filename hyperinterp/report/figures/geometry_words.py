"""Words for the measures of C5 and for the rows that they are taken of."""

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
    "integer": "whole numbers",
}


def metric_name(key: str) -> str:
    """Words for a measure with or without a variant suffix."""
    name, _, variant = key.partition("@")
    words = METRICS.get(name, name)
    return f"{words}, {VARIANTS.get(variant, variant)}" if variant else words
