"""A private directory that holds only screened files: the one thing that transformers sees."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from hyperinterp.checkpoints.adapters import screen_adapter_config
from hyperinterp.checkpoints.folders import holds_adapter, notes_of_kind
from hyperinterp.checkpoints.manifest import Manifest, verify_files
from hyperinterp.checkpoints.picklefile import (
    PICKLED_STEMS,
    convert_pickled,
    find_pickled,
    refuse_lens_names,
)
from hyperinterp.checkpoints.places import within
from hyperinterp.checkpoints.private import private_directory
from hyperinterp.checkpoints.quantised import settle
from hyperinterp.checkpoints.screen import (
    MAX_CONFIG_BYTES,
    MAX_TOKENIZER_BYTES,
    Screened,
    parse_json,
    read_text,
    screen_generation_config,
    screen_model_config,
    screen_tokenizer_config,
)
from hyperinterp.checkpoints.source import PICKLED, Source
from hyperinterp.checkpoints.tensorfile import (
    StoredTensor,
    fingerprint,
    index_shards,
    read_headers,
    tensor_digests,
)
from hyperinterp.checkpoints.wrapped import unwrapped
from hyperinterp.errors import InputRefused

CONFIGS = ("config.json", "generation_config.json", "adapter_config.json")
TOKENIZER_TEXTS = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
TOKENIZER_BLOBS = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", *TOKENIZER_BLOBS)
_TEMPLATES = "additional_chat_templates"
_PARSED = {*CONFIGS, "tokenizer_config.json", "special_tokens_map.json", "chat_template.json"}


@dataclass(frozen=True)
class Stored:
    """A checkpoint's screened files, before any model is built.

    Attributes:
        root: The private directory (texts copied, weights linked); gone after the `with`.
        config: config.json, parsed; None for an adapter.
        adapter: adapter_config.json reduced to the schema; None for a whole model.
        tensors: What the weights files hold, by name.
        digests: Sha256 of each tensor.
        fingerprint: Of all stored tensors, independent of the container.
        manifest: The verified manifest; None when somebody else wrote the files.
        provenance: What the writer recorded; empty for foreign files.
        verified: Whether every byte was checked against a digest that the writer recorded.
        notes: Sentences for the reader: what was left out or read otherwise than it is written.
        renamed: The stored name of every tensor whose plain name is another one.
        own_code: Whether the configuration names model code of its own, which is not loaded.
    """

    root: Path
    config: Mapping[str, Any] | None
    adapter: Mapping[str, Any] | None
    tensors: Mapping[str, StoredTensor]
    digests: Mapping[str, str]
    fingerprint: str
    manifest: Manifest | None
    provenance: Mapping[str, Any]
    verified: bool
    notes: tuple[str, ...] = ()

    renamed: Mapping[str, str] = field(default_factory=dict)
    own_code: bool = False

    @property
    def has_tokenizer(self) -> bool:
        """Return whether any tokenizer file is there."""
        return _has_tokenizer(self.root)

    def load(self) -> dict[str, Tensor]:
        """Return the stored tensors by their plain names, mapped from the files."""
        found: dict[str, Tensor] = {}
        for path in sorted({tensor.path for tensor in self.tensors.values()}):
            found.update(load_file(path))
        return {name: found[self.renamed.get(name, name)] for name in self.tensors}


def _has_tokenizer(root: Path) -> bool:
    return any((root / name).exists() for name in _TOKENIZERS)


@contextlib.contextmanager
def stage_directory(
    source: Source, folder: Path, weights: Path | None = None, above: Path | None = None
) -> Iterator[Stored]:
    """Screen a directory and stage it.

    Args:
        source: For its kind (only `adapter` and `hub` may hold an adapter) and its name.
        folder: Where the files lie.
        weights: A single weights file, for the kind `safetensors`; else found in the folder.
        above: Where a tokenizer is taken from that is not in the folder.
    """
    manifest = None
    if weights is None:  # of a Hub repository only the files that we read are fetched
        manifest = verify_files(folder, partial=source.kind == "hub")
    is_adapter = weights is None and holds_adapter(folder)
    stem = "adapter_model" if is_adapter else "model"
    shards = [weights] if weights is not None else find_weights(folder, stem)
    with contextlib.ExitStack() as stack:
        if shards[0].suffix.lower() in PICKLED:
            shards = convert_pickled(shards, stack.enter_context(private_directory()))
        stored = read_headers(shards)
        plain = unwrapped(stored, adapter=is_adapter)
        tensors = {plain[name]: replace(t, name=plain[name]) for name, t in stored.items()}
        refuse_lens_names(tensors, source.name)
        digests = tensor_digests(tensors)
        root = stack.enter_context(private_directory())
        parsed, notes = _copy_texts(folder, root, CONFIGS, is_adapter=is_adapter)
        place, told = _tokenizer_place(folder, above, source.name)
        _, more = _copy_texts(place, root, TOKENIZER_TEXTS)
        _copy_templates(place, root)
        _link_blobs(place, root)
        config = parsed.get("config.json", Screened({}))
        if not is_adapter and "config.json" in parsed:
            config = settle(config, tensors, str(folder / "config.json"))
            _write_json(root / "config.json", config.config)
        _link_weights(root, stem, shards, stored)
        adapter = parsed.get("adapter_config.json")
        renamed = {to: name for name, to in plain.items() if to != name}
        yield Stored(
            root=root,
            config=None if is_adapter else config.config,
            adapter=None if adapter is None else adapter.config,
            tensors=tensors,
            digests=digests,
            fingerprint=fingerprint(tensors, digests),
            manifest=manifest,
            provenance=dict(manifest.provenance) if manifest else {},
            verified=manifest is not None,
            notes=(
                *source.notes,
                *(notes_of_kind(folder, source.name) if weights is None else ()),
                *_note_names(renamed, source.name),
                *dict.fromkeys((*notes, *config.notes)),
                *told,
                *more,
            ),
            renamed=renamed,
            own_code=config.own_code,
        )


def stage_tokenizer(folder: Path, root: Path) -> bool:
    """Stage the texts of a directory and its tokenizer's files; whether there is a tokenizer."""
    _copy_texts(folder, root, (*CONFIGS, *TOKENIZER_TEXTS), is_adapter=holds_adapter(folder))
    _copy_templates(folder, root)
    _link_blobs(folder, root)
    return _has_tokenizer(root)


