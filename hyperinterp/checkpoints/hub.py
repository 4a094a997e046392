"""The only place that may use the network: files of a Hub id, by name, safetensors only."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from hyperinterp.checkpoints.builtin import hub_allowed
from hyperinterp.checkpoints.screen import one_line
from hyperinterp.checkpoints.source import is_hub_id
from hyperinterp.errors import InputRefused

_CONFIGS = ["config.json", "generation_config.json", "adapter_config.json"]
_WANTED = [
    *_CONFIGS, "hyperinterp-manifest.json", "model*.safetensors", "model.safetensors.index.json",
    "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
    "chat_template.jinja", "chat_template.json", "spiece.model", "sentencepiece.bpe.model",
]  # fmt: skip


def fetch(name: str, revision: str | None) -> Path:
    """Download (or find in the Hub's own cache) the files of a repository that we read.

    Raises:
        InputRefused: No such repository or revision, or the Hub is out of reach.
    """
    if not is_hub_id(name):
        raise InputRefused(f"{name!r:.80}: expected a Hub id; write it as owner/model")
    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=_WANTED, local_files_only=not hub_allowed()
        )
    except LocalEntryNotFoundError as error:
        raise InputRefused(
            f"{name}: not in the local Hub cache and the Hub is out of reach; "
            "go online, or name a local directory"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise InputRefused(
            f"{name}: the Hub refused it: {one_line(error)}; check the id, and set HF_TOKEN if "
            "it is gated"
        ) from error
    return Path(folder)
