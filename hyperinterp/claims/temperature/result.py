"""The result of C2: what a temperature of the base can do."""

from dataclasses import dataclass

from hyperinterp.claims.spec import Measured, Pair
from hyperinterp.drawing.result import Result

AT_GLOBAL, AT_CONTEXT = "base sampled at T*", "base sampled at per-context T*"
FITTED_SAMPLED, GREEDY_AT_GLOBAL = "fitted sampled", "base greedy at T*"


@dataclass(frozen=True)
class Arm:
    """One way of decoding, scored on the same prompts.

    Attributes:
        name: e.g. "base sampled at T*".
        model: "base" or "fitted".
        temperature: the temperature; None when it changes with the context.
        sampled: False for greedy.
        seeds: how many seeds were drawn.
        entropy: mean teacher-forced entropy of the arm's next-token distribution, nats; missing
            where the decoding rules tokens out.
        ttr: mean type-token ratio of the window.
        rep_4: mean share of repeated 4-grams.
        note: what has to be known to read it (the greedy arm is a tautology).
    """

    name: str
    model: str
    temperature: float | None
    sampled: bool
    seeds: int
    entropy: Measured
    ttr: Measured
    rep_4: Measured
    note: str = ""


@dataclass(frozen=True)
class TemperatureResult(Result):
    """Entropy-matched temperature controls.

    Attributes:
        entropy: mean teacher-forced entropy of base and fitted model, nats.
        global_temperature: T at which the base's mean entropy equals the fitted model's.
        context_temperature: quartiles of the per-context temperature [q25, q50, q75].
        context_unmatched: contexts whose target entropy no temperature reaches.
        greedy_agreement: share of contexts where base at T* and base have the same top token
            (below 1 only through rounding).
        kl: mean KL(fitted || base), nats.
        kl_global: the same with the base at the global T*.
        kl_context: the same with the base at the best temperature of each context.
        remaining: kl_context / kl, the share of the change that no temperature explains.
        arms: decoding arms.
        sweep: base sampled over a grid of temperatures: the curve of diversity over entropy.
        ttr_at_equal_entropy: fitted sampled minus base sampled at per-context T*, paired.
    """

    entropy: Pair
    global_temperature: Measured
    context_temperature: tuple[float, float, float] | None
    context_unmatched: int
    greedy_agreement: float
    kl: Measured
    kl_global: Measured
    kl_context: Measured
    remaining: Measured
    arms: tuple[Arm, ...]
    sweep: tuple[Arm, ...]
    ttr_at_equal_entropy: Measured
