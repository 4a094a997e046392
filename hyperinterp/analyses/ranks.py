"""C4: does it re-order ranks by context, from the deep tail?"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hyperinterp.analyses.bias_fit import scale_and_shift
from hyperinterp.analyses.followed import held_out_overrides
from hyperinterp.analyses.intervals import context_mean
from hyperinterp.analyses.overriding import found_overrides, override_figures, text_before
from hyperinterp.analyses.rank_lens import LensProfile, lens_profile
from hyperinterp.analyses.results import Claim, Measured, missing
from hyperinterp.block import Block, Brief
from hyperinterp.capture import Contexts, chosen_positions, run_pair
from hyperinterp.study import Study
from hyperinterp.text import split_half
from hyperinterp.verdicts import judge
from probes import (
    FREQUENCY_CLASSES,
    Overrides,
    TokenTable,
    bucket_counts,
    demoted_tokens,
    frequency_class,
    jaccard_at_k,
    promoted_tokens,
    rank_biased_overlap,
    rank_flow,
    spearman,
)


@dataclass(frozen=True)
class TokenShift:
    """A token that the fitted model promotes to the top (or demotes from it).

    Attributes:
        token: the token as text.
        token_id: its id.
        count: contexts in which it happened.
        median_rank: median rank of the token in the other model in these contexts.
        frequency_class: class of the token in the frequency table.
        example: one context in which it happened: the text before it.
    """

    token: str
    token_id: int
    count: int
    median_rank: float
    frequency_class: str
    example: str


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
JACCARD_AT = (5, 20, 100)


def prepare(study: Study) -> None:
    """Orders the texts."""
    study.order_greedy("fitted")


def analyse(study: Study) -> tuple[RanksBlock, Claim]:
    """Overrides and orderings on held-out and on self-written text, and their verdict."""
    contexts, own = study.contexts, on_policy_contexts(study)
    with study.timed("ranks"):
        frequencies, source = token_frequencies(study)
        found = study.once(held_out_overrides)
        forced = _context_ranks(study, "teacher-forced", contexts, found, frequencies)
        policy = None
        if own is not None:
            found = found_overrides(study.base, study.fitted, own, processes=study.processes)
            policy = _context_ranks(study, "on-policy", own, found, frequencies)
    with study.timed("lens"):
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


def token_frequencies(study: Study) -> tuple[Tensor, str]:
    """Counts per token id, `[vocab]`, and where they came from.

    The user's table when there is one; else the tokens of the held-out passages and, where
    known, of the training passages.

    Raises:
        InputRefused: the table has not one count per id of the vocabulary.
    """
    size = study.base.vocab_size
    if study.frequencies is not None:
        return torch.tensor(study.frequencies.of_size(size)), study.frequencies.origin
    rows = [*study.contexts_rows.rows]
    source = "tokens of the held-out passages"
    if study.training_rows is not None:
        rows += study.training_rows.rows
        source += " and of the training passages"
    ids = torch.tensor([token for row in rows for token in row])
    return torch.bincount(ids, minlength=size), source


def on_policy_contexts(study: Study) -> Contexts | None:
    """Decisions of both models along the fitted model's own greedy text.

    A row's decisions begin at the last token of its own prompt, so that every one of them is
    followed by a token that the model wrote. None where fewer than two rows have any.
    """
    written = study.greedy("fitted")
    prompts = study.prompt_rows
    rows = tuple(prompt + text for prompt, text in zip(prompts.rows, written.rows, strict=True))

    def positions(number: int, length: int) -> list[int]:
        start = max(1, len(prompts.rows[number]) - 1)
        if length - 1 <= start:
            return []
        return chosen_positions(length, study.sizes.contexts_per_prompt, start)

    if sum(bool(positions(number, len(row))) for number, row in enumerate(rows)) < 2:
        study.warnings.append(
            "Fewer than two of the fitted model's texts have a token: ranks on its own text are "
            "not measured."
        )
        return None

    with study.timed("reading the fitted model's text"):
        run = run_pair(
            study.base,
            study.fitted,
            replace(prompts, rows=rows),
            positions=positions,
            batch_size=study.batch_size,
            tick=study.ticker("both models read the fitted model's text", len(rows)),
            processes=study.processes,
        )
    study.forwards["both over the fitted model's text"] += 1
    return run.contexts


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
    orders = _orders(study, contexts)
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
        frequency_shift=_frequency_shift(found, contexts, frequencies),
        classes={
            label: (
                int((classes[found.fitted_token[over]] == index).sum()),
                int((classes[found.base_token[over]] == index).sum()),
            )
            for index, label in enumerate(FREQUENCY_CLASSES)
        },
        promoted=_table(study, promoted_tokens(found, TABLE), found, contexts, classes, True),
        demoted=_table(study, demoted_tokens(found, TABLE), found, contexts, classes, False),
        **orders,
    )


def _orders(study: Study, contexts: Contexts) -> dict[str, Any]:
    """Whole orderings of the vocabulary, on an even choice of the contexts."""
    count = min(study.sizes.order_contexts, len(contexts))
    chosen = contexts.where(torch.linspace(0, len(contexts) - 1, count).long())

    def each(ours: Tensor, theirs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        ordered = _ordered(ours) & _ordered(theirs)
        correlated = torch.zeros(len(ours), dtype=torch.float64)
        if bool(ordered.any()):
            correlated[ordered.cpu()] = spearman(ours[ordered], theirs[ordered]).cpu()
        figures = {
            "ordered": ordered.cpu(),
            "spearman": correlated,
            "rbo": rank_biased_overlap(ours, theirs).cpu(),
        }
        for k in JACCARD_AT:
            if k < ours.shape[-1]:
                figures[f"jaccard {k}"] = jaccard_at_k(ours, theirs, k).cpu()
        return rank_flow(ours, theirs).cpu(), figures

    found = study.map_logits(chosen, each, 64)
    flow = torch.stack([part for part, _ in found]).sum(0)
    parts = [figures for _, figures in found]
    values = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    ordered, correlated = values.pop("ordered"), values.pop("spearman")
    means = {name: context_mean(each_one, chosen.row) for name, each_one in values.items()}
    return {
        "flow": tuple(tuple(line) for line in flow.tolist()),
        "flow_contexts": count,
        "spearman": context_mean(correlated[ordered], chosen.row[ordered])
        if bool(ordered.any())
        else missing("in every context one of the models gives all tokens the same logit"),
        "rbo": means["rbo"],
        "jaccard": {
            name.removeprefix("jaccard "): figure
            for name, figure in means.items()
            if name.startswith("jaccard ")
        },
    }


def _ordered(logits: Tensor) -> Tensor:
    """Where a context's logits are not all the same, `[n]` bool."""
    low, high = torch.aminmax(logits, dim=-1)
    return low < high


