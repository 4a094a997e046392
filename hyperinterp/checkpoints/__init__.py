"""Checkpoints: from a name to a model, from a model to files, with trusted bytes only."""

from hyperinterp.checkpoints.adapters import AdapterInfo
from hyperinterp.checkpoints.building import check_vocabulary
from hyperinterp.checkpoints.bundle import Bundle, read_bundle
from hyperinterp.checkpoints.export import export_bundle
from hyperinterp.checkpoints.files import check_place, check_target, write_file
from hyperinterp.checkpoints.fingerprints import (
    adapter_fingerprint,
    tensors_fingerprint,
    weights_fingerprint,
)
from hyperinterp.checkpoints.loading import Checkpoint, load_checkpoint
from hyperinterp.checkpoints.locks import only_one
from hyperinterp.checkpoints.manifest import FileEntry, Manifest, verify_directory, write_directory
from hyperinterp.checkpoints.outline import outline_of
from hyperinterp.checkpoints.owned import check_folder
from hyperinterp.checkpoints.saving import save_adapter, save_checkpoint
from hyperinterp.checkpoints.source import Source, check_like, pinned, resolve
from hyperinterp.checkpoints.summary import CheckpointSummary, inspect_checkpoint
from hyperinterp.checkpoints.tokenizers import load_tokenizer, nearby_tokenizer

__all__ = [
    "AdapterInfo",
    "Bundle",
    "Checkpoint",
    "CheckpointSummary",
    "FileEntry",
    "Manifest",
    "Source",
    "adapter_fingerprint",
    "check_folder",
    "check_like",
    "check_place",
    "check_target",
    "check_vocabulary",
    "export_bundle",
    "inspect_checkpoint",
    "load_checkpoint",
    "load_tokenizer",
    "nearby_tokenizer",
    "only_one",
    "outline_of",
    "pinned",
    "read_bundle",
    "resolve",
    "save_adapter",
    "save_checkpoint",
    "tensors_fingerprint",
    "verify_directory",
    "weights_fingerprint",
    "write_directory",
    "write_file",
]
