"""Tables of C4: rank statistics, tokens, rank flow, and the logit lens by depth."""

from collections.abc import Iterator

from hyperinterp.claims.reranking.result import (
    ContextRanks,
    LensProfile,
    RerankingResult,
    TokenShift,
)
from hyperinterp.drawing.escape import clip, token
from hyperinterp.drawing.numbers import rank
from hyperinterp.drawing.table import Cell, Table, table, values
from probes import RANK_BUCKETS, bucket_label

_SHOWN = 10
_READ = {
    "token": ("token", lambda text: token(text, 60)),
    "count": "times",
    "median_rank": ("median rank elsewhere", rank),
    "frequency_class": "frequency class",
    "example": ("after this text", lambda text: clip(text, 90, left=True)),
}


def tables(result: RerankingResult) -> tuple[Table, ...]:
    """Return the tables, the main one first; tokens of held-out text are open."""
    found = _contexts("held_out", "held-out text", result.teacher_forced, shut=False)
    if result.on_policy is not None:
        name = "on-policy text"
        found += _contexts("on_policy", name, result.on_policy, shut=True)
    both = [item for item in (result.teacher_forced, result.on_policy) if item is not None]
    found.append(table("flow", "Rank flow", (row for item in both for row in _flow(item))))
    return (*found, *(_lens(result.lens) if result.lens is not None else ()))


def _contexts(key: str, name: str, item: ContextRanks, *, shut: bool) -> list[Table]:
    rows: dict[str, Cell] = {
        "decisions": item.n_contexts,
        "overridden": item.override_rate,
        "overridden, also after the best scale and shift": item.after_static,
        "of the overrides, from base rank > 10": item.deep_share,
        "log2 frequency, promoted minus demoted": item.frequency_shift,
        "exact ties": item.tied,
        "overrides below the logits' precision": item.near_ties,
        **{f"overridden, half {i} of the prompts": v for i, v in enumerate(item.halves, 1)},
        "Spearman correlation of ranks": item.spearman,
        "rank-biased overlap": item.rbo,
        **{f"shared top {k} (Jaccard)": value for k, value in item.jaccard.items()},
    }
    return [
        values(key, f"On {name}", rows, shut=shut),
        _tokens(f"{key}_promoted", f"Tokens promoted, on {name}", item.promoted, shut=shut),
        _tokens(f"{key}_demoted", f"Tokens demoted, on {name}", item.demoted, shut=shut),
    ]


def _tokens(key: str, title: str, shifts: tuple[TokenShift, ...], *, shut: bool) -> Table:
    """Tokens in the texts after which they were promoted or demoted; those beyond ten folded."""
    rows = (
        {
            "token": shift.token, "token_id": shift.token_id, "count": shift.count,
            "median_rank": shift.median_rank, "frequency_class": shift.frequency_class,
            "example": shift.example,
        }
        for shift in shifts
    )  # fmt: skip
    return table(key, title, rows, _READ, shut=shut, open_rows=_SHOWN)


def _flow(item: ContextRanks) -> Iterator[dict[str, Cell]]:
    names = [bucket_label(place) for place in range(len(RANK_BUCKETS))]
    for row, cells in zip(names, item.flow, strict=False):
        for column, cell in zip(names, cells, strict=False):
            yield {
                "contexts": item.contexts, "base_bucket": row, "fitted_bucket": column,
                "tokens": cell,
            }  # fmt: skip


def _lens(lens: LensProfile) -> list[Table]:
    return [
        table(
            "lens", "Logit lens by depth",
            (
                {
                    "depth": depth, "base_median_rank": base, "fitted_median_rank": fitted,
                    "overtake": overtake,
                }
                for depth, base, fitted, overtake in zip(
                    lens.depths, lens.base_median_rank, lens.fitted_median_rank,
                    lens.overtake, strict=True,
                )
            ),
        ),
        table("trajectories", "Single decisions through the depth", _trajectories(lens)),
    ]  # fmt: skip


def _trajectories(lens: LensProfile) -> Iterator[dict[str, Cell]]:
    """One row per decision and depth: where the two tokens stand in the two models."""
    for item in lens.trajectories:
        followed = zip(
            lens.depths, item.base_rank_of_fitted, item.fitted_rank_of_fitted,
            item.fitted_rank_of_base, strict=True,
        )  # fmt: skip
        for depth, base, fitted, fitted_of_base in followed:
            yield {
                "prompt_id": item.prompt_id, "position": item.position,
                "base_token": item.base_token, "fitted_token": item.fitted_token, "depth": depth,
                "base_rank_of_fitted": base, "fitted_rank_of_fitted": fitted,
                "fitted_rank_of_base": fitted_of_base,
            }  # fmt: skip