def token_classes(frequencies: Tensor) -> Tensor:
    """Class 0 (unseen) to 4 (frequent) of each token id; see `probes.frequency_class`."""
    return frequency_class(frequencies)


def _frequency_shift(found: Overrides, contexts: Contexts, frequencies: Tensor) -> Measured:
    """Mean log2(count + 1) of promoted minus demoted tokens, over the overrides."""
    over = found.overridden
    if not bool(over.any()):
        return missing("no decision is overridden")
    weight = (frequencies.double() + 1).log2()
    change = weight[found.fitted_token[over]] - weight[found.base_token[over]]
    return context_mean(change, contexts.row[over])


def _table(
    study: Study,
    table: TokenTable,
    found: Overrides,
    contexts: Contexts,
    classes: Tensor,
    promoted: bool,
) -> tuple[TokenShift, ...]:
    side = found.fitted_token if promoted else found.base_token
    ranks = found.base_rank if promoted else found.fitted_rank
    shifts = []
    for token, count in zip(table.tokens.tolist(), table.counts.tolist(), strict=True):
        where = found.overridden & (side == token)
        first = int(where.nonzero()[0])
        shifts.append(
            TokenShift(
                token=study.tokenizer.decode([token]),
                token_id=token,
                count=count,
                median_rank=float(ranks[where].double().quantile(0.5)),
                frequency_class=FREQUENCY_CLASSES[int(classes[token])],
                example=text_before(study, contexts, first) if study.contexts is contexts else "",
            )
        )
    return tuple(shifts)
