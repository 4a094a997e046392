"""What a bundle's zip file and pickle may contain, checked before torch opens it."""

import hashlib
import re
import struct
import zipfile
from pathlib import Path

from hyperinterp.checkpoints.pickleshape import check_pickle
from hyperinterp.checkpoints.source import how_to_convert
from hyperinterp.errors import CorruptFile, UnsafeFile

TRAILER = b"hyperinterp-sha256:"
_TRAILER_BYTES = len(TRAILER) + 64
_END_BYTES = 22
_MAX_PICKLE = 320 << 20
_MAX_MEMBERS = 1_000_000
_MEMBER = re.compile(
    r"archive/(data\.pkl|version|byteorder|\.format_version|\.storage_alignment|"
    r"\.data/serialization_id|data/\d{1,9})"
)


def screen_bundle(path: Path) -> str:
    """Check a bundle from the outside in: magic, whole-file digest, zip table, opcodes.

    Returns:
        The sha256 of all bytes before the digest itself.

    Raises:
        CorruptFile: Truncated, or a byte differs from what was written.
        UnsafeFile: Not a bundle of ours, or one that could run code or explode.
    """
    check_magic(path)
    digest = check_trailer(path)
    check_members(path)
    with zipfile.ZipFile(path) as archive:
        sizes = {m.filename[13:]: m.file_size for m in archive.infolist() if "/data/" in m.filename}
        try:
            pickled = archive.read("archive/data.pkl")
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise CorruptFile(f"{path}: its pickle is damaged ({error})") from error
    check_pickle(pickled, sizes, path)
    return digest


def check_magic(path: Path) -> None:
    """Only zip files: torch's older formats (legacy, tar, raw pickle) are never unpickled.

    Raises:
        UnsafeFile: The file begins like something else.
    """
    with path.open("rb") as handle:
        begin = handle.read(4)
    if begin != b"PK\x03\x04":
        raise UnsafeFile(
            f"{path}: expected a zip bundle, found another format (legacy, tar or raw pickle); "
            f"{how_to_convert()}"
        )


def check_trailer(path: Path) -> str:
    """Compare the file with the digest in its zip comment, which covers every byte before it.

    Raises:
        CorruptFile: The end is missing or the digest differs.
        UnsafeFile: It is a complete zip file, but not a bundle that we wrote.
    """
    total = path.stat().st_size
    with path.open("rb") as handle:
        handle.seek(max(0, total - _END_BYTES - _TRAILER_BYTES))
        tail = handle.read()
        comment = tail[_END_BYTES:]
        if not tail.startswith(b"PK\x05\x06") or not comment.startswith(TRAILER):
            if zipfile.is_zipfile(path) and TRAILER not in tail:
                raise UnsafeFile(f"{path}: not a hyperinterp bundle; {how_to_convert()}")
            raise CorruptFile(f"{path}: its end is missing or altered (truncated?)")
        handle.seek(0)
        digest, left = hashlib.sha256(), total - _TRAILER_BYTES
        while left:
            chunk = handle.read(min(left, 8 << 20))
            if not chunk:
                raise CorruptFile(f"{path}: shrank while it was read")
            digest.update(chunk)
            left -= len(chunk)
    found = digest.hexdigest()
    if comment[len(TRAILER) :] != found.encode():
        raise CorruptFile(f"{path}: its bytes differ from what was written (sha256 {found[:12]})")
    return found


def check_members(path: Path) -> None:
    """The zip table: plain names, stored (never compressed), no overlap, sizes within the file.

    Raises:
        UnsafeFile: Any of these does not hold.
    """
    total = path.stat().st_size
    with path.open("rb") as handle:
        handle.seek(total - _END_BYTES - _TRAILER_BYTES)
        (table,) = struct.unpack("<I", handle.read(_END_BYTES)[12:16])
    if table != 0xFFFFFFFF and table > 512 * _MAX_MEMBERS:
        raise UnsafeFile(f"{path}: a zip table of {table} bytes")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise CorruptFile(f"{path}: its zip table is damaged ({error})") from error
    names = [member.filename for member in members]
    if len(members) > _MAX_MEMBERS or len(set(names)) != len(names):
        raise UnsafeFile(f"{path}: its zip table repeats a name or has too many")
    if "archive/data.pkl" not in names:
        raise UnsafeFile(f"{path}: expected archive/data.pkl in it, found none")
    position = 0
    for member in sorted(members, key=lambda m: m.header_offset):
        if not _MEMBER.fullmatch(member.filename):
            raise UnsafeFile(f"{path}: unexpected member {member.filename!r:.80}")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise UnsafeFile(f"{path}: {member.filename} is compressed or encrypted")
        if member.file_size != member.compress_size or member.header_offset < position:
            raise UnsafeFile(f"{path}: {member.filename} overlaps another member")
        position = member.header_offset + member.file_size
        if member.filename == "archive/data.pkl" and member.file_size > _MAX_PICKLE:
            raise UnsafeFile(f"{path}: a pickle of {member.file_size} bytes; at most {_MAX_PICKLE}")
    if position > total:
        raise UnsafeFile(f"{path}: its zip table claims {position} bytes, the file has {total}")
