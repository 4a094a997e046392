"""Tables about what happens inside the models: C4, C5 and C6."""

from hyperinterp.analyses.geometry import GeometryBlock
from hyperinterp.analyses.ranks import ContextRanks, RanksBlock
from hyperinterp.analyses.token_shifts import TokenShift
from hyperinterp.analyses.transplant import TransplantBlock
from hyperinterp.drawing.escape import clip, token
from hyperinterp.drawing.numbers import number, rank
from hyperinterp.drawing.view import Cell, View, figures
from hyperinterp.report.figures.geometry import metric_name

_SHOWN = 10


def _tokens(side: str, name: str, shifts: tuple[TokenShift, ...], *, shut: bool) -> list[View]:
    """Tokens in the texts after which they were promoted or demoted; those beyond ten folded."""
    columns = ("token", "times", "median rank elsewhere", "frequency class", "after this text")
    rows = tuple(
        (
            token(item.token, 60), item.count, rank(item.median_rank), item.frequency_class,
            clip(item.example, 90, left=True),
        )
        for item in shifts
    )  # fmt: skip
    title = f"Tokens {side}, on {name}"
    if shut or len(rows) <= _SHOWN:
        return [View(title, columns, rows, shut)]
    rest = View(f"Further tokens {side}, on {name}", columns, rows[_SHOWN:], shut=True)
    return [View(title, columns, rows[:_SHOWN]), rest]


def _contexts(name: str, item: ContextRanks, *, shut: bool) -> list[View]:
    rows: dict[str, Cell] = {
        "decisions": item.n_contexts,
        "overridden": item.override_rate,
        "overridden, also after the best scale and shift": item.after_static,
        "of the overrides, from base rank > 10": item.deep_share,
        "log2 frequency, promoted minus demoted": item.frequency_shift,
        "exact ties / overrides below the logits' precision": f"{item.tied} / {item.near_ties}",
    }
    return [
        figures(f"On {name}", rows),
        *_tokens("promoted", name, item.promoted, shut=shut),
        *_tokens("demoted", name, item.demoted, shut=shut),
    ]


def ranks(block: RanksBlock) -> list[View]:
    """Figures and token tables of both kinds of context; tokens of held-out text are open."""
    found = _contexts("held-out text", block.teacher_forced, shut=False)
    if block.on_policy is not None:
        found += _contexts("the fitted model's own text", block.on_policy, shut=True)
    return [view for view in found if view.rows]


def geometry(block: GeometryBlock) -> list[View]:
    """The last block against the others, and the primary measure by site."""
    sites = [site for site in block.sites if site.kind in ("embed", "resid", "final_norm")]
    rows = tuple(
        (
            site.label + ("" if site.pre_norm else " (post-norm)"),
            *(
                (pair.base, pair.fitted, pair.delta)
                if (pair := site.metrics.get(block.primary)) is not None
                else (None, None, None)
            ),
            number(site.drift), number(site.cka),
            f"{site.outliers.get('base', 0)} / {site.outliers.get('fitted', 0)}",
            f"{_dims(site.rogue.get('base', ()))} / {_dims(site.rogue.get('fitted', ()))}",
        )
        for site in sites
    )  # fmt: skip
    columns = (
        "site", "base", "fitted", "fitted − base", "drift", "CKA",
        "norm outliers, kept (base / fitted)", "rogue dimensions (base / fitted)",
    )  # fmt: skip
    summary: dict[str, Cell] = {
        "measure that decides": metric_name(block.primary),
        "block with the largest growth": _label(block, block.largest_block),
        "growth of the last block": block.last_delta,
        "that minus the largest other growth": block.contrast,
        "final norm's growth minus the last block's": block.final_norm_gain,
    }
    note = f"Positions: {block.positions}. Intervals: {block.intervals}."
    return [
        figures("The last block against the others", summary, note),
        View(f"By site: {metric_name(block.primary)}", columns, rows, shut=True),
    ]


def _label(block: GeometryBlock, key: str) -> str:
    return next((site.label for site in block.sites if site.key == key), key)


def _dims(indices: tuple[int, ...]) -> str:
    return ", ".join(map(str, indices)) if indices else "none"


def transplant(block: TransplantBlock) -> list[View]:
    """Figures, and the hybrids' text."""
    rows = tuple(
        (item.label, item.direction, item.ttr, item.rep_4, item.gain_share, clip(item.example, 160))
        for item in block.hybrids
    )
    columns = (
        "hybrid", "direction", "type-token ratio", "repeated 4-grams", "share of gain", "example",
    )  # fmt: skip
    summary: dict[str, Cell] = {
        "decisions": block.n_contexts,
        "block that alone recovers most": f"block {block.largest_block}",
        "recovered by the last block alone": block.last_recovered,
        "that minus the most any other block recovers": block.last_contrast,
        "that minus the largest random change": block.last_above_null,
        "share of the diversity gain it moves": block.behaviour,
        **block.replays,
    }
    return [figures("The last block", summary), View("Text of the hybrids", columns, rows)]
