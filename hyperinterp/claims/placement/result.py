"""The result of C13: twins of one recipe, trained in different blocks."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class PlacedTwin(Brief):
    """One checkpoint beside the others.

    Attributes:
        name: what the user called it.
        role: "base", "fitted" or "elsewhere".
        blocks: the blocks that were trained, as indices: "25-29"; None when not recorded.
        trainable_parameters: None when not recorded.
        train_loss: final mean training loss, nats; None when not recorded.
        ttr: mean type-token ratio of greedy text.
        gain: the same minus the base's, paired by prompt.
        rep_4: mean share of repeated 4-grams.
        apart: why it does not count beside the fitted model: what differs other than the place.
    """

    name: str
    role: str
    blocks: str | None
    trainable_parameters: int | None
    train_loss: float | None
    ttr: Measured
    gain: Measured
    rep_4: Measured
    apart: str = ""


@dataclass(frozen=True)
class PlacedPrompt(Brief):
    """One prompt: the type-token ratio of every twin's text, in their order."""

    prompt_id: str
    ttr: tuple[float, ...]


@dataclass(frozen=True)
class PlacementResult(Result):
    """The last blocks against other blocks, trained alike.

    Attributes:
        twins: the base, the fitted model, then the others.
        best: name of the other placement with the most diverse text, among those that count.
        margin: type-token ratio of the fitted model minus that of the best other placement, the
            best chosen anew in every resample.
        gain: type-token ratio of the fitted model minus the base's.
        unequal: why none of the twins counts; "" when one does.
        prompts: what the intervals rest on.
    """

    twins: tuple[PlacedTwin, ...]
    best: str
    margin: Measured
    gain: Measured
    unequal: str
    prompts: tuple[PlacedPrompt, ...]

    @property
    def set_aside(self) -> tuple[PlacedTwin, ...]:
        """The other placements that do not count, where one does."""
        return () if self.unequal else tuple(twin for twin in self.twins if twin.apart)
