"""Ranks of tokens in an ordering of the vocabulary, and differences of two orderings."""

from probes.ranks.agreement import jaccard_at_k, rank_biased_overlap, spearman
from probes.ranks.buckets import (
    RANK_BUCKETS,
    bucket_counts,
    bucket_label,
    bucket_of,
    rank_flow,
)
from probes.ranks.choices import (
    Overrides,
    TokenTable,
    demoted_tokens,
    overrides,
    promoted_tokens,
)
from probes.ranks.frequency import FREQUENCY_CLASSES, frequency_class
from probes.ranks.tokens import (
    mean_log_rank,
    near_ties,
    tied,
    token_ranks,
    top_margin,
    top_tokens,
)

__all__ = [
    "FREQUENCY_CLASSES",
    "RANK_BUCKETS",
    "Overrides",
    "TokenTable",
    "bucket_counts",
    "bucket_label",
    "bucket_of",
    "demoted_tokens",
    "frequency_class",
    "jaccard_at_k",
    "mean_log_rank",
    "near_ties",
    "overrides",
    "promoted_tokens",
    "rank_biased_overlap",
    "rank_flow",
    "spearman",
    "tied",
    "token_ranks",
    "top_margin",
    "top_tokens",
]
