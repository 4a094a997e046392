"""A plan: what a comparison would need, and what would make it fit."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.errors import OutOfResources


@dataclass(frozen=True)
class Phase(Brief):
    """One phase of a comparison.

    Attributes:
        name: what is done.
        peak_bytes: most bytes on the device, weights included.
    """

    name: str
    peak_bytes: int


@dataclass(frozen=True)
class Plan(Brief):
    """The needs of a comparison.

    Attributes:
        weights: bytes of both models' weights.
        memory: bytes that it may take, weights included.
        phases: peak memory by phase.
        least: bytes that it takes at least, whatever the groups of sites.
        host: bytes that it keeps in the machine's memory beside, where the models are on a card.
        groups: groups of sites that the geometry is measured in.
        kept: whether activations are kept, so that the text is read once for every group.
        passes: how often each model reads the held-out text.
        tokens: tokens of the held-out text.
        generated: tokens that are generated at most by the greedy texts of both models.
        decompositions: eigen-decompositions of `[d, d]` in float64, at most: sites at which all
            rows of the two models are the same take half of theirs.
        width: d, the width of the residual stream.
        seconds: of the passes and of the decompositions, by a rate measured here; empty where it
            was not measured.
    """

    weights: int
    memory: int
    phases: tuple[Phase, ...]
    least: int
    host: int
    groups: int
    kept: bool
    passes: int
    tokens: int
    generated: int
    decompositions: int
    width: int
    seconds: dict[str, float]

    @property
    def peak_bytes(self) -> int:
        """Most bytes on the device in any phase."""
        return max(phase.peak_bytes for phase in self.phases)

    @property
    def fits(self) -> bool:
        """Return True when it can be done in that memory."""
        return self.least <= self.memory

    def advice(self) -> str:
        """Return what would make it fit; "" where it does."""
        if self.fits:
            return ""
        most = max(self.phases, key=lambda phase: phase.peak_bytes).name
        fewer = "a smaller --batch-size" if most == "writing" else "fewer --claims"
        if self.weights > self.memory * 0.9:
            fewer = "--device-map auto, which spreads the models over several devices"
        return f"try --dtype bfloat16, {fewer}, or --memory of at least {size_words(self.least)}"


def refuse_if_too_large(found: Plan) -> None:
    """Refuse a comparison that cannot fit, before anything runs.

    Raises:
        OutOfResources: says what it needs and what would need less.
    """
    if not found.fits:
        raise OutOfResources(
            f"memory: expected at least {size_words(found.least)}, weights included, found "
            f"{size_words(found.memory)}; {found.advice()}"
        )


def size_words(size: int) -> str:
    """Return bytes in words: "22.5 GB" or "140 MB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"
