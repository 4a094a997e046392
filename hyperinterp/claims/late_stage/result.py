"""The result of C7: late-stage twins beside a twin trained in all layers."""

from dataclasses import dataclass

from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class Twin:
    """One fitted checkpoint beside the others.

    Attributes:
        name: what the user called it.
        role: "fitted", "late-stage" or "sweep".
        trained_layers: number of last blocks trained; None when not recorded, or others were.
        share_of_layers: the same as a share of all blocks.
        trainable_parameters: None when not recorded.
        train_loss: final mean training loss; None when not recorded.
        ttr: mean type-token ratio of greedy text.
        rep_4: mean share of repeated 4-grams.
        entropy: mean teacher-forced entropy, nats.
        heldout_loss: mean next-token loss on the held-out passages, nats.
        last_delta: delta of the corrected participation ratio at the last block.
    """

    name: str
    role: str
    trained_layers: int | None
    share_of_layers: float | None
    trainable_parameters: int | None
    train_loss: float | None
    ttr: Measured
    rep_4: Measured
    entropy: Measured
    heldout_loss: Measured
    last_delta: Measured


@dataclass(frozen=True)
class LateStageResult(Result):
    """Late-stage twin against a twin trained in all layers.

    Attributes:
        reference: name of the twin trained in all layers.
        twins: every twin, the base first.
        gain_share: late-stage gain in type-token ratio over the base, as a share of the
            reference's gain.
        difference: late-stage minus reference type-token ratio, paired by prompt.
    """

    reference: str
    twins: tuple[Twin, ...]
    gain_share: Measured
    difference: Measured
