"""The result of C12: what is undone without the new dimensions, and without others."""

from dataclasses import dataclass, field

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class Intervention(Brief):
    """One model reads with its component in some directions replaced.

    Attributes:
        recipient: "fitted" or "base": the model that reads.
        given: "other model's component" (of the other model on the same context; an interchange
            intervention) or "mean" (of the model's own rows; mean ablation).
        kind: "new", "base's own leading", "random, equal variance", "random, equal number" or
            "whole stream".
        dose: number of new directions that these are, or are matched to.
        declared: whether that is the number that the verdict uses.
        directions: number of directions, the mean over draws.
        draws: random draws behind the values; 1 where nothing is random.
        removed: share of the fitted model's variance in these directions.
        moved: share of the overridden choices that are then the other model's: undone in the
            fitted model, made in the base.
        deep_moved: the same of overrides by tokens that the base ranks beyond 10.
        elsewhere: share of the overridden choices that are then neither model's.
        disturbed: share of the other choices that change.
        recovered_kl: share of KL(other model || this model) that is gone.
    """

    recipient: str
    given: str
    kind: str
    dose: int
    declared: bool
    directions: float
    draws: int
    removed: float
    moved: Measured
    deep_moved: Measured
    elsewhere: Measured
    disturbed: Measured
    recovered_kl: Measured


@dataclass(frozen=True)
class DepthEffect(Brief):
    """The same at one block, at the number of directions that holds half of its growth.

    Attributes:
        layer: index of the block.
        growth: variance gained in all new directions, as a share of the fitted model's.
        directions: how many of them are replaced.
        removed: share of the fitted model's variance in those.
        undone: overrides undone by the base's component in the new directions.
        undone_random: by random directions of equal variance.
        undone_leading: by the base's own leading directions of equal variance.
    """

    layer: int
    growth: float
    directions: int
    removed: float
    undone: Measured
    undone_random: Measured
    undone_leading: Measured


@dataclass(frozen=True)
class AblatedText(Brief):
    """Greedy text of a model on the prompts that no direction was estimated on.

    Attributes:
        label: words, e.g. "fitted without new directions".
        kind: what was replaced by its mean at every step, as in `Intervention`; "" for nothing.
        directions: how many.
        ttr: type-token ratio.
        rep_4: repeated 4-grams.
        undone: share of the fitted model's gain in type-token ratio that is gone.
        example: one generation.
    """

    label: str
    kind: str
    directions: int
    ttr: Measured
    rep_4: Measured
    undone: Measured
    example: str


@dataclass(frozen=True)
class NewDimensionsResult(Result):
    """Ablation of the new dimensions of the stream.

    Attributes:
        site: key of the site of the verdict, the last block's output.
        label: the same in words.
        width: dimensions of the stream.
        estimated_on: prompts that the directions come from.
        rows: token positions behind them.
        contexts: next-token decisions of the other prompts, on which the models are changed.
        known: the base's leading directions, which hold 95 % of its variance.
        available: directions outside them in which the variance has grown.
        growth: variance gained in all of those, as a share of the fitted model's.
        declared: how many of them the verdict removes: the fewest that hold half of the growth.
        removed: share of the fitted model's variance in those.
        override_rate: share of decisions in which the fitted model's choice is not the base's.
        deep_share: of those, by tokens that the base ranks beyond 10.
        undone: overrides undone by the base's component in the declared new directions.
        above_random: margin over the best random draw of equal variance.
        above_leading: margin over the base's own leading directions of equal variance.
        diversity_undone: share of the diversity gain that is gone when their mean is written with.
        interventions: every one of them, at the last block.
        profile: the same at single doses by depth.
        texts: what the models write.
        blocks_run: blocks executed to read, counted per passage.
        visible: share of the variance of the fitted model's centred logits that comes from the
            directions of each kind at the declared number; empty where it was not asked for.
    """

    site: str
    label: str
    width: int
    estimated_on: int
    rows: int
    contexts: int
    known: int
    available: int
    growth: float
    declared: int
    removed: float
    override_rate: Measured
    deep_share: Measured
    undone: Measured
    above_random: Measured
    above_leading: Measured
    diversity_undone: Measured
    interventions: tuple[Intervention, ...]
    profile: tuple[DepthEffect, ...] = ()
    texts: tuple[AblatedText, ...] = ()
    blocks_run: int = 0
    visible: dict[str, float] = field(default_factory=dict)

    def of(self, kind: str, *, recipient: str = "fitted", given: str = "") -> "list[Intervention]":
        """Return the interventions in one kind of directions, by rising dose.

        Args:
            kind: as in `Intervention`.
            recipient: the model that reads.
            given: what replaces the component; by default the other model's.
        """
        wanted = given or "other model's component"
        found = [
            item
            for item in self.interventions
            if (item.kind, item.recipient, item.given) == (kind, recipient, wanted)
        ]
        return sorted(found, key=lambda item: item.dose)