def _link_blobs(folder: Path, root: Path) -> None:
    for name in TOKENIZER_BLOBS:
        if (folder / name).exists():
            (root / name).symlink_to(within(folder, folder / name))


def find_weights(folder: Path, stem: str) -> list[Path]:
    """The files that make up a model or an adapter, links followed; safetensors win over pickles.

    Raises:
        UnsafeFile: A file leads outside the folder.
        InputRefused: There are no weights.
    """
    single = folder / f"{stem}.safetensors"
    if single.exists() or single.is_symlink():
        return [within(folder, single)]
    index = folder / f"{stem}.safetensors.index.json"
    if index.exists() or index.is_symlink():
        within(folder, index)
        return [within(folder, folder / name) for name in index_shards(index)]
    if pickled := find_pickled(folder, stem):
        return pickled
    raise InputRefused(
        f"{folder}: expected {stem}.safetensors or {PICKLED_STEMS[stem]}.bin, found no weights; "
        "save them with save_pretrained"
    )


def _tokenizer_place(folder: Path, above: Path | None, name: str) -> tuple[Path, tuple[str, ...]]:
    """Return the tokenizer's directory, and a note where that is not the checkpoint's."""
    if above is None or _has_tokenizer(folder) or not _has_tokenizer(above):
        return folder, ()
    return above, (f"{name}: has no tokenizer of its own; the one in the folder above was taken.",)


def _copy_texts(
    folder: Path, root: Path, names: tuple[str, ...], *, is_adapter: bool = False
) -> tuple[dict[str, Screened], tuple[str, ...]]:
    """Copy the texts that are known by name; what was screened is what is loaded."""
    parsed: dict[str, Screened] = {}
    skipped = {"config.json", "generation_config.json"} if is_adapter else {"adapter_config.json"}
    for name in names:
        path = folder / name
        if name in skipped or not (path.exists() or path.is_symlink()):
            continue
        within(folder, path)
        limit = MAX_CONFIG_BYTES if name in CONFIGS else MAX_TOKENIZER_BYTES
        text = read_text(path, limit)
        if name in _PARSED:
            value = parse_json(text, str(path))
            found = screen_text(name, value, str(path))
            parsed[name] = found
            if name != "adapter_config.json":
                text = json.dumps(found.config, ensure_ascii=False)
        (root / name).write_text(text, encoding="utf-8")
    return parsed, tuple(note for found in parsed.values() for note in found.notes)


def _copy_templates(folder: Path, root: Path) -> None:
    """Copy the named chat templates that lie in a folder of their own."""
    for path in sorted((folder / _TEMPLATES).glob("*.jinja")):
        within(folder, path)
        text = read_text(path, MAX_CONFIG_BYTES)
        (root / _TEMPLATES).mkdir(exist_ok=True)
        (root / _TEMPLATES / path.name).write_text(text, encoding="utf-8")


def screen_text(name: str, value: Mapping[str, Any], what: str) -> Screened:
    """Apply the check that belongs to a configuration file of this name."""
    if name == "config.json":
        return screen_model_config(value, what)
    if name == "generation_config.json":
        return screen_generation_config(value, what)
    if name == "adapter_config.json":
        return Screened(screen_adapter_config(value))
    found = screen_tokenizer_config(value, what)
    if name != "tokenizer_config.json":
        return found
    return Screened(without_paths(found.config), found.notes)


def _note_names(renamed: Mapping[str, str], name: str) -> tuple[str, ...]:
    if not renamed:
        return ()
    plain, stored = next(iter(renamed.items()))
    return (
        f"{name}: {len(renamed)} of its tensors carry a wrapper's name, which was taken off "
        f"({stored[:120]} is {plain[:120]}).",
    )


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def without_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer configuration without left-over file names, which nobody should open."""
    drop = {"name_or_path", "fast_tokenizer_files", "local_files_only", "is_local"}
    return {k: v for k, v in config.items() if k not in drop and not k.endswith("_file")}


def _link_weights(
    root: Path, stem: str, shards: list[Path], tensors: Mapping[str, StoredTensor]
) -> None:
    if len(shards) == 1:
        (root / f"{stem}.safetensors").symlink_to(shards[0].resolve())
        return
    names = {path: f"{stem}-{i:05d}.safetensors" for i, path in enumerate(shards, 1)}
    for path, name in names.items():
        (root / name).symlink_to(path.resolve())
    index = {
        "metadata": {"total_size": sum(t.size for t in tensors.values())},
        "weight_map": {name: names[t.path] for name, t in tensors.items()},
    }
    (root / f"{stem}.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
