"""Tables for reading on the page: a figure with its interval is one cell."""

from dataclasses import dataclass

from hyperinterp.analyses.control import ControlBlock
from hyperinterp.analyses.diversity import DiversityBlock
from hyperinterp.analyses.geometry import GeometryBlock
from hyperinterp.analyses.quotation import QuotationBlock
from hyperinterp.analyses.ranks import ContextRanks, RanksBlock, TokenShift
from hyperinterp.analyses.results import Measured, Pair
from hyperinterp.analyses.static_bias import StaticBiasBlock
from hyperinterp.analyses.sufficiency import SufficiencyBlock
from hyperinterp.analyses.temperature import Arm, TemperatureBlock
from hyperinterp.analyses.transplant import TransplantBlock
from hyperinterp.course import Course
from hyperinterp.report.escape import clip, token
from hyperinterp.report.figures.diversity import measure_name
from hyperinterp.report.figures.geometry import metric_name
from hyperinterp.report.numbers import compact, count, number, seconds

Cell = str | int | float | Measured | None


@dataclass(frozen=True)
class View:
    """A table to read; `shut` ones are folded until asked for."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    shut: bool = False


def _pairs(title: str, pairs: dict[str, Pair], second: str = "fitted") -> View:
    rows = tuple((name, pair.base, pair.fitted, pair.delta) for name, pair in pairs.items())
    return View(title, ("measure", "base", second, f"{second} − base"), rows)


def _figures(title: str, rows: dict[str, Cell]) -> View:
    return View(title, ("figure", "value"), tuple(rows.items()))


def diversity(block: DiversityBlock) -> list[View]:
    """Scores with paired differences."""
    scores = {measure_name(key): pair for key, pair in block.scores.items()}
    return [_pairs(f"Scores ({block.rule})", scores)]


def _arms(title: str, arms: tuple[Arm, ...], *, shut: bool) -> View:
    columns = ("decoding", "T", "seeds", "entropy, nats", "type-token ratio", "repeated 4-grams")
    rows = tuple(
        (
            arm.name + (f" ({arm.note})" if arm.note else ""),
            "per context" if arm.temperature is None else number(arm.temperature),
            arm.seeds, arm.entropy, arm.ttr, arm.rep_4,
        )
        for arm in arms
    )  # fmt: skip
    return View(title, columns, rows, shut)


def temperature(block: TemperatureBlock) -> list[View]:
    """Figures, arms and sweep."""
    quartiles = block.context_temperature
    return [
        _figures(
            "Entropy, temperature, divergence",
            {
                "mean entropy, base (nats)": block.entropy.base,
                "mean entropy, fitted (nats)": block.entropy.fitted,
                "global T* with equal mean entropy": block.global_temperature,
                "per-context T: quartiles": None
                if quartiles is None
                else " / ".join(number(value) for value in quartiles),
                "contexts that no temperature matches": block.context_unmatched,
                "top token unchanged by T* (1 but for rounding)": number(block.greedy_agreement, 4),
                "KL(fitted || base), nats": block.kl,
                "KL at the best T of every context, nats": block.kl_context,
                "share of the change left": block.remaining,
                "diversity gain at equal entropy": block.ttr_at_equal_entropy,
            },
        ),
        _arms("Ways of decoding", block.arms, shut=True),
        _arms("The base over temperatures", block.sweep, shut=True),
    ]


def static_bias(block: StaticBiasBlock) -> list[View]:
    """Figures and arms."""
    rows = tuple(
        (arm.bias, number(arm.alpha), arm.agreement, arm.ttr, arm.rep_4) for arm in block.arms
    )
    columns = ("bias", "alpha", "agreement with fitted", "type-token ratio", "repeated 4-grams")
    return [
        _figures(
            f"Estimated on {block.calibration_prompts} prompts, measured on the other "
            f"{block.evaluation_prompts}",
            {
                "logit-shift variance a static shift explains": block.explained,
                "the same, shuffled (null)": block.explained_shuffled,
                "KL(fitted || base), nats": block.kl,
                "KL with the best context-free bias, nats": block.kl_fitted_bias,
                "share of the change left": block.remaining,
                "most diverse static arm": block.best_arm,
                "fitted minus that arm, type-token ratio": block.best_gap,
            },
        ),
        View("Static biases by strength", columns, rows, shut=True),
    ]


def _tokens(title: str, shifts: tuple[TokenShift, ...]) -> View:
    columns = ("token", "times", "median rank elsewhere", "frequency class", "after this text")
    rows = tuple(
        (
            token(item.token, 60), item.count, number(item.median_rank), item.frequency_class,
            clip(item.example, 90, left=True),
        )
        for item in shifts
    )  # fmt: skip
    return View(title, columns, rows, shut=True)


def _contexts(name: str, item: ContextRanks) -> list[View]:
    rows: dict[str, Cell] = {
        "decisions": item.n_contexts,
        "overridden": item.override_rate,
        "overridden beyond any static shift": item.after_static,
        "of the overrides, from base rank > 10": item.deep_share,
        "log2 frequency, promoted minus demoted": item.frequency_shift,
        "exact ties / overrides below the logits' precision": f"{item.tied} / {item.near_ties}",
    }
    return [
        _figures(f"On {name}", rows),
        _tokens(f"Promoted tokens, on {name}", item.promoted),
        _tokens(f"Demoted tokens, on {name}", item.demoted),
    ]


def ranks(block: RanksBlock) -> list[View]:
    """Figures and token tables of both kinds of context."""
    found = _contexts("held-out text", block.teacher_forced)
    if block.on_policy is not None:
        found += _contexts("the fitted model's own text", block.on_policy)
    return [view for view in found if view.rows]


def geometry(block: GeometryBlock) -> list[View]:
    """The primary measure by site, and what was left out."""
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
        "rows left out (base / fitted)", "rogue dimensions (base / fitted)",
    )  # fmt: skip
    summary: dict[str, Cell] = {
        "measure that decides": metric_name(block.primary),
        "block with the largest growth": _label(block, block.largest_block),
        "growth of the last block": block.last_delta,
        "that minus the largest other growth": block.contrast,
        "final norm's growth minus the last block's": block.final_norm_gain,
        "positions": block.positions,
        "intervals": block.intervals,
    }
    return [
        _figures("The last block against the others", summary),
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
        "blocks executed": ", ".join(f"{k} {count(v)}" for k, v in block.replays.items()),
    }
    return [_figures("The last block", summary), View("Text of the hybrids", columns, rows)]


def sufficiency(block: SufficiencyBlock) -> list[View]:
    """Twins and comparisons."""
    rows = tuple(
        (
            twin.name, twin.role, twin.trained_layers, compact(twin.trainable_parameters),
            number(twin.train_loss), twin.ttr, twin.rep_4, twin.entropy, twin.heldout_loss,
            twin.last_delta,
        )
        for twin in block.twins
    )  # fmt: skip
    columns = (
        "checkpoint", "role", "blocks trained", "parameters trained", "training loss",
        "type-token ratio", "repeated 4-grams", "entropy", "held-out loss", "growth, last block",
    )  # fmt: skip
    return [
        _figures(
            f"Late-stage against {block.reference}",
            {
                "late-stage share of the gain": block.gain_share,
                "type-token ratio, late-stage minus reference": block.difference,
            },
        ),
        View("Twins", columns, rows),
    ]


def quotation(block: QuotationBlock) -> list[View]:
    """Copying figures and the longest copies."""
    pairs = {
        f"share of copied {block.n}-grams": block.copied_share,
        "longest copied span, tokens": block.longest_span,
        "type-token ratio without copies": block.free_diversity,
    }
    rows = tuple(
        (item.prompt_id, item.length, clip(item.text, 240), item.source_id)
        for item in block.examples
    )
    columns = ("prompt", "tokens", "copied text", "training passage")
    title = f"Against {count(block.training_passages)} passages from {block.source}"
    return [_pairs(title, pairs), View("Longest copied spans of the fitted model", columns, rows)]


def control(block: ControlBlock) -> list[View]:
    """Base against control, and the gap to the fitted model."""
    scores = {measure_name(key): pair for key, pair in block.scores.items()}
    return [
        _pairs(f"The control: {block.name}", scores, "control"),
        _figures("Fitted against control", {"type-token ratio, difference": block.gain_gap}),
    ]


def course(block: Course) -> list[View]:
    """What the run came to, and every epoch."""
    fields = ("epoch", "step", "loss", "heldout_loss", "entropy", "ttr", "rep_4")
    rows = tuple(tuple(getattr(item, name) for name in fields) for item in block.epochs)
    summary: dict[str, Cell] = {
        "whole epochs": len(block.epochs),
        "optimiser steps": block.steps,
        "loss of the first batch, before any update (nats)": block.first_loss,
        "mean loss of the last epoch (nats)": block.epochs[-1].loss if block.epochs else None,
        "time": seconds(block.seconds),
        "ended by": block.stop or "not ended",
        "read from": block.source,
    }
    columns = ("epoch", "step", "training loss", "held-out loss", "entropy", "type-token ratio",
               "repeated 4-grams")  # fmt: skip
    return [_figures("The run", summary), View("Epochs", columns, rows, shut=True)]


VIEWS = {
    "diversity": diversity,
    "temperature": temperature,
    "static_bias": static_bias,
    "ranks": ranks,
    "geometry": geometry,
    "transplant": transplant,
    "sufficiency": sufficiency,
    "quotation": quotation,
    "control": control,
    "course": course,
}
