"""The shapes of a checkpoint's model: its configuration is read, its weights are not."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from transformers import PreTrainedModel

from hyperinterp.checkpoints.building import build_outline, quiet_transformers, read_config
from hyperinterp.checkpoints.opening import open_source
from hyperinterp.checkpoints.places import within
from hyperinterp.checkpoints.private import private_directory
from hyperinterp.checkpoints.screen import (
    MAX_CONFIG_BYTES,
    parse_json,
    read_text,
    screen_model_config,
)
from hyperinterp.checkpoints.source import resolve

_CONFIG = "config.json"


def outline_of(
    name: str | Path,
    revision: str | None = None,
    subfolder: str | None = None,
    like: str | Path | None = None,
) -> PreTrainedModel | None:
    """Return a model with shapes but no memory; None for an adapter, which has those of its base.

    Args:
        name: anything that `resolve` understands. Of a directory config.json alone is needed;
            of a Hugging Face id all files are fetched, as for a comparison.
        revision: commit, branch or tag of a Hugging Face id.
        subfolder: folder inside the repository or directory.
        like: for a file of weights alone, the checkpoint whose config goes with it.

    Raises:
        InputRefused: the name or the configuration cannot be used.
    """
    source = resolve(name, revision, subfolder, like=like)
    if source.kind == "adapter":
        return None
    folder = source.path if source.kind == "directory" else None
    if folder is not None and (folder / _CONFIG).is_file():
        with _screened(folder) as root:
            return _outline(root, source.name)
    with open_source(source) as stored:
        return None if stored.adapter else _outline(stored.root, source.name)


@contextlib.contextmanager
def _screened(folder: Path) -> Iterator[Path]:
    """A private directory that holds the screened configuration of a checkpoint, and no more."""
    path = within(folder, folder / _CONFIG)
    found = screen_model_config(parse_json(read_text(path, MAX_CONFIG_BYTES), str(path)), str(path))
    with private_directory() as root:
        text = json.dumps(found.config, ensure_ascii=False)
        (root / _CONFIG).write_text(text, encoding="utf-8")
        yield root


def _outline(root: Path, what: str) -> PreTrainedModel:
    with quiet_transformers(what):
        return build_outline(read_config(root))
