"""The options of a comparison, and of a trace along a training run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from hyperinterp.config.groups import HeldOutText, Loading
from hyperinterp.config.option import Config, Kind, Option, described
from hyperinterp.sizes import Sizes


@dataclass(frozen=True)
class Measuring(Config):
    """Preset, sizes, seed and batches of a measurement."""

    GROUP: ClassVar[str] = "measuring"

    preset: Annotated[str, Option("quick, default or full.")] = "default"
    sizes: Annotated[
        Sizes | None,
        Option(
            "Sizes instead of the preset's: a `Sizes` in Python; in a file, those that differ.",
            kind=Kind.TABLE,
            filed=True,
        ),
    ] = None
    seed: Annotated[int, Option("Seeds splits, samples and random controls.", seed=True)] = 0
    batch_size: Annotated[int, Option("Rows per forward pass.", least=1)] = 8


@dataclass(frozen=True)
class Claiming(Measuring):
    """Claims of a comparison, and how much is looked at."""

    claims: Annotated[
        str | Sequence[str] | None,
        Option("Only these claims, by id or slug, separated by commas.", kind=Kind.WORDS),
    ] = None
    also: Annotated[
        str | Sequence[str] | None,
        Option("Measurements without a verdict beside the claims, by name.", kind=Kind.WORDS),
    ] = None


@dataclass(frozen=True)
class PairLoading(Loading):
    """Loading of the models of a comparison, by name."""

    fitted_revision: Annotated[str | None, Option("The revision of FITTED.")] = None
    fitted_subfolder: Annotated[str | None, Option("The folder of FITTED inside it.")] = None
    device_map: Annotated[
        str | Mapping[str, Any] | None,
        Option("Models too large for one device: auto, balanced, sequential, ...", kind=Kind.TABLE),
    ] = None
    memory: Annotated[
        int | str | None,
        Option(
            "Memory that it may take on the device, weights included, e.g. 80GB; 4/5 of what is "
            "free by default.",
            kind=Kind.TEXT,
        ),
    ] = None


@dataclass(frozen=True)
class ComparedText(HeldOutText):
    """The held-out text and the corpus of a comparison."""

    max_tokens: Annotated[
        int | None, Option("Tokens read of the corpus at most; all by default.", least=1)
    ] = None


@described
@dataclass(frozen=True)
class CompareConfig(Claiming, ComparedText, PairLoading):
    """Everything that a comparison may be told beside its two checkpoints.

    `hyperinterp.compare(base, fitted, config=CompareConfig(seed=1))` is the same as
    `hyperinterp.compare(base, fitted, seed=1)`; `hyperinterp compare BASE FITTED --config run.yaml`
    and `config="run.yaml"` read the same options from a file.

    Attributes:
        roles: further checkpoints, texts and counts, each under the name of a role that a claim
            declares, e.g. `{"corpus": "lines.jsonl"}`.

    Raises:
        InputRefused: a value of another kind or out of its range.
    """

    roles: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tracing(Measuring):
    """Preset, sizes, seed and batches of a trace."""

    count: Annotated[
        int | None, Option("Use the first N prompts, instead of the preset's number.", least=2)
    ] = None


@dataclass(frozen=True)
class BaseLoading(Loading):
    """Loading of the base of a run."""

    base: Annotated[
        Any, Option("Where the base is now, if not where the run says.", kind=Kind.TEXT)
    ] = None


@described
@dataclass(frozen=True)
class TraceConfig(Tracing, HeldOutText, BaseLoading):
    """Everything that a trace may be told beside the run.

    Raises:
        InputRefused: a value of another kind or out of its range.
    """
