"""The needs of a study before it is run: time and memory of every cell, from shapes alone."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from hyperinterp.blocks import Placement
from hyperinterp.brief import Brief
from hyperinterp.checkpoints import outline_of, pinned
from hyperinterp.claims import registry
from hyperinterp.errors import InputRefused
from hyperinterp.memory import available
from hyperinterp.models.load import parse_dtype, pick_device
from hyperinterp.planning import Plan, operations, planned, timed
from hyperinterp.runs.room import FLOAT, SHARE
from hyperinterp.runs.shape import Shape
from hyperinterp.studies.cells import Cell, Share, companions
from hyperinterp.studies.cells import planned as planned_cells
from hyperinterp.studies.config import StudyConfig
from hyperinterp.studies.running import Texts
from hyperinterp.studies.studying import listed_cells, read_texts
from hyperinterp.studies.work import TrainingWork
from hyperinterp.training import TrainConfig


@dataclass(frozen=True)
class CellNeeds(Brief):
    """The needs of one cell, all of them at most: a run may reach its target loss earlier.

    Attributes:
        number: of the cell, from 1, as shares are counted.
        name: of the cell.
        words: its recipe in words.
        seed: of the run.
        state: "done", "failed", "trained" or "not done".
        trainable: parameters that train, where all blocks are alike.
        passes: tokens that go forwards and backwards, over all epochs.
        training_seconds: of training, by the rate.
        training_bytes: most memory of training, weights included.
        comparison_seconds: of the comparison, by the rate.
        comparison_bytes: most memory of the comparison, weights included.
    """

    number: int
    name: str
    words: str
    seed: int
    state: str
    trainable: int
    passes: int
    training_seconds: float
    training_bytes: int
    comparison_seconds: float
    comparison_bytes: int

    @property
    def seconds(self) -> float:
        """Return the seconds that are left: of both, of the comparison alone, or none."""
        if self.state == "done":
            return 0.0
        return self.comparison_seconds + (self.state != "trained") * self.training_seconds


@dataclass(frozen=True)
class StudyNeeds(Brief):
    """The needs of a study.

    Attributes:
        device: where it was asked about.
        rate: operations per second there, of a matrix product in float32, measured for a moment.
        cells: in the order of the study.
    """

    device: str
    rate: float
    cells: tuple[CellNeeds, ...]

    @property
    def seconds(self) -> float:
        """Return the seconds of all cells that are left, one after another."""
        return sum(cell.seconds for cell in self.cells)

    @property
    def peak_bytes(self) -> int:
        """Return the most memory of any cell."""
        return max((max(it.training_bytes, it.comparison_bytes) for it in self.cells), default=0)


def study_needs(
    model: str | Path,
    config: StudyConfig,
    out: Path,
    *,
    share: Share | None = None,
    like: str | Path | None = None,
    revision: str | None = None,
    subfolder: str | None = None,
    device: str = "auto",
) -> StudyNeeds:
    """Return the needs of every cell of a study; no weights are read, nothing is run.

    Args:
        model: by name, as `study` takes it; of a directory config.json is enough.
        config: the study.
        out: its directory, there or not: what is done there is not counted again.
        share: only the cells of a share.
        like: for a model that is a state dict, the checkpoint with its config.
        revision: commit, branch or tag of `model`, a Hugging Face id.
        subfolder: folder of `model` inside its repository or directory.
        device: where the rate is measured.

    Raises:
        InputRefused: a name, text, device or placement that cannot be used.
    """
    place, texts = pick_device(device), read_texts(config)
    outline = outline_of(pinned(model, revision, subfolder), like=like)
    if outline is None:
        raise InputRefused(
            f"{model}: expected a whole model to plan with, found an adapter; name the model that "
            "it sits on"
        )
    shape, maps = Shape.of(outline, FLOAT), _linear_maps(outline)
    cells, rate = planned_cells(config), operations(place, parse_dtype("float32"))
    plans: dict[int, Plan] = {}
    found: list[CellNeeds] = []
    for index, (cell, state) in enumerate(listed_cells(config, out)):
        if share is not None and not share.takes(index):
            continue
        beside = config.control + sum(map(len, companions(cell, cells).values()))
        if beside not in plans:
            plans[beside] = _comparison(outline, config, texts, 2 + beside, place)
        made = _cell(cell, state, shape, maps, config, texts, rate, plans[beside])
        found.append(replace(made, number=index + 1))
    return StudyNeeds(place, rate, tuple(found))


def _comparison(
    outline: nn.Module, config: StudyConfig, texts: Texts, models: int, place: str
) -> Plan:
    """The plan of a comparison of so many models, with seconds."""
    dtype, sizes = parse_dtype(config.dtype), config.comparison()
    shape = Shape.of(outline, dtype.itemsize)
    plan = planned(
        [shape] * models,
        sizes,
        registry.chosen(config.claims),
        int(SHARE * available(place)),
        config.batch_size,
        prompts=len(texts.prompts.head(sizes.prompts)),
        on_host=place == "cpu",
    )
    return timed(plan, shape, place, dtype)


def _linear_maps(model: PreTrainedModel) -> int:
    """Inputs and outputs of all linear maps but the unembedding: parameters of LoRA by rank."""
    end = model.get_output_embeddings()
    return sum(
        sum(module.weight.shape)
        for module in model.modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not end
    )


def _cell(
    cell: Cell,
    state: str,
    shape: Shape,
    maps: int,
    config: StudyConfig,
    texts: Texts,
    rate: float,
    plan: Plan,
) -> CellNeeds:
    recipe, layers = config.recipe(cell.method, cell.blocks, cell.seed), shape.layers
    every = tuple(range(layers))
    blocks = every if cell.blocks is None else Placement.read(cell.blocks).of(layers, cell.seed)
    total = shape.weights // FLOAT
    if recipe.uses_lora:
        trainable = recipe.rank * maps * len(blocks) // layers
    else:
        trainable = total if cell.blocks is None else shape.body * len(blocks) // layers
    epochs = _epochs(recipe, len(texts.learnt))
    work = TrainingWork(shape, recipe, blocks[0], trainable)
    learnt = len(texts.learnt) * recipe.seq_len
    held = len(texts.heldout) * recipe.seq_len * config.control
    return CellNeeds(
        number=0,
        name=cell.name,
        words=cell.words,
        seed=cell.seed,
        state=state,
        trainable=trainable,
        passes=learnt * epochs,
        training_seconds=round(work.operations(learnt, held, epochs) / rate, 1),
        training_bytes=work.memory(learnt, held),
        comparison_seconds=round(sum(plan.seconds.values()), 1),
        comparison_bytes=plan.peak_bytes,
    )


def _epochs(recipe: TrainConfig, passages: int) -> int:
    """Epochs at most, by epochs and by steps."""
    steps = max(1, -(-passages // (recipe.batch_size * recipe.grad_accum)))
    by_steps = recipe.epochs if recipe.max_steps is None else -(-recipe.max_steps // steps)
    return min(recipe.epochs, by_steps)
