"""The result of the look at finer causes."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class StaticShift(Brief):
    """The base with one fixed vector added to its stream after one block.

    The vector is the mean difference of the two models' streams there, over other passages.

    Attributes:
        layer: index of the block.
        norm: length of the vector over the mean length of the base's rows.
        recovered_kl: share of KL(fitted || base) that is gone.
        made: share of the overridden choices that the base then makes.
    """

    layer: int
    norm: float
    recovered_kl: Measured
    made: Measured


@dataclass(frozen=True)
class ComponentShift(Brief):
    """The part of one component in the change of a logit difference.

    Attributes:
        component: words, e.g. "MLP 29".
        layer: index of its block; None for the embedding and for what is constant.
        kind: "embedding", "attention", "MLP" or "constant".
        change: fitted minus base of its part of (logit of the fitted model's choice minus logit
            of the base's choice), mean over overridden decisions.
        share: of the whole change.
    """

    component: str
    layer: int | None
    kind: str
    change: Measured
    share: float


@dataclass(frozen=True)
class HeadPatch(Brief):
    """One attention head or MLP whose output in the base becomes the fitted model's.

    Attributes:
        component: words, e.g. "head 29.3".
        layer: index of the block.
        attributed: the first-order estimate of what it recovers of the logit difference.
        patched: what it recovers when it is patched; None where it was not.
    """

    component: str
    layer: int
    attributed: float
    patched: float | None = None


@dataclass(frozen=True)
class CausesResult(Result):
    """Finer causes of the change.

    Attributes:
        contexts: decisions of the passages that were read.
        overridden: of those, where the two models choose differently.
        shifts: a static shift of the stream, by block.
        components: direct attribution of the change, largest first.
        whole: the change of the logit difference that the components add up to.
        heads: heads and MLPs of the last blocks, the largest estimate first.
        blocks: the fewest blocks found by greedy search whose functions in the base recover
            `enough`; in the order in which they were added.
        shares: share of KL(fitted || base) recovered after each of them.
        enough: the share that was asked for.
        searched: stitched models that the search ran.
        why: why a part is not there, by name.
    """

    contexts: int
    overridden: int
    shifts: tuple[StaticShift, ...]
    components: tuple[ComponentShift, ...]
    whole: float | None
    heads: tuple[HeadPatch, ...]
    blocks: tuple[int, ...]
    shares: tuple[float, ...]
    enough: float
    searched: int
    why: dict[str, str]
