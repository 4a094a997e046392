"""Notes of what a pickle would build: storages, dense tensors, tables; nothing is ever built."""

import math
import re
from dataclasses import dataclass
from typing import Any

from hyperinterp.errors import UnsafeFile

V2, V3 = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor_v3"
PARAMETER = "torch._utils _rebuild_parameter"
PARAMETER_STATE = "torch._utils _rebuild_parameter_with_state"
ORDERED, SIZE, DEVICE = "collections OrderedDict", "torch Size", "torch device"
STORAGES = {
    "torch FloatStorage": ("F32", 4), "torch DoubleStorage": ("F64", 8),
    "torch HalfStorage": ("F16", 2), "torch BFloat16Storage": ("BF16", 2),
    "torch LongStorage": ("I64", 8), "torch IntStorage": ("I32", 4),
    "torch ShortStorage": ("I16", 2), "torch CharStorage": ("I8", 1),
    "torch ByteStorage": ("U8", 1), "torch BoolStorage": ("BOOL", 1),
}  # fmt: skip
UNTYPED = "torch.storage UntypedStorage"
FLOAT8 = {"torch float8_e4m3fn": "F8_E4M3", "torch float8_e5m2": "F8_E5M2"}
_PLACE = re.compile(r"(?!meta)[a-z]{2,16}(:\d{1,3})?")
_ATTRIBUTE = re.compile(r"_?[A-Za-z][A-Za-z0-9_]{0,127}")


class Table(dict[Any, Any]):
    """An OrderedDict that a pickle would build."""


@dataclass(frozen=True)
class Name:
    """A module's attribute that a pickle names; never looked up."""

    text: str


@dataclass(frozen=True)
class Storage:
    """A record of bytes that a pickle refers to.

    Attributes:
        dtype: The safetensors name of its elements; None for untyped bytes.
        key: The record's name.
        count: Elements that the pickle claims for it.
        item: Bytes of one element.
    """

    dtype: str | None
    key: str
    count: int
    item: int


@dataclass(frozen=True)
class Dense:
    """A dense tensor that a pickle would rebuild: a strided view into a storage.

    Attributes:
        dtype: The safetensors name of its dtype.
        storage: Where its elements lie.
        offset: The first element's place in the storage.
        shape: Lengths, at most eight.
        stride: Steps between neighbours along each axis, in elements.
    """

    dtype: str
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the tensor written out on its own."""
        return math.prod(self.shape) * self.storage.item


def storage_of(fields: Any, *, wide: bool) -> Storage:
    """Read a reference to a storage: ("storage", type, key, place, count), once followed by None.

    Raises:
        UnsafeFile: It is anything else.
    """
    if type(fields) is not tuple or len(fields) not in ((5, 6) if wide else (5,)):
        raise UnsafeFile("its pickle refers to something that is not a storage")
    tag, scalar, key, place, count, *view = fields
    plain = type(scalar) is Name and type(key) is str and type(place) is str
    if tag != "storage" or not plain or type(count) is not int or view not in ([], [None]):
        raise UnsafeFile("its pickle refers to something that is not a plain storage")
    dtype, item = STORAGES.get(scalar.text, (None, 1))
    if dtype is None and scalar.text != UNTYPED:
        raise UnsafeFile("its pickle has a storage of a dtype that weights never have")
    if count < 0 or not (_PLACE.fullmatch(place) if wide else place == "cpu"):
        raise UnsafeFile(f"its storage {key!r:.40} lies in {place!r:.40} or has a negative length")
    return Storage(dtype, key, count, item)


def dense_of(name: str, arguments: tuple[Any, ...]) -> tuple[Dense, Table]:
    """The tensor that a rebuilding call would give, and its table of hooks.

    Raises:
        UnsafeFile: It is not dense, or leaves its storage.
    """
    storage, offset, shape, stride, grad, hooks, *rest = arguments
    if type(storage) is not Storage or type(grad) is not bool or type(hooks) is not Table:
        raise UnsafeFile("a tensor in it is not plain and dense")
    dtype = storage.dtype
    if name == V3 and rest and type(rest[0]) is Name:
        dtype = FLOAT8.get(rest.pop(0).text) if dtype is None else None
    if dtype is None or rest not in ([], [None]):
        raise UnsafeFile("a tensor in it has a dtype that weights never have")
    for numbers in ((offset,), shape, stride):
        if type(numbers) is not tuple or any(type(n) is not int or n < 0 for n in numbers):
            raise UnsafeFile("a tensor in it has a negative or malformed length")
    if len(shape) != len(stride) or len(shape) > 8:
        raise UnsafeFile("a tensor in it has a malformed shape")
    found = Dense(dtype, storage, offset, shape, stride)
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    if found.size and last >= storage.count:
        raise UnsafeFile(
            f"a tensor in it claims {(last + 1) * storage.item} bytes, its storage has "
            f"{storage.count * storage.item}"
        )
    return found, hooks


def parameter_of(name: str, arguments: tuple[Any, ...]) -> tuple[Dense, Table]:
    """The tensor inside a parameter, which may carry attributes of plain values.

    Raises:
        UnsafeFile: It is no parameter of that kind.
    """
    data, grad, hooks, *state = arguments
    if type(data) is not Dense or type(grad) is not bool or type(hooks) is not Table:
        raise UnsafeFile("a parameter in it is not plain")
    attributes = state.pop() if name == PARAMETER_STATE and len(state) == 1 else {}
    plain = type(attributes) is dict and all(
        type(key) is str and _ATTRIBUTE.fullmatch(key) and are_plain((value,))
        for key, value in attributes.items()
    )
    if state or not plain:
        raise UnsafeFile("a parameter in it carries attributes that are not plain values")
    return data, hooks


def are_plain(values: Any, depth: int = 0) -> bool:
    """Return whether there are only texts, numbers, truths and None, in tuples up to a depth."""
    return all(
        type(value) in (str, int, float, bool, type(None))
        or (depth > 0 and type(value) is tuple and are_plain(value, depth - 1))
        for value in values
    )
