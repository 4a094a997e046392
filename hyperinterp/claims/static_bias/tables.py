"""Tables of C3: what a static bias explains, its arms, and how the fitted one converged."""

from hyperinterp.claims.static_bias.result import StaticBiasResult
from hyperinterp.claims.static_bias.words import fitted_on
from hyperinterp.drawing.table import Table, table, values


def tables(result: StaticBiasResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (
        values(
            "quantities",
            f"Estimated on {result.calibration_prompts} prompts, measured on the other "
            f"{result.evaluation_prompts}",
            {
                "logit-shift variance a static shift explains": result.explained,
                "the same, shuffled (null)": result.explained_shuffled,
                "KL(fitted || base), nats": result.kl,
                f"KL with {fitted_on(result)}, nats": result.kl_fitted_bias,
                "share of the change left": result.remaining,
                "most diverse static arm": result.best_arm,
                "fitted minus that arm, type-token ratio": result.best_gap,
                "type-token ratio of the base": result.base_ttr,
                "type-token ratio of the fitted model": result.fitted_ttr,
            },
        ),
        table(
            "arms", "Static biases by strength",
            (
                {
                    "bias": arm.bias, "alpha": arm.alpha, "agreement": arm.agreement,
                    "ttr": arm.ttr, "rep_4": arm.rep_4,
                }
                for arm in result.arms
            ),
            {
                "bias": "bias", "alpha": "alpha", "agreement": "agreement with fitted",
                "ttr": "type-token ratio", "rep_4": "repeated 4-grams",
            },
            shut=True,
        ),
        table(
            "loss", "Calibration KL of the fitted bias by optimiser step",
            ({"step": step, "kl": value} for step, value in enumerate(result.bias_loss)),
        ),
    )  # fmt: skip
