"""Foreign files of pickled weights: screened here, converted in the limited child process."""

import io
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hyperinterp.checkpoints.inert import Storage
from hyperinterp.checkpoints.opcodes import Follower
from hyperinterp.checkpoints.pickleshape import (
    KEEP_TENSORS,
    OPCODES_PER_RECORD,
    SPARE_OPCODES,
    SPARE_OPCODES_WIDE,
    StateDict,
    find_state_dict,
    following,
)
from hyperinterp.checkpoints.places import within
from hyperinterp.checkpoints.sandbox import convert_weights
from hyperinterp.checkpoints.tensorfile import index_shards, read_header
from hyperinterp.checkpoints.zipscreen import MAX_PICKLE, screen_zipped
from hyperinterp.errors import CorruptFile, InputRefused, UnsafeFile

PICKLED_STEMS = {"model": "pytorch_model", "adapter_model": "adapter_model"}
_LENS = re.compile(r"(^|\.)(unembed\.|blocks\.\d+\.attn\.([Wb]_[QKVO]|_W_[KV])$)")
_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_BEGIN = _MAGIC + b"\x80\x02M\xe9\x03."
_OTHERS = (
    (b"GGUF", "a GGUF file", "give it a name that ends in .gguf"),
    (b"version https://git-lfs", "a pointer of Git LFS", "fetch the file itself: git lfs pull"),
    (b"<", "a web page", "download the file itself"),
    (b"\x1f\x8b", "a compressed file", "run gunzip on it"),
    (b"\x89HDF", "an HDF5 file of TensorFlow", "save the model from PyTorch (save_pretrained)"),
)


def refuse_lens_names(names: Iterable[str], what: str) -> None:
    """Refuse TransformerLens's own names: whether its weights were folded cannot be seen.

    Raises:
        InputRefused: A tensor has such a name.
    """
    found = next((name for name in names if _LENS.search(name)), None)
    if found is not None:
        raise InputRefused(
            f"{what}: its tensors have names of TransformerLens, such as {found}, whose weights "
            "may be folded and centred and have no way back; name the Hugging Face checkpoint that "
            "they were made from, or save that from a TransformerBridge: "
            "bridge.original_model.save_pretrained(DIR)"
        )


def find_pickled(folder: Path, stem: str) -> list[Path]:
    """The pickled files that make up a model or an adapter, links followed; empty without any.

    Raises:
        UnsafeFile: A file leads outside the folder, or the index names something else than files.
    """
    single = folder / f"{PICKLED_STEMS[stem]}.bin"
    if single.exists() or single.is_symlink():
        return [within(folder, single)]
    index = folder / f"{single.name}.index.json"
    if index.exists() or index.is_symlink():
        within(folder, index)
        return [within(folder, folder / name) for name in index_shards(index, ".bin")]
    return []


def convert_pickled(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Screen files of pickled weights and write their tensors as safetensors into `folder`.

    Raises:
        UnsafeFile: A file holds more than tensors and plain values, hangs or explodes.
        CorruptFile: A file is truncated or damaged.
        InputRefused: A file holds no state dict.
    """
    held = [screen_weights(path) for path in paths]
    written = convert_weights(paths, [found.under for found in held], folder)
    for path, found, out in zip(paths, held, written, strict=True):
        expected = {n: (t.dtype, t.shape) for n, t in found.tensors.items()}
        if {n: (t.dtype, t.shape) for n, t in read_header(out).items()} != expected:
            raise UnsafeFile(f"{path}: reads as other tensors than its pickle says; {KEEP_TENSORS}")
    return written


def screen_weights(path: Path) -> StateDict:
    """Say which tensors a foreign file of pickled weights has, without running any of it.

    Raises:
        UnsafeFile: It could run code, hang or explode.
        CorruptFile: Truncated or damaged.
        InputRefused: It is another kind of file, or holds no state dict.
    """
    with path.open("rb") as handle:
        begin = handle.read(64)
    if begin.startswith(b"PK\x03\x04"):
        return screen_zipped(path)
    if begin.startswith(_LEGACY_BEGIN):
        return _screen_legacy(path)
    for magic, what, advice in _OTHERS:
        if begin.lstrip().startswith(magic):
            raise InputRefused(f"{path}: expected pickled weights, found {what}; {advice}")
    if len(begin) >= 10 and begin[8:10] == b'{"':
        raise InputRefused(
            f"{path}: expected pickled weights, found a safetensors file; give it a name that "
            "ends in .safetensors"
        )
    if not begin.strip(b"\0"):
        raise CorruptFile(f"{path}: is empty; download it again")
    raise UnsafeFile(
        f"{path}: neither a bundle of `hyperinterp export` nor a state dict of torch.save (a bare "
        f"pickle, a tar file or something else); {KEEP_TENSORS}"
    )


def _screen_legacy(path: Path) -> StateDict:
    """Follow the format before torch 1.6: five pickles, then the storages by their keys."""
    total = path.stat().st_size
    with path.open("rb") as handle, following(path, KEEP_TENSORS):
        reader = _Bounded(handle)
        handle.seek(len(_LEGACY_BEGIN))
        system = Follower(wide=False).follow(reader, SPARE_OPCODES)
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise UnsafeFile("expected numbers with the low byte first")
        follower = Follower(wide=True)
        limit = SPARE_OPCODES_WIDE + OPCODES_PER_RECORD * min(total // 4096, 100_000)
        payload = follower.follow(reader, limit)
        keys = Follower(wide=True).follow(reader, SPARE_OPCODES + 3 * len(follower.storages))
        if not isinstance(keys, list) or sorted(map(repr, keys)) != sorted(
            map(repr, follower.storages)
        ):
            raise UnsafeFile("its list of storages differs from those that its tensors use")
        _walk_storages(handle, keys, follower.storages, total)
        held = sum(s.count * s.item for s in follower.storages.values())
        return find_state_dict(payload, held)


def _walk_storages(
    handle: io.BufferedReader, keys: Sequence[str], storages: Mapping[str, Storage], total: int
) -> None:
    """Each storage is its number of elements in 8 bytes and then its bytes; nothing follows."""
    place = handle.tell()
    whole = place + sum(8 + storages[key].count * storages[key].item for key in keys)
    if whole != total:
        raise CorruptFile(f"expected {whole} bytes, found {total} (truncated?)")
    for key in keys:
        handle.seek(place)
        storage = storages[key]
        if struct.unpack("<q", handle.read(8))[0] != storage.count:
            raise UnsafeFile(f"storage {key!r:.40} has another length than its tensors say")
        place += 8 + storage.count * storage.item


class _Bounded(io.RawIOBase):
    """The pickles of a legacy file, of which no more is read than a pickle may have."""

    def __init__(self, handle: io.BufferedReader) -> None:
        self._handle, self._left = handle, MAX_PICKLE

    def read(self, size: int = -1, /) -> bytes:
        """At most what is left of the budget."""
        return self._spend(self._handle.read(self._allowed(size)))

    def readline(self, size: int | None = -1, /) -> bytes:
        """A line, at most what is left of the budget."""
        return self._spend(self._handle.readline(self._allowed(size or -1)))

    def tell(self) -> int:
        """Return the position at which the file is read."""
        return self._handle.tell()

    def _allowed(self, size: int) -> int:
        if size > self._left:
            raise UnsafeFile(f"a pickle of more than {MAX_PICKLE} bytes")
        return self._left if size < 0 else size

    def _spend(self, content: bytes) -> bytes:
        self._left -= len(content)
        return content
