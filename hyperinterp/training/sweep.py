"""A sweep: the same recipe over which blocks train and over seeds, and one table."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from transformers import PreTrainedTokenizerBase

from hyperinterp.ambient import own_settings
from hyperinterp.arguments import check_arguments, check_numbers, check_texts
from hyperinterp.blocks import listed
from hyperinterp.brief import Brief, rounded
from hyperinterp.checkpoints import check_folder, check_like, pinned, write_file
from hyperinterp.checkpoints.files import translate_io_errors
from hyperinterp.distributed import launched
from hyperinterp.drawing.rendering import frame, html_grid
from hyperinterp.drawing.table import table
from hyperinterp.errors import InputRefused
from hyperinterp.models import AnyModel, check_given
from hyperinterp.ranges import of_kind
from hyperinterp.text import as_passages, check_chat
from hyperinterp.training.config import TrainConfig
from hyperinterp.training.launcher import alone
from hyperinterp.training.result import RESULT_NAME, TrainResult
from hyperinterp.training.run import train
from hyperinterp.training.starting import prepared
from hyperinterp.training.targets import check_method
from hyperinterp.training.tracker import Progress

TABLE_JSON, TABLE_CSV = "sweep.json", "sweep.csv"
_LOCK = ".sweep.lock"


@dataclass(frozen=True)
class SweepCell(Brief):
    """One finished run of a sweep.

    Attributes:
        name: its directory below the sweep's, e.g. `last5-seed0`.
        blocks: which blocks were trained, as indices: `25-29`.
        share_of_blocks: the same as a share of all blocks.
        seed: of the adapter's first weights and the order of the data.
        trainable: trained parameters.
        train_loss: mean loss of the last whole epoch, nats; None if none was whole.
        heldout_loss: validation loss of the final weights, nats per predicted token.
        epochs: whole epochs run.
        steps: optimiser steps run.
        seconds: time spent in training.
        stop: the rule that ended it.
    """

    name: str
    blocks: str
    share_of_blocks: float
    seed: int
    trainable: int
    train_loss: float | None
    heldout_loss: float | None
    epochs: int
    steps: int
    seconds: float
    stop: str


@dataclass(frozen=True)
class Sweep(Brief):
    """The table of a sweep; a notebook shows it, `to_frame()` has it for pandas.

    Attributes:
        out: directory of the cells, `sweep.json` and `sweep.csv`.
        planned: names of all cells.
        cells: the finished ones, in the same order.
    """

    out: Path
    planned: tuple[str, ...]
    cells: tuple[SweepCell, ...]

    def to_frame(self) -> Any:
        """The rows of `sweep.csv` as a pandas DataFrame, one per finished run.

        Raises:
            InputRefused: pandas is not installed.
        """
        records = (dict(zip(_COLUMNS, _values(cell), strict=True)) for cell in self.cells)
        return frame(table("sweep", "Sweep", records))

    def _repr_html_(self) -> str:
        rows = [[_shown(value) for value in _values(cell)] for cell in self.cells]
        left = len(self.planned) - len(self.cells)
        told = f"{left} of {len(self.planned)} runs are not done yet" if left else ""
        return str(html_grid(_COLUMNS, rows)) + (f"<p>{told}</p>" if told else "")


_COLUMNS: tuple[str, ...] = tuple(SweepCell.__dataclass_fields__)


def _values(cell: SweepCell) -> list[Any]:
    return [getattr(cell, name) for name in _COLUMNS]


def _shown(value: Any) -> Any:
    """A cell of the table in a notebook; nothing where there is no figure."""
    if value is None:
        return ""
    return rounded(value) if isinstance(value, float) else value


def plan(
    config: TrainConfig, blocks: Sequence[str | None], seeds: Sequence[int]
) -> dict[str, TrainConfig]:
    """The recipe of every cell by name, seeds innermost.

    Raises:
        InputRefused: blocks that are no placement; see `hyperinterp.blocks`.
    """
    recipes = [
        replace(config, blocks=placement, seed=seed) for placement in blocks for seed in seeds
    ]
    return {f"{recipe_name(recipe)}-seed{recipe.seed}": recipe for recipe in recipes}


def recipe_name(config: TrainConfig) -> str:
    """A recipe's method and blocks as part of a file's name: `last5`, `lora`, `full-first5`."""
    placement = config.placement
    if placement is None:
        return config.method
    return placement.slug if config.method == "late-stage" else f"{config.method}-{placement.slug}"


@own_settings()
def sweep(
    model: AnyModel,
    passages: Any,
    out: str | Path,
    config: TrainConfig,
    *,
    blocks: Sequence[str] | None = None,
    seeds: Sequence[int],
    heldout: Any,
    base: AnyModel | None = None,
    revision: str | None = None,
    subfolder: str | None = None,
    like: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
    on_progress: Callable[[str, Progress], None] | None = None,
    split: str | None = None,
    column: str | None = None,
    chat: str = "auto",
    tokenizer: str | Path | PreTrainedTokenizerBase | None = None,
) -> Sweep:
    """Train every cell that is not done yet, one after the other.

    Finished cells are verified and kept, interrupted ones resumed. When a launcher such as
    torchrun has set RANK and WORLD_SIZE, each process trains the cells `rank::world` on its own;
    the table is complete when the last one is done.

    Args:
        model: as in `train`; it is loaded once.
        passages: what to learn by heart, in any form that `as_passages` takes.
        out: directory for the cells and the table.
        config: the recipe; its `blocks` and `seed` are replaced.
        blocks: which blocks train, such as ["last:1", "last:5"]; None: those of the recipe.
        seeds: the seeds.
        heldout: passages for the validation loss of every cell, likewise.
        base: what an adapter given as `model` sits on.
        revision: commit, branch or tag of `model`, a Hugging Face id.
        subfolder: folder of `model` inside its repository or directory.
        like: for a model that is a state dict, the checkpoint with its config and tokenizer.
        device: `auto`, `cpu`, `cuda`, ...
        force: train every cell anew.
        on_progress: told the cell's name and its progress, after every step.
        split: of both texts; see `as_passages`.
        column: their field of text; see `as_passages`.
        chat: "auto", "on" or "off", as in `train`.
        tokenizer: as in `train`.

    Returns:
        The table of all cells that are finished by now, whichever process trained them.

    Raises:
        InputRefused: as `train`; or `out` holds something else than a sweep, or a finished cell
            has another recipe, other data or other held-out passages.
    """
    check_arguments(
        out=out, revision=revision, subfolder=subfolder, device=device, force=force,
        on_progress=on_progress,
    )  # fmt: skip
    of_kind("config", config, TrainConfig, "a hyperinterp.TrainConfig")
    seeds = check_numbers("seeds", seeds)
    placements: list[str | None] = [config.blocks]
    if blocks is not None:
        placements = [*check_texts("blocks", blocks)]
    check_given(model, "model")
    out, model = Path(out), pinned(model, revision, subfolder)
    cells = plan(config, list(dict.fromkeys(placements)), list(dict.fromkeys(seeds)))
    if not cells:
        raise InputRefused(
            "sweep: expected at least one choice of blocks and a seed, found none; give both"
        )
    check_chat(chat)
    fields: dict[str, Any] = {"split": split, "column": column}
    learnt = as_passages(passages, what="passages", **fields)
    unseen = as_passages(heldout, what="heldout", **fields)
    check_folder(out, "sweep", (TABLE_JSON, _LOCK))
    rank, world = launched()
    with alone(world):
        check_like(like, model, base)
        hooked = prepared(model, base=base, like=like, device=device)
        for each in cells.values():
            check_method(hooked, each)
        found = _written(out, cells, hooked.n_layers)
        for name in list(cells)[rank::world]:

            def told(progress: Progress, name: str = name) -> None:
                if on_progress is not None:
                    on_progress(name, progress)

            result = train(
                hooked, learnt, out / name, cells[name], heldout=unseen, force=force,
                resume=not force, on_progress=told, chat=chat,
                tokenizer=tokenizer,
            )  # fmt: skip
            if result.heldout_sha256 != unseen.sha256:
                raise InputRefused(
                    f"{out / name}: expected a run with the same held-out passages, found others "
                    "(--force trains it anew)"
                )
            found = _written(out, cells, hooked.n_layers)
    return found


def _written(out: Path, cells: dict[str, TrainConfig], n_layers: int) -> Sweep:
    """Write the table of what is finished on disk by now, whoever trained it."""
    with translate_io_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / _LOCK):
            rows = tuple(
                _cell(name, TrainResult.read(out / name), config.seed, n_layers)
                for name, config in cells.items()
                if (out / name / RESULT_NAME).is_file()
            )
            document = {"planned": list(cells), "cells": [asdict(row) for row in rows]}
            text = json.dumps(document, indent=1, allow_nan=False) + "\n"
            write_file(out / TABLE_JSON, text.encode(), force=True)
            write_file(out / TABLE_CSV, _csv(rows).encode(), force=True)
    return Sweep(out, tuple(cells), rows)


def _cell(name: str, result: TrainResult, seed: int, n_layers: int) -> SweepCell:
    return SweepCell(
        name=name,
        blocks=listed(result.blocks),
        share_of_blocks=len(result.blocks) / n_layers,
        seed=seed,
        trainable=result.trainable,
        train_loss=result.loss,
        heldout_loss=result.heldout_loss,
        epochs=result.epochs,
        steps=result.steps,
        seconds=round(result.seconds, 3),
        stop=result.stop,
    )


def _csv(rows: Sequence[SweepCell]) -> str:
    stream = io.StringIO()
    writer: Any = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_values(row) for row in rows)
    return stream.getvalue()
