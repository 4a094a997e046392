"""The pickle of a bundle, followed opcode by opcode without running any of it.

A bundle's pickle can only build a dict of texts and dense tensors. This follower builds the same
shape from inert Python values; whatever else a pickle can do has no counterpart here.
"""

import math
import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from hyperinterp.errors import UnsafeFile

OPCODES_PER_RECORD, SPARE_OPCODES = 100, 100_000
KEYS = {"format", "format_version", "kind", "meta", "texts", "tensors"}
_ITEM_BYTES = {
    "torch FloatStorage": 4, "torch DoubleStorage": 8, "torch HalfStorage": 2,
    "torch BFloat16Storage": 2, "torch LongStorage": 8, "torch IntStorage": 4,
    "torch ShortStorage": 2, "torch CharStorage": 1, "torch ByteStorage": 1,
    "torch BoolStorage": 1,
}  # fmt: skip
_FLOAT8 = re.compile(r"torch (float8_e4m3fn|float8_e5m2)")
_UNTYPED = "torch.storage UntypedStorage"
_V2, _V3 = "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor_v3"
_ORDERED = "collections OrderedDict"
_GLOBALS = {*_ITEM_BYTES, _UNTYPED, _V2, _V3, _ORDERED}
_MARK = object()


@dataclass(frozen=True)
class _Name:
    text: str


@dataclass(frozen=True)
class _Storage:
    fields: Any


@dataclass(frozen=True)
class _Call:
    name: str
    arguments: tuple[Any, ...]


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
    try:
        limit = SPARE_OPCODES + OPCODES_PER_RECORD * len(sizes)
        _check_payload(_follow(content, limit), sizes)
    except UnsafeFile as error:
        raise UnsafeFile(f"{path}: {error}") from error
    except Exception as error:  # genops and the follower raise many kinds on malformed input
        raise UnsafeFile(f"{path}: its pickle is malformed ({type(error).__name__})") from error


def _follow(content: bytes, limit: int) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for count, step in enumerate(pickletools.genops(content)):
        name, argument, position = step[0].name, cast(Any, step[1]), step[2] or 0
        if name == "STOP":
            if position + 1 != len(content) or len(stack) != 1:
                raise UnsafeFile("bytes follow the end of its pickle")
            return stack[0]
        if count > limit:
            raise UnsafeFile(f"its pickle has more than {limit} opcodes, too many for its tensors")
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _PUSH:
            stack.append(_PUSH[name](argument))
        elif name in _BUILD:
            _BUILD[name](stack)
        elif name != "PROTO":
            raise UnsafeFile(f"its pickle uses {name}, which a bundle never does")
    raise UnsafeFile("its pickle has no end")


def _number(value: Any) -> int:
    if abs(value) >= 1 << 62:
        raise UnsafeFile("its pickle holds a number beyond 62 bits")
    return int(value)


def _global(text: Any) -> _Name:
    if text not in _GLOBALS and not _FLOAT8.fullmatch(text):
        raise UnsafeFile(f"its pickle names {text!r:.80}; nothing was run")
    return _Name(text)


_PUSH: dict[str, Callable[[Any], Any]] = {
    "MARK": lambda _: _MARK,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_TUPLE": lambda _: (),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "BINUNICODE": lambda text: text,
    "GLOBAL": _global,
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1"), _number),
}


def _take_marked(stack: list[Any]) -> list[Any]:
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _tuple(size: int) -> Callable[[list[Any]], None]:
    def build(stack: list[Any]) -> None:
        items = [stack.pop() for _ in range(size)][::-1]
        stack.append(tuple(items))

    return build


def _set_items(stack: list[Any]) -> None:
    _store(stack, _take_marked(stack))


def _set_item(stack: list[Any]) -> None:
    value, key = stack.pop(), stack.pop()
    _store(stack, [key, value])


def _store(stack: list[Any], items: list[Any]) -> None:
    table = stack[-1]
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Only texts: hashing nested tuples is how a pickle hangs its reader.
        if type(table) is not dict or type(key) is not str or key in table:
            raise UnsafeFile("its pickle has a table whose keys are not distinct texts")
        table[key] = value


def _reduce(stack: list[Any]) -> None:
    arguments, function = stack.pop(), stack.pop()
    callable_names = (_V2, _V3, _ORDERED)
    if type(function) is not _Name or function.text not in callable_names:
        raise UnsafeFile("its pickle calls something that is not a tensor's constructor")
    if type(arguments) is not tuple or (function.text == _ORDERED and arguments):
        raise UnsafeFile("its pickle calls a constructor with other arguments")
    stack.append(_Call(function.text, arguments))


_BUILD: dict[str, Callable[[list[Any]], None]] = {
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": lambda stack: stack.append(tuple(_take_marked(stack))),
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "BINPERSID": lambda stack: stack.append(_Storage(stack.pop())),
    "REDUCE": _reduce,
}


def _check_payload(payload: Any, sizes: Mapping[str, int]) -> None:
    if type(payload) is not dict or set(payload) != KEYS:
        raise UnsafeFile("not a hyperinterp bundle (its top level has other keys)")
    texts, tensors = payload["texts"], payload["tensors"]
    if type(texts) is not dict or type(tensors) is not dict or not tensors:
        raise UnsafeFile("a bundle without tables of texts and tensors")
    strings = [payload[key] for key in KEYS - {"texts", "tensors"}] + list(texts.values())
    if any(type(text) is not str for text in strings):
        raise UnsafeFile("something that is not text where text is expected")
    for name, tensor in tensors.items():
        _check_tensor(name, tensor, sizes)


def _check_tensor(name: str, tensor: Any, sizes: Mapping[str, int]) -> None:
    if type(tensor) is not _Call or tensor.name == _ORDERED:
        raise UnsafeFile(f"{name!r:.80} is not a plain dense tensor")
    storage, offset, shape, stride, grad, hooks, *rest = tensor.arguments
    kind, scalar, key, place, count = storage.fields
    if (kind, place, offset, grad, hooks) != ("storage", "cpu", 0, False, _Call(_ORDERED, ())):
        raise UnsafeFile(f"{name!r:.80} is not a plain dense tensor")
    if tensor.name == _V2 and not rest and scalar.text in _ITEM_BYTES:
        item = _ITEM_BYTES[scalar.text]
    elif tensor.name == _V3 and scalar.text == _UNTYPED and _FLOAT8.fullmatch(rest[0].text):
        item = 1
    else:
        raise UnsafeFile(f"{name!r:.80} has a dtype that a bundle never has")
    elements, expected = math.prod(shape), []
    for length in reversed(shape):
        expected.append(max(1, math.prod(shape[len(shape) - len(expected) :])))
        if type(length) is not int or length < 0:
            raise UnsafeFile(f"{name!r:.80} has a negative length")
    dense = elements < 2 or all(
        s == e for s, e, n in zip(stride, expected[::-1], shape, strict=True) if n > 1
    )
    held = sizes.get(str(key), -1)
    if len(shape) > 8 or not dense or count * item != held or elements * item != held:
        raise UnsafeFile(
            f"{name!r:.80} claims {max(elements, count) * item} bytes, the file holds {held}"
        )
