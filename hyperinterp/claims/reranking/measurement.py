"""C4: does it re-order ranks by context, from the deep tail?"""

import torch
from torch import Tensor

from hyperinterp.analyses.bias_fit import logit_map
from hyperinterp.analyses.intervals import context_mean
from hyperinterp.analyses.on_policy import on_policy_contexts
from hyperinterp.analyses.overriding import override_figures
from hyperinterp.capture import Contexts
from hyperinterp.claims.reranking.lens import lens_profile
from hyperinterp.claims.reranking.orders import vocabulary_orders
from hyperinterp.claims.reranking.result import ContextRanks, RerankingResult
from hyperinterp.claims.reranking.token_shifts import (
    frequency_shift,
    shift_table,
    token_classes,
    token_frequencies,
)
from hyperinterp.claims.spec import Measured
from hyperinterp.runs import found_overrides
from hyperinterp.text import split_half
from hyperinterp.under_comparison import Study
from probes import (
    FREQUENCY_CLASSES,
    Overrides,
    bucket_counts,
    demoted_tokens,
    promoted_tokens,
)

TABLE = 20


def prepare(study: Study) -> None:
    """Orders the texts."""
    study.shared.texts.order_greedy("fitted")


def measure(study: Study) -> RerankingResult:
    """Measure overrides and orderings on held-out and on on-policy text."""
    contexts, own = study.shared.contexts, on_policy_contexts(study)
    with study.run.log.timed("ranks"):
        frequencies, source = token_frequencies(study)
        found = study.shared.overrides
        forced = _context_ranks(study, "teacher-forced", contexts, found, frequencies)
        policy = None
        if own is not None:
            found = found_overrides(study.base, study.fitted, own, processes=study.run.processes)
            policy = _context_ranks(study, "on-policy", own, found, frequencies)
    with study.run.log.timed("lens"):
        lens = lens_profile(study)
    return RerankingResult(forced, policy, lens, source)


def quantities(result: RerankingResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    forced = result.teacher_forced
    return {
        "after_static": forced.after_static,
        "deep": forced.deep_share,
        "halves": min(forced.halves, key=_lowest),
    }


def _lowest(rate: Measured) -> float:
    """Sorts the half with fewer overrides first; before it one whose rate has no interval."""
    return -1.0 if rate.value is None or rate.lo is None else rate.value


def _rate(flags: Tensor, row: Tensor) -> Measured:
    return context_mean(flags.float(), row)


def _context_ranks(
    study: Study, name: str, contexts: Contexts, found: Overrides, frequencies: Tensor
) -> ContextRanks:
    over = found.overridden
    rows = contexts.row.unique().tolist()
    sides = [[rows[i] for i in half] for half in split_half(len(rows), study.run.seed)]
    halves = [contexts.in_rows(side) for side in sides]
    crossed = []
    for index, half in enumerate(halves):
        other = halves[1 - index]
        change = logit_map(study, other)
        changed = found_overrides(study.base, study.fitted, half, change, study.run.processes)
        mine = torch.isin(contexts.row, torch.tensor(sides[index]))
        crossed.append((changed.overridden & over[mine], half.row))
    still = torch.cat([flags for flags, _ in crossed])
    still_row = torch.cat([row for _, row in crossed])
    first, second = (
        _rate(over[torch.isin(contexts.row, torch.tensor(side))], half.row)
        for side, half in zip(sides, halves, strict=True)
    )
    orders = vocabulary_orders(study, contexts)
    classes = token_classes(frequencies)
    shares = override_figures(found, contexts.row)
    return ContextRanks(
        contexts=name,
        n_contexts=len(contexts),
        override_rate=shares["override_rate"],
        deep_share=shares["deep_share"],
        after_static=_rate(still, still_row),
        buckets=tuple(bucket_counts(found.base_rank).tolist()),
        halves=(first, second),
        tied=int((over & (found.base_gap == 0)).sum()),
        near_ties=int((over & (found.base_gap <= study.logit_precision)).sum()),
        frequency_shift=frequency_shift(found, contexts, frequencies),
        classes={
            label: (
                int((classes[found.fitted_token[over]] == index).sum()),
                int((classes[found.base_token[over]] == index).sum()),
            )
            for index, label in enumerate(FREQUENCY_CLASSES)
        },
        promoted=shift_table(study, promoted_tokens(found, TABLE), found, contexts, classes, True),
        demoted=shift_table(study, demoted_tokens(found, TABLE), found, contexts, classes, False),
        **orders,
    )
