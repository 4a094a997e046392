"""The options of a study: recipes, blocks, seeds, controls, and how cells are compared."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from hyperinterp.blocks import Placement
from hyperinterp.errors import InputRefused
from hyperinterp.ranges import at_least, check_seed, each, of_kind, one_of
from hyperinterp.sizes import PRESETS as COMPARISONS
from hyperinterp.sizes import Sizes
from hyperinterp.training import TrainConfig

METHODS = ("lora", "full")
_OWN = ("method", "blocks", "seed", "late_stage_weights", "keep_control", "report_to")


@dataclass(frozen=True)
class StudyConfig:
    """A study: every method in every placement under every seed, and what they are held against.

    Attributes:
        methods: `lora`, `full` or both, each in every placement.
        blocks: placements, such as `last:5`; see `hyperinterp.blocks`. The last blocks are held
            against the others.
        whole: methods that also train all blocks; the last blocks are held against them.
        seeds: training seeds; fewer than three decide nothing about a recipe.
        shuffled: also train the first method in the first placement on the same passages with their
            words shuffled.
        control: keep each run's weights of least validation loss, and hold the run against them.
        data: training passages by path or id; None for the built-in fiction.
        passages: the first so many of them.
        heldout: passages that choose the control; None for the last 16 built-in training passages
            that are not learnt, or the built-in held-out ones where none is left.
        prompts: held-out passages of the comparisons; None for the built-in ones.
        split: of these texts.
        column: their field of text.
        chat: "auto", "on" or "off".
        train: fields of `TrainConfig` for every run.
        claims: ids or slugs, separated by commas; None for all.
        compare: preset of the comparisons: "quick", "default" or "full".
        sizes: fields of `Sizes` that differ from that preset's.
        batch_size: rows per forward pass of the comparisons.
        dtype: of the comparisons' models.

    Raises:
        InputRefused: a value outside its range.
    """

    methods: tuple[str, ...] = ("lora",)
    blocks: tuple[str, ...] = ("last:5", "first:5", "middle:5", "random:5")
    whole: tuple[str, ...] = ("lora", "full")
    seeds: tuple[int, ...] = (0, 1, 2)
    shuffled: bool = True
    control: bool = True
    data: str | None = None
    passages: int | None = 32
    heldout: str | None = None
    prompts: str | None = None
    split: str | None = None
    column: str | None = None
    chat: str = "auto"
    train: Mapping[str, Any] = field(default_factory=dict)
    claims: str | None = None
    compare: str = "default"
    sizes: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 8
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("methods", "whole"):
            for method in each(name, getattr(self, name), "names"):
                one_of(name, method, METHODS)
        for text in each("blocks", self.blocks, "placements"):
            Placement.read(text)
        for seed in each("seeds", self.seeds):
            check_seed(seed, "seeds")
        for name in ("methods", "blocks", "whole", "seeds"):
            found = getattr(self, name)
            if len(set(found)) < len(found):
                raise InputRefused(f"{name}: expected each once, found {_listed(found)}; drop one")
        if not self.seeds or not (self.whole or (self.methods and self.blocks)):
            raise InputRefused(
                "study: expected at least one seed, and one method with blocks or in all of them, "
                "found none; name them"
            )
        for name in ("shuffled", "control"):
            of_kind(name, getattr(self, name), bool, "true or false")
        if self.passages is not None:
            at_least("passages", self.passages, 1)
        at_least("batch size", self.batch_size, 1)
        one_of("compare", self.compare, COMPARISONS)
        one_of("dtype", self.dtype, ("float32", "bfloat16", "float16"))
        of_kind("train", self.train, Mapping, "fields of a training recipe")
        of_kind("sizes", self.sizes, Mapping, "fields of the sizes")
        self.recipe(METHODS[0], None, 0)
        self.comparison()

    def recipe(self, method: str, blocks: str | None, seed: int) -> TrainConfig:
        """Return the recipe of one run.

        Raises:
            InputRefused: a field that recipes do not have, that the study sets itself, or a value
                outside its range.
        """
        known = [item.name for item in fields(TrainConfig) if item.name not in _OWN]
        own = {"method": method, "blocks": blocks, "seed": seed, "keep_control": self.control}
        return TrainConfig(**_checked("train", self.train, known), **own)

    def comparison(self) -> Sizes:
        """Return the sizes of the comparisons.

        Raises:
            InputRefused: a field that sizes do not have, or a value outside its range.
        """
        known = [item.name for item in fields(Sizes)]
        return replace(COMPARISONS[self.compare], **_checked("sizes", self.sizes, known))

    def as_json(self) -> dict[str, Any]:
        """Return all fields as plain values, as `study.yaml` has them."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def of(cls, given: Mapping[str, Any], start: "StudyConfig | None" = None) -> "StudyConfig":
        """Return the study of plain values, as `study.yaml` has them.

        Args:
            given: by field; lists stand for tuples.
            start: where the other fields are taken from; the defaults without it.

        Raises:
            InputRefused: an unknown field, or a value that it cannot have.
        """
        names = [item.name for item in fields(cls)]
        found = _checked("study", given, names)
        for name, value in found.items():
            _check_kind(name, value)
        return replace(start or cls(), **found)


def _checked(name: str, given: Mapping[str, Any], known: list[str]) -> dict[str, Any]:
    """Fields by name, lists as tuples; refuses one that is not known."""
    for key in given:
        if key not in known:
            raise InputRefused(
                f"{name}: expected some of {', '.join(known)}, found {str(key)[:60]!r}; remove it"
            )
    return {
        str(key): tuple(value) if isinstance(value, list) else value for key, value in given.items()
    }


def _check_kind(name: str, value: Any) -> None:
    """Refuse a value of another kind than a field has, as a file may hold it."""
    if name in ("methods", "blocks", "whole", "seeds"):
        kind = int if name == "seeds" else str
        words = "whole numbers" if name == "seeds" else "names"
        if not isinstance(value, tuple) or not all(type(item) is kind for item in value):
            raise InputRefused(
                f"{name}: expected a list of {words}, found {_plain(value)!r:.60}; write [a, b]"
            )
    elif name in ("train", "sizes"):
        of_kind(name, value, Mapping, "fields by name")
    elif name in ("shuffled", "control"):
        of_kind(name, value, bool, "true or false")
    elif name in ("passages", "batch_size"):
        if name == "batch_size" or value is not None:
            at_least(name, value, 1)
    elif value is not None or name in ("chat", "compare", "dtype"):
        of_kind(name, value, str, "a text")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _listed(found: Any) -> str:
    return ", ".join(map(str, found))


PRESETS: dict[str, StudyConfig] = {
    "quick": StudyConfig(
        blocks=("last:5", "first:5"), whole=("lora",), seeds=(0,), compare="quick"
    ),
    "default": StudyConfig(),
    "paper": StudyConfig(
        methods=("lora", "full"),
        passages=2000,
        train={"seq_len": 256, "epochs": 260},
        compare="full",
    ),
}
"""The studies behind `--preset`: `paper` has the passages and epochs of arXiv:2605.22579, and stops
at the target loss, without which placements cannot be held against each other."""
