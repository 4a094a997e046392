"""C4: does it re-order ranks by context, from the deep tail?"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from hyperinterp.analyses.intervals import context_mean, remaining_share
from hyperinterp.analyses.results import Claim, Measured, missing
from hyperinterp.capture import Contexts, paired_logits, run_pair
from hyperinterp.errors import InputRefused
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site, SiteKind, block_outputs
from hyperinterp.study import Study
from hyperinterp.text import split_half
from hyperinterp.verdicts import judge
from probes import (
    FREQUENCY_CLASSES,
    RANK_BUCKETS,
    LensReadout,
    Overrides,
    TokenTable,
    bucket_counts,
    demoted_tokens,
    frequency_class,
    jaccard_at_k,
    lens_ranks,
    overrides,
    overtake_depth,
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
class ContextRanks:
    """Rank statistics over one kind of context.

    Attributes:
        contexts: "teacher-forced" or "on-policy".
        n_contexts: number of next-token decisions.
        override_rate: share of decisions where the fitted argmax is not the base's.
        after_static: the same against base + mean logit shift of the other half of the
            prompts: overrides that no context-free shift explains.
        deep_share: share of the overrides whose token has base rank > 10.
        buckets: decisions by base rank of the fitted argmax: 1, 2-10, 11-100, 101-1000, >1000.
        flow: tokens of the vocabulary by (base bucket, fitted bucket), summed over contexts.
        flow_contexts: contexts behind `flow`, `spearman`, `rbo` and `jaccard`.
        spearman: mean rank correlation of the two orderings of the vocabulary.
        rbo: mean rank-biased overlap (p = 0.9).
        jaccard: mean Jaccard similarity of the top k, per k.
        halves: override rate on the two random halves of the prompts.
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
    halves: tuple[float, float]
    tied: int
    near_ties: int
    frequency_shift: Measured
    classes: dict[str, tuple[int, int]]
    promoted: tuple[TokenShift, ...]
    demoted: tuple[TokenShift, ...]


@dataclass(frozen=True)
class LensTrajectory:
    """Logit lens through both models for one override, for the report's figure.

    Attributes:
        prompt_id: which prompt.
        position: position of the context's last token.
        context: the text before the decision.
        base_token: the base's choice.
        fitted_token: the fitted model's choice.
        base_rank_of_fitted: per depth, rank of the fitted choice through the base's lens.
        fitted_rank_of_fitted: per depth, rank of the fitted choice through the fitted lens.
        fitted_rank_of_base: per depth, rank of the base's choice through the fitted lens.
    """

    prompt_id: str
    position: int
    context: str
    base_token: str
    fitted_token: str
    base_rank_of_fitted: tuple[int, ...]
    fitted_rank_of_fitted: tuple[int, ...]
    fitted_rank_of_base: tuple[int, ...]


@dataclass(frozen=True)
class LensProfile:
    """Overridden decisions followed through the depth of both models.

    Attributes:
        depths: labels of the depths (embedding, block 0, ...).
        n_contexts: overridden decisions followed.
        base_median_rank: per depth, median rank of the fitted choice through the base's lens.
        fitted_median_rank: per depth, the same through the fitted model's lens.
        overtake: per depth, number of decisions in which the fitted choice passes the base's
            choice there for good, through the fitted model's lens.
        never: decisions where it does not (rounding).
        trajectories: single decisions.
    """

    depths: tuple[str, ...]
    n_contexts: int
    base_median_rank: tuple[float, ...]
    fitted_median_rank: tuple[float, ...]
    overtake: tuple[int, ...]
    never: int
    trajectories: tuple[LensTrajectory, ...]


@dataclass(frozen=True)
class RanksBlock:
    """Rank re-ordering, teacher-forced and on the fitted model's own text.

    Attributes:
        teacher_forced: on the held-out passages.
        on_policy: on the fitted model's greedy continuations.
        lens: by depth; None when nothing was overridden.
        frequency_source: where token frequencies came from.
    """

    teacher_forced: ContextRanks
    on_policy: ContextRanks | None
    lens: LensProfile | None
    frequency_source: str


