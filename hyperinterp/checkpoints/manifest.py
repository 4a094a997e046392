"""Directories that describe themselves: a manifest with every file's size and sha256."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hyperinterp.checkpoints.files import (
    MANIFEST_NAME,
    publish_directory,
    translate_io_errors,
    write_bytes,
)
from hyperinterp.checkpoints.screen import parse_json, read_text
from hyperinterp.errors import CorruptFile, InputRefused

FORMAT = "hyperinterp-manifest"
FORMAT_VERSION = 1
_MAX_MANIFEST_BYTES = 16 << 20
# Files that a loader would pick up: none may appear beside a manifest that does not list it.
_LOADED_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".json", ".jinja", ".model"}


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and sha256 (hex) of one file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The record of `write_directory`: relative file names -> entries, and the provenance."""

    files: Mapping[str, FileEntry]
    provenance: Mapping[str, Any]
    format_version: int = FORMAT_VERSION


def write_directory(
    out: str | Path,
    writer: Callable[[Path], None],
    *,
    provenance: Mapping[str, Any],
    force: bool = False,
) -> Path:
    """Write a directory that appears complete, with a manifest, or not at all.

    Args:
        out: The directory to create.
        writer: Fills the temporary sibling directory that it is given.
        provenance: JSON-serialisable facts kept in the manifest (versions, seed, ...).
        force: Exchange a directory that was written so before, instead of refusing.

    Returns:
        `out` as a path.

    Raises:
        InputRefused: `out` exists (without `force`), holds files of somebody else, or cannot be
            written.
        OutOfResources: The disk is full; the temporary directory is removed.
    """

    def fill(partial: Path) -> None:
        writer(partial)
        if (partial / MANIFEST_NAME).exists():
            raise InputRefused(f"{out}: the writer must not write {MANIFEST_NAME} itself")
        files = {
            path.relative_to(partial).as_posix(): _entry(path)
            for path in sorted(partial.rglob("*"))
            if path.is_file()
        }
        write_bytes(partial / MANIFEST_NAME, _serialise(files, provenance))

    return publish_directory(Path(out), fill, force=force)


def verify_directory(path: str | Path) -> Manifest | None:
    """Check every byte of a directory against its manifest.

    Returns:
        The manifest, or None when the directory has none (somebody else wrote it).

    Raises:
        CorruptFile: A file is missing or differs, the manifest itself was altered, or a file
            that a loader would read has appeared beside those recorded.
    """
    return verify_files(Path(path))


def verify_files(root: Path, *, partial: bool = False) -> Manifest | None:
    """`verify_directory`; with `partial`, files that were not fetched may be missing."""
    if not (root / MANIFEST_NAME).is_file():
        return None
    manifest = read_manifest(root)
    for name, entry in manifest.files.items():
        _check_file(root, name, entry, partial=partial)
    for extra in sorted(root.rglob("*")):
        name = extra.relative_to(root).as_posix()
        known = name == MANIFEST_NAME or name in manifest.files
        if not known and extra.suffix in _LOADED_SUFFIXES and extra.is_file():
            raise CorruptFile(f"{root}: {name} is not in the manifest; remove it")
    return manifest


def read_manifest(root: Path) -> Manifest:
    """Parse a manifest and check its own digest, without reading the files it lists."""
    path = root / MANIFEST_NAME
    text = read_text(path, _MAX_MANIFEST_BYTES)
    try:
        raw = parse_json(text, MANIFEST_NAME, finite=True)
    except InputRefused as error:
        raise CorruptFile(f"{path}: {error}") from error
    try:
        if raw["format"] != FORMAT or raw["format_version"] != FORMAT_VERSION:
            found = f"{raw['format']!r} version {raw['format_version']!r}"
            raise CorruptFile(f"{path}: expected {FORMAT} version {FORMAT_VERSION}, found {found}")
        files = {
            str(name): FileEntry(int(entry["size"]), str(entry["sha256"]))
            for name, entry in raw["files"].items()
        }
        provenance = dict(raw["provenance"])
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise CorruptFile(f"{path}: not a manifest that hyperinterp wrote") from error
    # Byte for byte: so a flipped bit in the manifest itself cannot hide in a space or a digit.
    if text.encode() != _serialise(files, provenance):
        raise CorruptFile(f"{path}: was altered after it was written (its digest does not match)")
    return Manifest(files, provenance)


def extended(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """Return the text of a manifest in which some files are others, or more.

    Args:
        manifest: what was there.
        files: contents by relative name.
    """
    entries = {
        name: FileEntry(len(content), hashlib.sha256(content).hexdigest())
        for name, content in files.items()
    }
    return _serialise({**manifest.files, **entries}, manifest.provenance)


def file_sha256(path: Path) -> str:
    """Digest of a file's content, as hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """The one text that stands for a JSON value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _serialise(files: Mapping[str, FileEntry], provenance: Mapping[str, Any]) -> bytes:
    body: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "files": {n: {"size": e.size, "sha256": e.sha256} for n, e in files.items()},
        "provenance": dict(provenance),
    }
    try:
        body["digest"] = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    except (TypeError, ValueError) as error:
        raise InputRefused(
            f"provenance must be plain JSON without NaN: {error}; remove that value"
        ) from error
    return (canonical_json(body) + "\n").encode()


def _entry(path: Path) -> FileEntry:
    with translate_io_errors(path):
        return FileEntry(path.stat().st_size, file_sha256(path))


def _check_file(root: Path, name: str, entry: FileEntry, *, partial: bool) -> None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        raise CorruptFile(f"{root}: the manifest names {name!r}, which is not below the directory")
    path = root / pure
    try:
        there = path.is_file()
    except OSError as error:
        raise CorruptFile(f"{root}: the manifest names {name!r:.80}, no file's name") from error
    if not there:
        if partial and not path.exists():
            return
        raise CorruptFile(f"{root}: {name} is missing, and the manifest lists it")
    size = path.stat().st_size
    if size != entry.size:
        raise CorruptFile(f"{path}: expected {entry.size} bytes, found {size} (truncated?)")
    found = file_sha256(path)
    if found != entry.sha256:
        raise CorruptFile(f"{path}: sha256 expected {entry.sha256[:12]}, found {found[:12]}")
