"""Tables of C2: divergences, ways of decoding, and the base over temperatures."""

from hyperinterp.claims.temperature.result import Arm, TemperatureResult
from hyperinterp.drawing.numbers import number
from hyperinterp.drawing.table import Table, table, values

_READ = {
    "told": "decoding",
    "temperature": ("T", lambda value: "per context" if value is None else number(value)),
    "seeds": "seeds",
    "entropy": "entropy, nats",
    "ttr": "type-token ratio",
    "rep_4": "repeated 4-grams",
}


def tables(result: TemperatureResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    quartiles = result.context_temperature
    told = None if quartiles is None else " / ".join(number(value) for value in quartiles)
    return (
        values(
            "quantities", "Entropy, temperature, divergence",
            {
                "mean entropy, base (nats)": result.entropy.base,
                "mean entropy, fitted (nats)": result.entropy.fitted,
                "global T* with equal mean entropy": result.global_temperature,
                "per-context T: quartiles": told,
                "contexts that no temperature matches": result.context_unmatched,
                "share of contexts whose top token T* keeps (1 but for rounding)":
                    result.greedy_agreement,
                "KL(fitted || base), nats": result.kl,
                "KL at the global T*, nats": result.kl_global,
                "KL at the best T of every context, nats": result.kl_context,
                "share of the change left": result.remaining,
                "diversity gain at equal entropy": result.ttr_at_equal_entropy,
            },
        ),
        table("arms", "Ways of decoding", map(_arm, result.arms), _READ, shut=True),
        table("sweep", "The base over temperatures", map(_arm, result.sweep), _READ, shut=True),
    )  # fmt: skip


def _arm(arm: Arm) -> dict:
    return {
        "arm": arm.name, "told": arm.name + (f" ({arm.note})" if arm.note else ""),
        "model": arm.model, "temperature": arm.temperature, "sampled": arm.sampled,
        "seeds": arm.seeds, "entropy": arm.entropy, "ttr": arm.ttr, "rep_4": arm.rep_4,
    }  # fmt: skip