DEEP = 10
TABLE = 20
JACCARD_AT = (5, 20, 100)
CHUNK = 128


def analyse(study: Study) -> tuple[RanksBlock, Claim]:
    """Overrides and orderings on held-out and on self-written text, and their verdict."""
    contexts = study.contexts
    with study.timed("ranks"):
        frequencies, source = token_frequencies(study)
        forced = _context_ranks(study, "teacher-forced", contexts, frequencies)
        own = on_policy_contexts(study)
        policy = None if own is None else _context_ranks(study, "on-policy", own, frequencies)
        lens = lens_profile(study, contexts)
    block = RanksBlock(forced.figures, policy and policy.figures, lens, source)
    lower_half = min(forced.half_rates, key=lambda rate: -1 if rate.value is None else rate.value)
    claim = judge(
        "C4",
        {
            "after_static": forced.figures.after_static,
            "deep": forced.figures.deep_share,
            "halves": lower_half,
        },
    )
    return block, claim


@dataclass(frozen=True)
class _Ranked:
    figures: ContextRanks
    half_rates: tuple[Measured, Measured]


def token_frequencies(study: Study) -> tuple[Tensor, str]:
    """Counts per token id, `[vocab]`, and where they came from.

    The user's table when there is one; else the tokens of the held-out passages and, where
    known, of the training passages.
    """
    counts = torch.zeros(study.base.vocab_size, dtype=torch.long)
    if study.frequencies is not None:
        known = torch.as_tensor(study.frequencies, dtype=torch.long)
        if len(known) != len(counts):
            raise InputRefused(
                f"token frequencies: expected {len(counts)} counts, found {len(known)}"
            )
        return known, "the table given"
    rows = [*study.contexts_rows.rows]
    source = "tokens of the held-out passages"
    if study.training_rows is not None:
        rows += study.training_rows.rows
        source += " and of the training passages"
    ids = torch.tensor([token for row in rows for token in row])
    return torch.bincount(ids, minlength=len(counts)), source


