"""A tokenizer by itself: that of a checkpoint, or of where a model in memory once came from."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from transformers import PreTrainedTokenizerBase

from hyperinterp.checkpoints import builtin
from hyperinterp.checkpoints.building import build_tokenizer, read_tokenizer
from hyperinterp.checkpoints.opening import open_source
from hyperinterp.checkpoints.source import is_hub_id, resolve
from hyperinterp.checkpoints.staging import private_directory, stage_tokenizer
from hyperinterp.errors import InputRefused


def load_tokenizer(
    given: str | Path | PreTrainedTokenizerBase, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint, without its model.

    Args:
        given: any name of a checkpoint, a directory that holds tokenizer files alone, or a
            tokenizer, which is returned as it is.
        revision: Hub revision.

    Raises:
        InputRefused: The name cannot be used, or no tokenizer is there.
    """
    if isinstance(given, PreTrainedTokenizerBase):
        return given
    folder = Path(given).expanduser()
    if folder.is_dir():
        with private_directory() as root:
            there = stage_tokenizer(folder, root)
            found = read_tokenizer(root, str(given)) if there else None
    else:
        with open_source(resolve(given, revision)) as stored:
            found = build_tokenizer(stored, str(given))
    if found is None:
        raise InputRefused(
            f"{given}: expected tokenizer files (tokenizer.json, ...), found none; name a "
            "checkpoint that has them"
        )
    return found


def nearby_tokenizer(name: str) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer beside a checkpoint that lies on this machine; None without one.

    Args:
        name: what a model says of its origin (`name_or_path`): a directory, a Hub id that lies in
            the Hub's cache, or a built-in model. The network is never asked.
    """
    folder = _folder(name)
    if folder is None:
        return None
    try:
        with private_directory() as root:
            return read_tokenizer(root, name) if stage_tokenizer(folder, root) else None
    except InputRefused:  # files that we would not read under their own name either
        return None


def _folder(name: str) -> Path | None:
    if not name:
        return None
    if name in builtin.BUILTINS:
        return builtin.find_builtin(name)
    try:
        if Path(name).is_dir():
            return Path(name)
        if is_hub_id(name):
            return Path(snapshot_download(name, local_files_only=True))
    except (HfHubHTTPError, HFValidationError, OSError):
        return None
    return None
