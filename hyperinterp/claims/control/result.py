"""The result of C9: the control checkpoint beside base and fitted model."""

from dataclasses import dataclass

from hyperinterp.claims.spec import Measured, Pair
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class ControlResult(Result):
    """The same recipe stopped at the validation-loss minimum.

    Attributes:
        name: the control checkpoint.
        scores: per measure (ttr, rep_4, entropy, heldout_loss, override_rate): base against
            control.
        gain_gap: fitted minus control type-token ratio, paired by prompt.
    """

    name: str
    scores: dict[str, Pair]
    gain_gap: Measured
