"""The result of C6: what patching a block's function moves."""

from dataclasses import dataclass, field

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class PatchEffect:
    """One patch of components and what it did to the predictions.

    Attributes:
        label: what was patched, e.g. "block 29" or "blocks 25-29".
        kind: "block", "attention", "MLP", "final norm", "unembedding", "last k", "first k".
        layers: block indices; empty for final norm and unembedding.
        direction: "fitted into base" or "base into fitted".
        kl_to_donor: mean KL(donor || stitched model), nats.
        kl_to_recipient: mean KL(recipient || stitched model), nats.
        agreement: top-1 agreement with the donor.
        recovered_kl: 1 - KL(donor || stitched model) / KL(donor || recipient).
        recovered_logit: recovered share of the logit difference between the donor's and the
            recipient's choice, over contexts where they differ.
    """

    label: str
    kind: str
    layers: tuple[int, ...]
    direction: str
    kl_to_donor: Measured
    kl_to_recipient: Measured
    agreement: Measured
    recovered_kl: Measured
    recovered_logit: Measured


@dataclass(frozen=True)
class NullBand:
    """Random weight changes of the same norm at one block, into the base.

    Attributes:
        layer: block index.
        draws: number of random changes.
        recovered_kl: smallest, mean and largest recovered share over the draws.
        kl_to_recipient: mean size of the effect of the random change, nats.
    """

    layer: int
    draws: int
    recovered_kl: tuple[float, float, float]
    kl_to_recipient: float


@dataclass(frozen=True)
class StitchedText(Brief):
    """Diversity of greedy text written by a stitched model.

    Attributes:
        label: e.g. "base + fitted block 29"; "base" or "fitted" for a model as it is.
        layers: blocks taken from the donor; none for a model as it is.
        direction: "fitted into base" or "base into fitted"; "" for a model as it is.
        ttr: mean type-token ratio.
        rep_4: mean share of repeated 4-grams.
        gain_share: share of the fitted model's gain in type-token ratio over the base.
        example: one generation.
    """

    label: str
    layers: tuple[int, ...]
    direction: str
    ttr: Measured
    rep_4: Measured
    gain_share: Measured
    example: str


@dataclass(frozen=True)
class LastBlockResult(Result):
    """Cause: patching functions between the two models.

    Attributes:
        n_contexts: next-token decisions behind the figures.
        patches: every patch.
        nulls: norm-matched random changes, per block.
        stitched: generated text of the stitched models.
        largest_block: index of the block whose function alone recovers most.
        last_recovered: recovered KL of the last block alone, fitted into base.
        last_contrast: margin over the best other single block.
        last_above_null: margin over the largest random change of the same norm.
        behaviour: share of the diversity gain that the last block alone moves.
        replays: blocks executed, and what one full forward per patch would have executed.
        unchanged: base and fitted model as they are, on the prompts of the stitched models.
        agreement: top-1 agreement of the two models before anything is patched.
    """

    n_contexts: int
    patches: tuple[PatchEffect, ...]
    nulls: tuple[NullBand, ...]
    stitched: tuple[StitchedText, ...]
    largest_block: int
    last_recovered: Measured
    last_contrast: Measured
    last_above_null: Measured
    behaviour: Measured
    replays: dict[str, int]
    unchanged: tuple[StitchedText, ...] = ()
    agreement: Measured = field(default_factory=lambda: missing("not recorded"))
