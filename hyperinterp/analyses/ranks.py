"""C4: does it re-order ranks by context, from the deep tail?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hyperinterp.analyses.bias_fit import scale_and_shift
from hyperinterp.analyses.followed import held_out_overrides
from hyperinterp.analyses.intervals import context_mean
from hyperinterp.analyses.overriding import found_overrides, override_figures
from hyperinterp.analyses.own_text import on_policy_contexts
from hyperinterp.analyses.rank_lens import LensProfile, lens_profile
from hyperinterp.analyses.results import Claim, Measured
from hyperinterp.analyses.token_shifts import (
    TokenShift,
    frequency_shift,
    shift_table,
    token_classes,
    token_frequencies,
)
from hyperinterp.analyses.vocabulary_orders import vocabulary_orders
from hyperinterp.block import Block, Brief
from hyperinterp.capture import Contexts
from hyperinterp.study import Study
from hyperinterp.text import split_half
from hyperinterp.verdicts import judge
from probes import (
    FREQUENCY_CLASSES,
    Overrides,
    bucket_counts,
    demoted_tokens,
    promoted_tokens,
)


@dataclass(frozen=True)
class ContextRanks(Brief):
    """Rank statistics over one kind of context.

    Attributes:
        contexts: "teacher-forced" or "on-policy".
        n_contexts: number of next-token decisions.
        override_rate: share of decisions where the fitted argmax is not the base's.
        after_static: share overridden by that and still overridden by scale * base + shift, the
            best context-free change on the other half of the prompts.
        deep_share: share of the overrides whose token has base rank > 10.
        buckets: decisions by base rank of the fitted argmax: 1, 2-10, 11-100, 101-1000, >1000.
        flow: tokens of the vocabulary by (base bucket, fitted bucket), summed over contexts.
        flow_contexts: contexts behind `flow`, `spearman`, `rbo` and `jaccard`.
        spearman: mean rank correlation of the two orderings of the vocabulary, over the contexts
            in which both models give more than one logit.
        rbo: mean rank-biased overlap (p = 0.9).
        jaccard: mean Jaccard similarity of the top k, per k.
        halves: override rate on the two random halves of the prompts; no interval in a half of
            one prompt.
        tied: decisions in which the base rank of the fitted argmax is an exact tie.
        near_ties: overrides whose base margin is below the precision of the logits.
        frequency_shift: mean log2 frequency of promoted minus demoted tokens.
        classes: promoted and demoted tokens per frequency class.
        promoted: tokens most often promoted.
        demoted: tokens most often demoted.
    """

    contexts: str
    n_contexts: int
    override_rate: Measured
    after_static: Measured
    deep_share: Measured
    buckets: tuple[int, ...]
    flow: tuple[tuple[int, ...], ...]
    flow_contexts: int
    spearman: Measured
    rbo: Measured
    jaccard: dict[str, Measured]
    halves: tuple[Measured, Measured]
    tied: int
    near_ties: int
    frequency_shift: Measured
    classes: dict[str, tuple[int, int]]
    promoted: tuple[TokenShift, ...]
    demoted: tuple[TokenShift, ...]


@dataclass(frozen=True)
class RanksBlock(Block):
    """Rank re-ordering, teacher-forced and on the fitted model's own text.

    Attributes:
        teacher_forced: on the held-out passages.
        on_policy: on the fitted model's greedy continuations; None when fewer than two of them
            have a token.
        lens: by depth; None when nothing was overridden.
        frequency_source: where token frequencies came from.
    """

    teacher_forced: ContextRanks
    on_policy: ContextRanks | None
    lens: LensProfile | None
    frequency_source: str


TABLE = 20


def prepare(study: Study) -> None:
    """Orders the texts."""
    study.texts.order_greedy("fitted")


def analyse(study: Study) -> tuple[RanksBlock, Claim]:
    """Overrides and orderings on held-out and on self-written text, and their verdict."""
    contexts, own = study.contexts, on_policy_contexts(study)
    with study.ledger.timed("ranks"):
        frequencies, source = token_frequencies(study)
        found = study.once(held_out_overrides)
        forced = _context_ranks(study, "teacher-forced", contexts, found, frequencies)
        policy = None
        if own is not None:
            found = found_overrides(study.base, study.fitted, own, processes=study.processes)
            policy = _context_ranks(study, "on-policy", own, found, frequencies)
    with study.ledger.timed("lens"):
        lens = lens_profile(study)
    block = RanksBlock(forced, policy, lens, source)
    lower_half = min(forced.halves, key=_lowest)
    claim = judge(
        "C4",
        {
            "after_static": forced.after_static,
            "deep": forced.deep_share,
            "halves": lower_half,
        },
    )
    return block, claim


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
    sides = [[rows[i] for i in half] for half in split_half(len(rows), study.seed)]
    halves = [contexts.in_rows(side) for side in sides]
    crossed = []
    for index, half in enumerate(halves):
        other = halves[1 - index]
        change = scale_and_shift(study, other)
        changed = found_overrides(study.base, study.fitted, half, change, study.processes)
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
