"""Open a file of texts: unpacked within limits, decoded, and refused when it is something else."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hyperinterp.errors import CorruptFile, InputRefused, UnsafeFile
from hyperinterp.text.passages import MAX_TEXT_BYTES

MAX_LINE = 8 * MAX_TEXT_BYTES  # a text of the largest size, escaped, with its other fields
FREE_BYTES, MOST_RATIO = 64 * 2**20, 200  # text packs 3 to 20 times smaller
PACKED = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip
_OTHERS = {
    b"PAR1": ("a parquet file", "give its name the ending .parquet"),
    b"PK\x03\x04": ("a zip archive", "unpack it and name the file inside"),
    b"ARROW1": (
        "an Arrow file",
        "load it with datasets or pyarrow and write it as .parquet or .jsonl",
    ),
    b"%PDF": ("a PDF", "save its text as a .txt file"),
    b"BZh": ("a bzip2 file", "unpack it with bunzip2"),
    b"\xfd7zXZ": ("an xz file", "unpack it with unxz"),
    b"version https://git-lfs": (
        "a Git LFS pointer and no data",
        "fetch the file with git lfs pull",
    ),
}
_PAGE = (b"<!doctype html", b"<html")
_HEAD = 4096


class _Bounded(io.RawIOBase):
    """A stream unpacked from a file, up to a size that no honest text passes."""

    def __init__(self, inner: Any, path: Path) -> None:
        self._inner = inner
        self._path = path
        self._left = FREE_BYTES + MOST_RATIO * path.stat().st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except (EOFError, OSError, zlib.error) as error:
            raise CorruptFile(
                f"{self._path}: expected a whole packed file, found {str(error)[:99]}; "
                "download it anew"
            ) from error
        self._left -= len(data)
        if self._left < 0:
            raise UnsafeFile(
                f"{self._path}: expected a file that unpacks to at most {MOST_RATIO} times its "
                f"size and {FREE_BYTES >> 20} MiB, found more; unpack it yourself and name the "
                "result if you trust it"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


@contextmanager
def opened(path: Path, *, newline: str | None = None) -> Iterator[io.TextIOWrapper]:
    """Open a file for reading as text, whatever it is packed with.

    UTF-8 is read, and UTF-16 and UTF-32 that begin with their mark.

    Args:
        path: a file; gzip and zstd are known by their first bytes.
        newline: as in the built-in `open`.

    Raises:
        InputRefused: it cannot be read, or holds no text.
        UnsafeFile: it unpacks to far more than text does.
    """
    try:
        raw: Any = path.open("rb")
    except OSError as error:
        raise InputRefused(
            f"{path}: expected a file that can be read, found {error.strerror}; change its "
            "permissions (chmod u+r), or name a copy"
        ) from error
    with raw:
        packing = next((kind for mark, kind in _MAGIC.items() if raw.peek(4).startswith(mark)), "")
        stream = raw if not packing else io.BufferedReader(_unpacked(raw, packing, path))
        with stream:
            head = stream.peek(_HEAD)[:_HEAD]
            encoding = next(
                (name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8"
            )
            _refuse_others(head, encoding, path)
            with io.TextIOWrapper(stream, encoding=encoding, newline=newline) as text:
                yield text


def _unpacked(raw: Any, packing: str, path: Path) -> _Bounded:
    if packing == "gzip":
        return _Bounded(gzip.GzipFile(fileobj=raw), path)
    try:
        import pyarrow
    except ImportError as error:
        raise InputRefused(
            f"{path}: expected a library that reads zstd, found none; "
            "pip install 'hyperinterp[data]', or unpack the file with unzstd"
        ) from error
    return _Bounded(pyarrow.CompressedInputStream(raw, "zstd"), path)


def _refuse_others(head: bytes, encoding: str, path: Path) -> None:
    """Refuse what is known to be something else than text, by its first bytes."""
    found, advice = next(
        (told for mark, told in _OTHERS.items() if head.startswith(mark)), (None, "")
    )
    if found is None and head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGE):
        found, advice = "an HTML page", "download the file itself (its raw or resolve address)"
    if found is None and not encoding.startswith(("utf-16", "utf-32")) and _is_binary(head):
        found = "binary data"
        advice = (
            "name a file of text; UTF-16 without its mark becomes UTF-8 with "
            "iconv -f UTF-16LE -t UTF-8"
        )
    if found is not None:
        raise InputRefused(f"{path}: expected UTF-8 text, found {found}; {advice}")


def _is_binary(head: bytes) -> bool:
    """Tell by many bytes that no text has; single ones occur in texts that tools wrote."""
    strange = sum(byte < 32 and byte not in b"\t\n\v\f\r\x1b" for byte in head)
    return strange * 20 > len(head)


def lines(stream: io.TextIOWrapper, path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line with its number, from 1, with its end.

    Raises:
        InputRefused: bytes that are no text, or a line that is too long.
    """
    number = 0
    while True:
        try:
            line = stream.readline(MAX_LINE + 1)
        except UnicodeError as error:
            raise InputRefused(
                f"{path}: expected UTF-8 text, found other bytes after line {number}; convert it, "
                "e.g. iconv -f LATIN1 -t UTF-8 OLD > NEW"
            ) from error
        if not line:
            return
        number += 1
        if len(line) > MAX_LINE:
            raise InputRefused(
                f"{path}: line {number}: expected at most {MAX_LINE} characters, found more; write "
                "one passage per line (JSON lines)"
            )
        yield number, line
