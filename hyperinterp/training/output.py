"""From a trained module to directories that plain transformers and peft load as they are."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints import save_adapter, save_checkpoint, write_directory
from hyperinterp.checkpoints.files import MANIFEST_NAME
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.models import HookedModel
from hyperinterp.training.card import machine, model_card, versions
from hyperinterp.training.config import TrainConfig
from hyperinterp.training.data import DataSummary
from hyperinterp.training.sharding import is_spread, whole_state
from hyperinterp.training.targets import Trainable


@dataclass(frozen=True)
class Writer:
    """Writes checkpoints of one run; all processes call it, and the first one writes.

    Attributes:
        model: the model in training.
        chosen: what trains.
        config: the recipe.
        data: what is trained on.
        base_name: how the base model was named.
        base_fingerprint: digest of the base's weights before training.
        folder: the run directory.
        processes: those that train together.
        sharded: whether FSDP has spread the weights over them.
    """

    model: HookedModel
    chosen: Trainable
    config: TrainConfig
    data: DataSummary
    base_name: str
    base_fingerprint: str
    folder: Path
    processes: Processes = ALONE
    sharded: bool = False

    def provenance(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Return the provenance for a checkpoint's manifest."""
        return {
            "kind": "hyperfitted",
            "base_name": self.base_name,
            "base_fingerprint": self.base_fingerprint,
            "config": self.config.as_json(),
            "data": dict(vars(self.data)),
            "seed": self.config.seed,
            "trainable": self.chosen.trainable,
            "trained_blocks": list(self.chosen.blocks),
            "versions": versions(),
            "machine": machine(self.model.device),
            "processes": self.processes.size,
            "sharded": is_spread(self.model.hf),
            **facts,
        }

    def save(self, name: str, facts: dict[str, Any]) -> Path:
        """Write the present weights below the run directory, replacing an earlier one there."""
        out, tokenizer, peft = self.folder / name, self.model.tokenizer, self.chosen.peft
        given: Any = {"provenance": self.provenance(facts), "force": True}
        if self.sharded:
            given["state"] = whole_state(self.model.hf if peft is None else peft)

        def write() -> Path:
            if peft is not None:
                return save_adapter(peft, tokenizer, out, **given)
            return save_checkpoint(self.model.hf, tokenizer, out, **given)

        return self.processes.by_first(write)

    def publish(
        self, out: Path, facts: dict[str, Any], extra: Callable[[Path], None], *, force: bool
    ) -> Path:
        """Make `out`: the present weights, the card, the log and the checkpoints on the way.

        It appears complete or not at all; until then everything stays in the run directory.
        """
        final = self.save("final", facts)
        library = "transformers" if self.chosen.peft is None else "peft"
        card = model_card(self.base_name, self.config, self.data, facts, library)

        def fill(partial: Path) -> None:
            link_tree(final, partial)
            (partial / MANIFEST_NAME).unlink()
            for name in ("checkpoints", "control", "trackers"):
                if (self.folder / name).is_dir():
                    link_tree(self.folder / name, partial / name)
            (partial / "README.md").write_text(card, encoding="utf-8")
            extra(partial)

        def write() -> Path:
            return write_directory(out, fill, provenance=self.provenance(facts), force=force)

        return self.processes.by_first(write)


def link_tree(source: Path, target: Path) -> None:
    """Hard links of all files below `source`; copies where the file system has no links."""
    for path in sorted(source.rglob("*")):
        if not path.is_file():
            continue
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            shutil.copy2(path, place)
