"""Tables about what the models write and predict: C1, C2, C3, C7, C8, C9 and the training."""

from hyperinterp.analyses.control import ControlBlock
from hyperinterp.analyses.diversity import DiversityBlock
from hyperinterp.analyses.quotation import QuotationBlock
from hyperinterp.analyses.static_bias import StaticBiasBlock
from hyperinterp.analyses.sufficiency import SufficiencyBlock
from hyperinterp.analyses.temperature import Arm, TemperatureBlock
from hyperinterp.course import Course
from hyperinterp.drawing.escape import clip
from hyperinterp.drawing.numbers import compact, count, number, seconds
from hyperinterp.drawing.view import Cell, View, figures, pairs
from hyperinterp.report.figures.diversity import measure_name


def diversity(block: DiversityBlock) -> list[View]:
    """Scores with paired differences."""
    scores = {measure_name(key): pair for key, pair in block.scores.items()}
    return [pairs("Scores", scores, note=f"Over {block.rule}.")]


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
        figures(
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
        figures(
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
        figures(
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
    copied = {
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
    return [pairs(title, copied), View("Longest copied spans of the fitted model", columns, rows)]


def control(block: ControlBlock) -> list[View]:
    """Base against control, and the gap to the fitted model."""
    scores = {measure_name(key): pair for key, pair in block.scores.items()}
    return [
        pairs(f"The control: {block.name}", scores, "control"),
        figures("Fitted against control", {"type-token ratio, difference": block.gain_gap}),
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
    return [figures("The run", summary), View("Epochs", columns, rows, shut=True)]
