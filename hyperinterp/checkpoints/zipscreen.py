"""Screen the zip file of a bundle or a state dict before torch opens it."""

import hashlib
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from hyperinterp.checkpoints.pickleshape import (
    AGAIN,
    OURS,
    StateDict,
    check_pickle,
    read_state_dict,
)
from hyperinterp.errors import CorruptFile, UnsafeFile

TRAILER = b"hyperinterp-sha256:"
MAX_PICKLE = 320 << 20
_TRAILER_BYTES = len(TRAILER) + 64
_END_BYTES, _LOCATOR_BYTES = 22, 20
_MAX_MEMBERS = 1_000_000
_MEMBER = re.compile(
    r"data\.pkl|version|byteorder|\.format_version|\.storage_alignment|"
    r"\.data/serialization_id|data/\d{1,9}"
)
_OTHER = "save it again with torch.save(model.state_dict(), 'weights.pt')"


def is_bundle(path: Path) -> bool:
    """Return whether a file ends like a bundle of ours."""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - _TRAILER_BYTES))
        return handle.read().startswith(TRAILER)


def screen_bundle(path: Path) -> str:
    """Check a bundle from the outside in: magic, whole-file digest, zip table, opcodes.

    Returns:
        The sha256 of all bytes before the digest itself.

    Raises:
        CorruptFile: Truncated, or a byte differs from what was written.
        UnsafeFile: Not a bundle of ours, or one that could run code or explode.
    """
    with path.open("rb") as handle:
        if handle.read(4) != b"PK\x03\x04":
            raise UnsafeFile(f"{path}: expected a zip bundle, found another beginning; {OURS}")
    digest = check_trailer(path)
    root, members = check_members(path, _TRAILER_BYTES, OURS)
    if root != "archive":
        raise UnsafeFile(f"{path}: expected archive/data.pkl in it, found {root!r:.80}; {OURS}")
    check_pickle(_read(path, f"{root}/data.pkl"), _sizes(root, members), path)
    return digest


def screen_zipped(path: Path) -> StateDict:
    """Check a foreign `torch.save` zip file; say which tensors its state dict has.

    Raises:
        CorruptFile: Truncated or damaged.
        UnsafeFile: One that could run code or explode.
        InputRefused: There is no state dict in it.
    """
    root, members = check_members(path, 0, _OTHER)
    if f"{root}/byteorder" in members and _read(path, f"{root}/byteorder") != b"little":
        raise UnsafeFile(f"{path}: expected numbers with the low byte first; {_OTHER}")
    return read_state_dict(_read(path, f"{root}/data.pkl"), _sizes(root, members), path)


def check_trailer(path: Path) -> str:
    """Compare the file with the digest in its zip comment, which covers every byte before it.

    Raises:
        CorruptFile: The end is missing or the digest differs.
    """
    total = path.stat().st_size
    with path.open("rb") as handle:
        handle.seek(max(0, total - _END_BYTES - _TRAILER_BYTES))
        tail = handle.read()
        comment = tail[_END_BYTES:]
        if not tail.startswith(b"PK\x05\x06") or not comment.startswith(TRAILER):
            raise CorruptFile(f"{path}: its end is missing or altered (truncated?); {AGAIN}")
        handle.seek(0)
        digest, left = hashlib.sha256(), total - _TRAILER_BYTES
        while left:
            chunk = handle.read(min(left, 8 << 20))
            if not chunk:
                raise CorruptFile(f"{path}: shrank while it was read; {AGAIN}")
            digest.update(chunk)
            left -= len(chunk)
    found = digest.hexdigest()
    if comment[len(TRAILER) :] != found.encode():
        raise CorruptFile(
            f"{path}: its bytes differ from what was written (sha256 {found[:12]}); {AGAIN}"
        )
    return found


def check_members(path: Path, comment: int, way_out: str) -> tuple[str, dict[str, zipfile.ZipInfo]]:
    """The zip table: plain names, stored (never compressed), no overlap, sizes within the file.

    Args:
        path: The zip file.
        comment: Bytes of the comment that it must end with.
        way_out: What its owner can do, for the message.

    Returns:
        The folder that all members share, and the members by name.

    Raises:
        CorruptFile: The table is damaged or missing.
        UnsafeFile: Any of these does not hold.
    """
    start = _table_start(path, comment)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            same = archive.start_dir == start and len(archive.comment) == comment
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise CorruptFile(f"{path}: its zip table is damaged ({error}); {AGAIN}") from error
    names = [member.filename for member in members]
    root = names[0].partition("/")[0] if names else ""
    if not same or len(members) > _MAX_MEMBERS or len(set(names)) != len(names):
        raise UnsafeFile(f"{path}: its zip table repeats a name or lies elsewhere; {way_out}")
    if f"{root}/constants.pkl" in names:
        raise UnsafeFile(f"{path}: a TorchScript archive, which holds code; {way_out}")
    if f"{root}/data.pkl" not in names:
        raise UnsafeFile(f"{path}: expected data.pkl in it, found none; {way_out}")
    position = 0
    for member in sorted(members, key=lambda m: m.header_offset):
        folder, _, name = member.filename.partition("/")
        if folder != root or not _MEMBER.fullmatch(name):
            raise UnsafeFile(f"{path}: unexpected member {member.filename!r:.80}; {way_out}")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise UnsafeFile(f"{path}: {name} in it is compressed or encrypted; {way_out}")
        if member.file_size != member.compress_size or member.header_offset < position:
            raise UnsafeFile(f"{path}: {name} in it overlaps another member; {way_out}")
        position = member.header_offset + member.file_size
        if name == "data.pkl" and member.file_size > MAX_PICKLE:
            raise UnsafeFile(
                f"{path}: a pickle of {member.file_size} bytes; at most {MAX_PICKLE}; {way_out}"
            )
    if position > start:
        raise CorruptFile(f"{path}: its zip table claims {position} bytes; {AGAIN}")
    return root, {member.filename: member for member in members}


def _table_start(path: Path, comment: int) -> int:
    """Return the start of the zip table, by the one end record that every reader must find."""
    total = path.stat().st_size
    with path.open("rb") as handle:
        handle.seek(max(0, total - _END_BYTES - comment))
        end = handle.read(_END_BYTES)
        if len(end) < _END_BYTES or not end.startswith(b"PK\x05\x06"):
            raise CorruptFile(f"{path}: its end is missing or altered (truncated?); {AGAIN}")
        size, start, noted = struct.unpack("<IIH", end[12:])
        place = total - _END_BYTES - comment
        handle.seek(max(0, place - _LOCATOR_BYTES))
        if handle.read(4) == b"PK\x06\x07":
            (record,) = struct.unpack("<Q", handle.read(12)[4:])
            handle.seek(min(record, total))
            wide = handle.read(56)
            if len(wide) < 56 or not wide.startswith(b"PK\x06\x06"):
                raise CorruptFile(f"{path}: its zip table is damaged; {AGAIN}")
            size, start, place = *struct.unpack("<QQ", wide[40:]), record
    if noted != comment or size > 512 * _MAX_MEMBERS or start + size != place:
        raise CorruptFile(f"{path}: its zip table is damaged or too long; {AGAIN}")
    return start


def _sizes(root: str, members: Mapping[str, zipfile.ZipInfo]) -> dict[str, int]:
    skip = len(f"{root}/data/")
    return {n[skip:]: m.file_size for n, m in members.items() if n.startswith(f"{root}/data/")}


def _read(path: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise CorruptFile(f"{path}: {name} in it is damaged ({error}); {AGAIN}") from error
