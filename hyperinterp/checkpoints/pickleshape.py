"""The shape that the pickle of a bundle or of a state dict may have, once it was followed."""

import contextlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hyperinterp.checkpoints.inert import Dense, Storage
from hyperinterp.checkpoints.opcodes import Follower
from hyperinterp.errors import CorruptFile, InputRefused, UnsafeFile

OPCODES_PER_RECORD, SPARE_OPCODES, SPARE_OPCODES_WIDE = 100, 100_000, 500_000
KEYS = {"format", "format_version", "kind", "meta", "texts", "tensors"}
WRAPPERS = (
    "state_dict", "model_state_dict", "model", "module", "model_state", "net", "network",
    "weights", "params", "parameters",
)  # fmt: skip
COPIES, SPARE_BYTES = 4, 1 << 20
"""How often a file's bytes may be claimed by its tensors: tied weights claim theirs twice."""
KEEP_TENSORS = (
    "where you trust the file, load it where it was made and keep its tensors alone: "
    "torch.save(model.state_dict(), 'weights.pt')"
)
AGAIN = "copy or download it again"
OURS = "a bundle comes from `hyperinterp export CKPT out.pt`; have it exported again"


@dataclass(frozen=True)
class StateDict:
    """The tensors of a pickled state dict.

    Attributes:
        under: The key of the outer table under which they lie; None when there is none.
        tensors: By name.
    """

    under: str | None
    tensors: Mapping[str, Dense]


def check_pickle(content: bytes, sizes: Mapping[str, int], path: object) -> None:
    """Follow a bundle's pickle and check the shape of what it would build.

    Args:
        content: The pickle.
        sizes: Bytes of each storage record in the file, by its key.
        path: For the message.

    Raises:
        UnsafeFile: An opcode, a name or a value that a bundle never has; or a tensor that is not
            dense, contiguous and exactly as large as its record.
    """
    with following(path, OURS):
        payload = _whole(Follower(wide=False), content, len(sizes))
        if type(payload) is not dict or set(payload) != KEYS:
            raise UnsafeFile("not a hyperinterp bundle (its top level has other keys)")
        texts, tensors = payload["texts"], payload["tensors"]
        if type(texts) is not dict or type(tensors) is not dict or not tensors:
            raise UnsafeFile("a bundle without tables of texts and tensors")
        strings = [payload[key] for key in KEYS - {"texts", "tensors"}] + list(texts.values())
        if any(type(text) is not str for text in strings):
            raise UnsafeFile("something that is not text where text is expected")
        for name, tensor in tensors.items():
            _check_contiguous(name, tensor, sizes)


def read_state_dict(content: bytes, sizes: Mapping[str, int], path: object) -> StateDict:
    """Follow the pickle of a foreign file and say which tensors its state dict has.

    Raises:
        UnsafeFile: It holds more than tensors and plain values, or claims more than is there.
        InputRefused: There is no state dict in it, or more than one.
    """
    with following(path, KEEP_TENSORS):
        follower = Follower(wide=True)
        payload = _whole(follower, content, len(sizes))
        held = {key: s.count * s.item for key, s in follower.storages.items()}
        for key, size in held.items():
            if sizes.get(key, -1) != size:
                raise UnsafeFile(
                    f"storage {key!r:.40} claims {size} bytes, the file holds {sizes.get(key, 0)}"
                )
        return find_state_dict(payload, sum(held.values()))


@contextlib.contextmanager
def following(path: object, way_out: str) -> Iterator[None]:
    """Name the file in every refusal and what to do; a malformed pickle is refused like others."""
    try:
        yield
    except CorruptFile as error:
        raise CorruptFile(f"{path}: {error.args[0]}; {AGAIN}") from error
    except InputRefused as error:
        raise type(error)(f"{path}: {error.args[0]}; {way_out}") from error
    except Exception as error:  # genops and the follower raise many kinds on malformed input
        reason = f"its pickle is malformed ({type(error).__name__})"
        raise UnsafeFile(f"{path}: {reason}; {way_out}") from error


def _whole(follower: Follower, content: bytes, records: int) -> Any:
    stream = io.BytesIO(content)
    spare = SPARE_OPCODES_WIDE if follower.wide else SPARE_OPCODES
    payload = follower.follow(stream, spare + OPCODES_PER_RECORD * records)
    if stream.tell() != len(content):
        raise UnsafeFile("bytes follow the end of its pickle")
    return payload


def find_state_dict(payload: Any, held: int) -> StateDict:
    """The table of tensors in what a pickle would build: itself, or one of its values.

    Args:
        payload: As the follower gave it.
        held: Bytes of all its storages together.

    Raises:
        InputRefused: There is none, or more than one that it could be.
        UnsafeFile: Its tensors claim far more than is held.
    """
    if not isinstance(payload, dict):
        raise InputRefused(f"expected a state dict, found a {_kind(payload)}")
    if set(payload) == KEYS:
        raise UnsafeFile("a hyperinterp bundle without its digest (hyperinterp export adds it)")
    under = _wrapper(payload)
    table = payload if under is None else payload[under]
    tensors = {name: value for name, value in table.items() if type(value) is Dense}
    for name in tensors:
        if type(name) is not str or not 0 < len(name) <= 512 or not name.isprintable():
            raise UnsafeFile(f"a tensor's name is malformed ({name!r:.80})")
    claimed = sum(tensor.size for tensor in tensors.values())
    if claimed > COPIES * held + SPARE_BYTES:
        raise UnsafeFile(f"its tensors claim {claimed} bytes, its storages hold {held}")
    return StateDict(under, tensors)


def _wrapper(payload: Mapping[Any, Any]) -> str | None:
    """The key under which the state dict lies; None where the outermost table is one."""
    nested = [key for key, value in payload.items() if type(key) is str and _has_tensors(value)]
    known = [key for key in nested if key in WRAPPERS]
    if len(known) == 1:
        return known[0]
    if not known and _has_tensors(payload):
        return None
    if not known and len(nested) == 1:
        return nested[0]
    found = ", ".join(repr(key)[:40] for key in [*payload][:8]) or "nothing"
    if nested:
        found = ", ".join(repr(key)[:40] for key in nested[:8])
        raise InputRefused(f"expected one table of tensors, found several: {found}")
    raise InputRefused(f"expected a state dict, found a table without one; it has {found}")


def _has_tensors(value: Any) -> bool:
    return isinstance(value, dict) and any(type(item) is Dense for item in value.values())


def _kind(value: Any) -> str:
    names = {Dense: "tensor", Storage: "storage", list: "list", tuple: "tuple", str: "text"}
    return names.get(type(value), "value of another kind")


def _check_contiguous(name: str, tensor: Any, sizes: Mapping[str, int]) -> None:
    if type(tensor) is not Dense or tensor.offset:
        raise UnsafeFile(f"{name!r:.80} is not a plain dense tensor")
    expected = [math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape))]
    dense = math.prod(tensor.shape) < 2 or all(
        stride == want
        for stride, want, length in zip(tensor.stride, expected, tensor.shape, strict=True)
        if length > 1
    )
    storage, held = tensor.storage, sizes.get(tensor.storage.key, -1)
    claimed = max(tensor.size, storage.count * storage.item)
    if not dense or storage.count * storage.item != held or tensor.size != held:
        raise UnsafeFile(f"{name!r:.80} claims {claimed} bytes, the file holds {held}")
