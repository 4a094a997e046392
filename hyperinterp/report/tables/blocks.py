"""Tables of what the models write and predict: C1, C2, C3, C7, C8, C9 and the training."""

from dataclasses import asdict

from hyperinterp.analyses.control import ControlBlock
from hyperinterp.analyses.diversity import DiversityBlock
from hyperinterp.analyses.quotation import QuotationBlock
from hyperinterp.analyses.static_bias import StaticBiasBlock
from hyperinterp.analyses.sufficiency import SufficiencyBlock
from hyperinterp.analyses.temperature import Arm, TemperatureBlock
from hyperinterp.course import Course
from hyperinterp.drawing.table import Table, Value, figures, spread, spread_pair, table


def diversity(block: DiversityBlock) -> tuple[Table, ...]:
    """Scores, and the single prompts."""
    return (
        table(
            "diversity_scores", f"Diversity of the last {block.window} generated ids",
            ({"measure": key, **spread_pair(pair)} for key, pair in block.scores.items()),
        ),
        table(
            "diversity_prompts", "Diversity, prompt by prompt",
            (
                {
                    "prompt_id": item.prompt_id,
                    "base_ttr": item.base_ttr, "fitted_ttr": item.fitted_ttr,
                    "base_rep_4": item.base_rep_4, "fitted_rep_4": item.fitted_rep_4,
                    "base_ended": item.base.ended, "fitted_ended": item.fitted.ended,
                    "prompt": item.prompt, "base": item.base.text, "fitted": item.fitted.text,
                }
                for item in block.prompts
            ),
        ),
    )  # fmt: skip


def _arm(arm: Arm) -> dict[str, Value]:
    return {
        "arm": arm.name, "model": arm.model, "temperature": arm.temperature,
        "sampled": arm.sampled, "seeds": arm.seeds, **spread("entropy", arm.entropy),
        **spread("ttr", arm.ttr), **spread("rep_4", arm.rep_4), "note": arm.note,
    }  # fmt: skip


def temperature(block: TemperatureBlock) -> tuple[Table, ...]:
    """Arms, sweep and single figures."""
    return (
        table("temperature_arms", "Ways of decoding", map(_arm, block.arms)),
        table("temperature_sweep", "The base over temperatures", map(_arm, block.sweep)),
        figures(
            "temperature_figures", "Entropy, temperature and divergence",
            {
                "entropy of base, nats": block.entropy.base,
                "entropy of fitted, nats": block.entropy.fitted,
                "global T*": block.global_temperature,
                "KL(fitted || base), nats": block.kl,
                "KL at the global T*, nats": block.kl_global,
                "KL at the best T of every context, nats": block.kl_context,
                "share of KL left": block.remaining,
                "diversity gain at equal entropy": block.ttr_at_equal_entropy,
            },
        ),
    )  # fmt: skip


def static_bias(block: StaticBiasBlock) -> tuple[Table, ...]:
    """Arms, single figures, and how the fitted bias converged."""
    return (
        table(
            "static_bias_arms", "Static biases by strength",
            (
                {
                    "bias": arm.bias, "alpha": arm.alpha, **spread("agreement", arm.agreement),
                    **spread("ttr", arm.ttr), **spread("rep_4", arm.rep_4),
                }
                for arm in block.arms
            ),
        ),
        figures(
            "static_bias_figures", "What a static bias explains",
            {
                "logit-shift variance explained": block.explained,
                "explained, shuffled (null)": block.explained_shuffled,
                "KL(fitted || base), nats": block.kl,
                "KL with the best bias, nats": block.kl_fitted_bias,
                "share of KL left": block.remaining,
                "type-token ratio of base": block.base_ttr,
                "type-token ratio of fitted": block.fitted_ttr,
                "fitted minus the best static arm": block.best_gap,
            },
        ),
        table(
            "static_bias_loss", "Calibration KL of the fitted bias by optimiser step",
            ({"step": step, "kl": value} for step, value in enumerate(block.bias_loss)),
        ),
    )  # fmt: skip


def sufficiency(block: SufficiencyBlock) -> tuple[Table, ...]:
    """Twins and the two comparisons."""
    return (
        table(
            "sufficiency_twins", "Twins",
            (
                {
                    "name": twin.name, "role": twin.role, "trained_layers": twin.trained_layers,
                    "share_of_layers": twin.share_of_layers,
                    "trainable_parameters": twin.trainable_parameters,
                    "train_loss": twin.train_loss, **spread("ttr", twin.ttr),
                    **spread("rep_4", twin.rep_4), **spread("entropy", twin.entropy),
                    **spread("heldout_loss", twin.heldout_loss),
                    **spread("last_delta", twin.last_delta),
                }
                for twin in block.twins
            ),
        ),
        figures(
            "sufficiency_figures", "Late-stage against the reference",
            {
                f"share of the gain of {block.reference}": block.gain_share,
                f"type-token ratio minus that of {block.reference}": block.difference,
            },
        ),
    )  # fmt: skip


def quotation(block: QuotationBlock) -> tuple[Table, ...]:
    """Copying figures and examples."""
    pairs = {
        f"share of copied {block.n}-grams": block.copied_share,
        "longest copied span, tokens": block.longest_span,
        "type-token ratio without copies": block.free_diversity,
    }
    return (
        table(
            "quotation_figures", "Copying",
            (
                *({"figure": key, **spread_pair(pair)} for key, pair in pairs.items()),
                {
                    "figure": f"copied {block.n}-grams in held-out text",
                    **spread("base", block.heldout_share),
                },
            ),
        ),
        table(
            "quotation_examples", "Longest copied spans",
            (
                {
                    "prompt_id": item.prompt_id, "length": item.length, "text": item.text,
                    "source_id": item.source_id,
                }
                for item in block.examples
            ),
        ),
    )  # fmt: skip


def control(block: ControlBlock) -> tuple[Table, ...]:
    """Base against control; the column `control` is what `Pair` calls fitted."""
    rows = (
        {
            "measure": key, **spread("base", pair.base), **spread("control", pair.fitted),
            **spread("delta", pair.delta), "n": pair.delta.n,
        }
        for key, pair in block.scores.items()
    )  # fmt: skip
    gap = {"fitted minus control, type-token ratio": block.gain_gap}
    return (
        table("control_scores", "The control checkpoint", rows),
        figures("control_figures", "Fitted against control", gap),
    )


def course(block: Course) -> tuple[Table, ...]:
    """The training log, epoch by epoch."""
    return (table("course_epochs", "Training, epoch by epoch", map(asdict, block.epochs)),)