def on_policy_contexts(study: Study) -> Contexts | None:
    """Decisions of both models along the fitted model's own greedy text."""
    written = study.greedy("fitted")
    prompts = study.prompt_rows
    rows = tuple(prompt + text for prompt, text in zip(prompts.rows, written.rows, strict=True))
    if not any(written.rows):
        return None
    count = study.sizes.contexts_per_prompt
    start = min(len(row) for row in prompts.rows) - 1

    def positions(length: int) -> list[int]:
        every = list(range(max(start, 1), length - 1))
        return every if count is None else every[:: max(1, -(-len(every) // count))]

    run = run_pair(
        study.base,
        study.fitted,
        replace(prompts, rows=rows),
        positions=positions,
        batch_size=study.batch_size,
        tick=study.ticker("both models read the fitted model's text", len(rows)),
    )
    study.forwards["both over the fitted model's text"] += 1
    return run.contexts


def _mean_shift(study: Study, contexts: Contexts) -> Tensor:
    """Mean difference of centred logits, fitted minus base, `[vocab]`: the static shift."""
    total = torch.zeros(study.base.vocab_size, dtype=torch.float64)
    for _, ours, theirs in paired_logits(study.base, study.fitted, contexts, CHUNK):
        shift = theirs - theirs.mean(-1, keepdim=True) - ours + ours.mean(-1, keepdim=True)
        total += shift.double().sum(0).cpu()
    return (total / max(len(contexts), 1)).float()


def found_overrides(
    base: HookedModel, fitted: HookedModel, contexts: Contexts, bias: Tensor | None = None
) -> Overrides:
    """The greedy choices of both models at every context; `bias` is added to the base's logits."""
    parts = []
    for _, ours, theirs in paired_logits(base, fitted, contexts, CHUNK):
        shifted = ours if bias is None else ours + bias.to(ours)
        parts.append(overrides(shifted, theirs))
    names = [item.name for item in fields(Overrides)]
    return Overrides(
        **{name: torch.cat([getattr(part, name).cpu() for part in parts]) for name in names}
    )


def override_figures(found: Overrides, row: Tensor) -> dict[str, Measured]:
    """Share of overridden decisions, and of those the share from base ranks beyond the top 10."""
    over = found.overridden.float()
    deep = over * (found.base_rank > DEEP)
    return {"override_rate": _rate(over, row), "deep_share": remaining_share(deep, over, row)}


def _rate(flags: Tensor, row: Tensor) -> Measured:
    return context_mean(flags.float(), row)


def _context_ranks(study: Study, name: str, contexts: Contexts, frequencies: Tensor) -> _Ranked:
    found = found_overrides(study.base, study.fitted, contexts)
    over = found.overridden
    rows = contexts.row.unique().tolist()
    sides = [[rows[i] for i in half] for half in split_half(len(rows), study.seed)]
    halves = [contexts.in_rows(side) for side in sides]
    crossed = []
    for index, half in enumerate(halves):
        other = halves[1 - index]
        if len(half) == 0 or len(other) == 0:
            continue
        bias = _mean_shift(study, other)
        crossed.append((found_overrides(study.base, study.fitted, half, bias), half.row))
    still = torch.cat([item.overridden for item, _ in crossed])
    still_row = torch.cat([row for _, row in crossed])
    rates = tuple(
        _rate(over[torch.isin(contexts.row, torch.tensor(side))], half.row)
        if len(half)
        else missing("no prompt in this half")
        for side, half in zip(sides, halves, strict=True)
    )
    orders = _orders(study, contexts)
    classes = token_classes(frequencies)
    shares = override_figures(found, contexts.row)
    figures = ContextRanks(
        contexts=name,
        n_contexts=len(contexts),
        override_rate=shares["override_rate"],
        deep_share=shares["deep_share"],
        after_static=_rate(still, still_row),
        buckets=tuple(bucket_counts(found.base_rank).tolist()),
        halves=(rates[0].value or 0.0, rates[1].value or 0.0),
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
    return _Ranked(figures, (rates[0], rates[1]))


def _orders(study: Study, contexts: Contexts) -> dict[str, Any]:
    """Whole orderings of the vocabulary, on an even choice of the contexts."""
    count = min(study.sizes.order_contexts, len(contexts))
    chosen = contexts.where(torch.linspace(0, len(contexts) - 1, count).long())
    flow = torch.zeros(len(RANK_BUCKETS), len(RANK_BUCKETS), dtype=torch.long)
    parts: dict[str, list[Tensor]] = defaultdict(list)
    for _, ours, theirs in paired_logits(study.base, study.fitted, chosen, 64):
        flow += rank_flow(ours, theirs).cpu()
        parts["spearman"].append(spearman(ours, theirs).cpu())
        parts["rbo"].append(rank_biased_overlap(ours, theirs).cpu())
        for k in JACCARD_AT:
            if k < ours.shape[-1]:
                parts[f"jaccard {k}"].append(jaccard_at_k(ours, theirs, k).cpu())
    means = {name: context_mean(torch.cat(found), chosen.row) for name, found in parts.items()}
    return {
        "flow": tuple(tuple(line) for line in flow.tolist()),
        "flow_contexts": count,
        "spearman": means["spearman"],
        "rbo": means["rbo"],
        "jaccard": {
            name.removeprefix("jaccard "): figure
            for name, figure in means.items()
            if name.startswith("jaccard ")
        },
    }


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
                example=_before(study, contexts, first) if study.contexts is contexts else "",
            )
        )
    return tuple(shifts)


def _before(study: Study, contexts: Contexts, index: int, tokens: int = 12) -> str:
    """The last tokens of a context, as text."""
    row = study.contexts_rows.rows[int(contexts.row[index])]
    stop = int(contexts.position[index]) + 1
    return study.tokenizer.decode(row[max(0, stop - tokens) : stop])


def lens_profile(study: Study, contexts: Contexts) -> LensProfile | None:
    """Overridden decisions through the depth of both models; None when there are none."""
    found = found_overrides(study.base, study.fitted, contexts)
    chosen = found.overridden.nonzero().squeeze(-1)
    if len(chosen) == 0:
        return None
    count = min(study.sizes.lens_contexts, len(chosen))
    chosen = chosen[torch.linspace(0, len(chosen) - 1, count).long()]
    some = contexts.where(chosen)
    tokens = {
        "base": found.base_token[chosen],
        "fitted": found.fitted_token[chosen],
    }
    layers = study.base.n_layers
    sites = [Site(SiteKind.EMBED), *block_outputs(layers)]
    streams = {role: _streams(study, study.model(role), some, sites) for role in ("base", "fitted")}
    read: dict[tuple[str, str], list[LensReadout]] = defaultdict(list)
    for role, token_role in (("base", "fitted"), ("fitted", "fitted"), ("fitted", "base")):
        model = study.model(role)
        for site in sites:
            read[role, token_role].append(
                lens_ranks(
                    streams[role][site], tokens[token_role], model.normalise, model.readout, 64
                )
            )
    ranks = {key: torch.stack([item.ranks for item in items]) for key, items in read.items()}
    above = overtake_depth(
        torch.stack([item.log_probs for item in read["fitted", "base"]]),
        torch.stack([item.log_probs for item in read["fitted", "fitted"]]),
    )
    counts = torch.bincount(above.long(), minlength=len(sites) + 1).tolist()
    return LensProfile(
        depths=tuple(site.label for site in sites),
        n_contexts=count,
        base_median_rank=_medians(ranks["base", "fitted"]),
        fitted_median_rank=_medians(ranks["fitted", "fitted"]),
        overtake=tuple(counts[: len(sites)]),
        never=counts[len(sites)],
        trajectories=_trajectories(study, some, tokens, ranks),
    )


def _medians(ranks: Tensor) -> tuple[float, ...]:
    return tuple(ranks.double().quantile(0.5, dim=1).tolist())


def _streams(
    study: Study, model: HookedModel, contexts: Contexts, sites: Sequence[Site]
) -> dict[Site, Tensor]:
    """The residual stream of one model at these contexts, per site `[n, d_model]`."""
    found = {site: torch.zeros(len(contexts), model.d_model) for site in sites}
    rows = contexts.row.unique().tolist()
    all_rows = study.contexts_rows
    picked = replace(all_rows, rows=tuple(all_rows.rows[row] for row in rows))
    for numbers, ids in picked.batches(study.batch_size):

        def read(site: Site, tensor: Tensor, numbers: list[int] = numbers) -> None:
            for index, number in enumerate(numbers):
                mine = (contexts.row == rows[number]).nonzero().squeeze(-1)
                found[site][mine] = tensor[index, contexts.position[mine]].float().cpu()

        model.run(ids, sites, read)
    return found


def _trajectories(
    study: Study,
    contexts: Contexts,
    tokens: dict[str, Tensor],
    ranks: dict[tuple[str, str], Tensor],
    count: int = 12,
) -> tuple[LensTrajectory, ...]:
    found = []
    for index in torch.linspace(0, len(contexts) - 1, min(count, len(contexts))).long().tolist():
        found.append(
            LensTrajectory(
                prompt_id=study.prompt_id(int(contexts.row[index])),
                position=int(contexts.position[index]),
                context=_before(study, contexts, index, 24),
                base_token=study.tokenizer.decode([int(tokens["base"][index])]),
                fitted_token=study.tokenizer.decode([int(tokens["fitted"][index])]),
                base_rank_of_fitted=tuple(ranks["base", "fitted"][:, index].tolist()),
                fitted_rank_of_fitted=tuple(ranks["fitted", "fitted"][:, index].tolist()),
                fitted_rank_of_base=tuple(ranks["fitted", "base"][:, index].tolist()),
            )
        )
    return tuple(found)
