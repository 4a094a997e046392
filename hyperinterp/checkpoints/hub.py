"""The only place that may use the network: files of a Hub id, fetched by name or sent there."""

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hyperinterp.checkpoints.builtin import BUILTINS, hub_allowed
from hyperinterp.checkpoints.naming import close_to, is_hub_id, meant, near_paths
from hyperinterp.checkpoints.places import below, usable
from hyperinterp.checkpoints.screen import one_line
from hyperinterp.errors import InputRefused

_CONFIGS = ["config.json", "generation_config.json", "adapter_config.json"]
_TOKENIZERS = [
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja",
    "chat_template.json", "additional_chat_templates/*.jinja", "spiece.model",
    "sentencepiece.bpe.model",
]  # fmt: skip
_WANTED = [
    *_CONFIGS, "hyperinterp-manifest.json", "model*.safetensors", "model.safetensors.index.json",
    "adapter_model.safetensors", *_TOKENIZERS,
]  # fmt: skip
_PICKLED = ["pytorch_model*.bin", "pytorch_model.bin.index.json", "adapter_model.bin"]


def fetch(name: str, revision: str | None, subfolder: str | None = None) -> tuple[Path, Path]:
    """Download (or find in the Hub's own cache) the files of a repository that we read.

    Returns:
        The folder of the checkpoint, and the top folder of the repository.

    Raises:
        InputRefused: No such repository, revision or folder, the Hub is out of reach, or its
            cache cannot be used.
    """
    if not is_hub_id(name):
        raise InputRefused(f"{name!r:.80}: expected a Hub id; write it as owner/model")
    inside = "" if subfolder is None else f"{subfolder}/"
    wanted = [f"{inside}{pattern}" for pattern in _WANTED]
    if inside:  # what a tokenizer needs may lie at the top
        wanted += _TOKENIZERS
    nowhere = f"{name}: no such file or directory here"
    try:
        with usable(constants.HF_HUB_CACHE, "HF_HOME"):
            top = _snapshot(name, revision, wanted, nowhere)
            if hub_allowed() and not any(top.glob(f"{inside}*.safetensors")):
                wanted += [f"{inside}{pattern}" for pattern in _PICKLED]
                top = _snapshot(name, revision, wanted, nowhere)
    except HFValidationError as error:
        raise InputRefused(
            f"{nowhere}, and no Hub id: {one_line(error)}; name "
            "a path that is here, or write owner/model"
        ) from error
    return (top if subfolder is None else below(top, subfolder)), top


def send(
    name: str, kind: str, files: Mapping[str, bytes | Path], message: str, *, private: bool
) -> str:
    """Bring files to a repository of the Hub in one commit; returns its address.

    Args:
        name: owner/name of the repository, which is made where it is not there.
        kind: "model" or "dataset".
        files: contents, or the files that hold them, by path in the repository.
        message: of the commit.
        private: as a new repository is made.

    Raises:
        InputRefused: the Hub is out of reach, nobody is logged in, or it refuses.
    """
    if not hub_allowed():
        raise InputRefused(
            f"{name}: expected a Hub within reach, found HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE "
            "set; unset it"
        )
    added = [
        CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
        for path, content in files.items()
    ]
    try:
        api = HfApi()
        api.create_repo(name, repo_type=kind, private=private or None, exist_ok=True)
        found = api.create_commit(name, added, commit_message=message, repo_type=kind)
    except (LocalTokenNotFoundError, HfHubHTTPError) as error:
        raise InputRefused(
            f"{name}: the Hub refused it: {one_line(error)}; run `hf auth login` as "
            "somebody who may write there"
        ) from error
    except (HFValidationError, ValueError) as error:
        raise InputRefused(
            f"{name}: the Hub takes no such name or card: {one_line(error)}; choose "
            "another name, or correct the card"
        ) from error
    except (OfflineModeIsEnabled, OSError) as error:
        raise InputRefused(
            f"{name}: the Hub is out of reach: {one_line(error)}; go online"
        ) from error
    return found.commit_url


def _snapshot(name: str, revision: str | None, wanted: list[str], nowhere: str) -> Path:
    where = "" if revision is None else f" at revision {revision}"
    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=wanted, local_files_only=not hub_allowed()
        )
    except LocalEntryNotFoundError as error:
        if (denied := _os_error(error)) is not None:
            raise denied from error
        raise InputRefused(
            f"{nowhere}, and not{where} in the Hub's cache {constants.HF_HUB_CACHE} while the Hub "
            f"is out of reach{meant(_near(name))}; go online (without HF_HUB_OFFLINE), or name a "
            "local directory"
        ) from error
    except GatedRepoError as error:
        raise InputRefused(
            f"{name}: the Hub asks for its terms to be accepted first; do so at "
            f"{constants.ENDPOINT}/{name} and log in with `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise InputRefused(
            f"{name}: the Hub has no revision {revision} of it; name a commit, branch or tag "
            f"that {constants.ENDPOINT}/{name}/tree/main lists"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputRefused(
            f"{nowhere}, and the Hub has no model of that name that you may read"
            f"{meant(_near(name))}; a private one needs `hf auth login`"
        ) from error
    except HfHubHTTPError as error:
        raise InputRefused(
            f"{nowhere}, and the Hub refused it: {one_line(error)}; "
            "try again later, or name a path that is here"
        ) from error
    return Path(folder)


def _os_error(error: BaseException) -> OSError | None:
    """The error of the file system behind one of the Hub's, which has an errno of its own."""
    seen: BaseException | None = error.__cause__ or error.__context__
    while seen is not None:
        if isinstance(seen, OSError) and isinstance(seen.errno, int) and seen.filename:
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _near(name: str) -> list[str]:
    """Built-in models, paths here and models in the Hub's cache that a mistyped id may mean."""
    try:
        folders = sorted(Path(constants.HF_HUB_CACHE).glob("models--*"))
    except OSError:
        folders = []
    cached = [folder.name.removeprefix("models--").replace("--", "/") for folder in folders]
    near = [found for found in close_to(name, [*BUILTINS, *cached]) if found != name]
    return [*near_paths(Path(name)), *near][:3]
