"""The tokenizer of a model in memory, found where its weights once came from."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from transformers import PreTrainedTokenizerBase

from hyperinterp.checkpoints import builtin
from hyperinterp.checkpoints.building import read_tokenizer
from hyperinterp.checkpoints.source import is_hub_id
from hyperinterp.checkpoints.staging import private_directory, stage_tokenizer
from hyperinterp.errors import InputRefused


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
