"""A pickle followed opcode by opcode without running any of it.

The follower builds the same shape from inert Python values: tables, lists, tuples, texts, numbers,
and notes of tensors. Whatever else a pickle can do has no counterpart here. There are two grammars:
the narrow one of our own bundles, and the wider one of what `torch.save` writes of a state dict.
"""

import io
import pickletools
import re
from collections.abc import Callable
from typing import Any, cast

from hyperinterp.checkpoints.inert import (
    DEVICE,
    FLOAT8,
    ORDERED,
    PARAMETER,
    PARAMETER_STATE,
    SIZE,
    STORAGES,
    UNTYPED,
    V2,
    V3,
    Name,
    Storage,
    Table,
    are_plain,
    dense_of,
    parameter_of,
    storage_of,
)
from hyperinterp.errors import UnsafeFile

_NARROW = frozenset({*STORAGES, UNTYPED, V2, V3, ORDERED, *FLOAT8})
_WIDE = _NARROW | {PARAMETER, PARAMETER_STATE, SIZE, DEVICE}
_DTYPE = re.compile(r"torch (b?float(16|32|64)|u?int(8|16|32|64)|bool)")
_MARK = object()


class Follower:
    """The stack and the memo of one pickle.

    Args:
        wide: Follow the grammar of foreign state dicts; else that of our bundles.

    Attributes:
        storages: Every record that was referred to, by its key.
    """

    def __init__(self, *, wide: bool) -> None:
        self.wide = wide
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self._hooks: list[Table] = []

    def follow(self, handle: io.IOBase, limit: int) -> Any:
        """The inert value of the pickle that begins here; leaves `handle` after its STOP.

        Raises:
            UnsafeFile: An opcode, a name or a call that the grammar does not have.
        """
        for count, step in enumerate(pickletools.genops(cast(Any, handle))):
            name, argument = step[0].name, cast(Any, step[1])
            if name == "STOP":
                return self._end()
            if count > limit:
                raise UnsafeFile(
                    f"its pickle has more than {limit} opcodes, too many for its tensors"
                )
            if name in ("BINPUT", "LONG_BINPUT"):
                self.memo[argument] = self.stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                self.stack.append(self.memo[argument])
            elif name == "GLOBAL":
                self.stack.append(self._name(argument))
            elif name in _PUSH:
                self.stack.append(_PUSH[name](argument))
            elif name in _BUILD:
                _BUILD[name](self)
            elif self.wide and name in _WIDE_PUSH:
                self.stack.append(_WIDE_PUSH[name](argument))
            elif self.wide and name in _WIDE_BUILD:
                _WIDE_BUILD[name](self)
            elif name != "PROTO":
                kind = "a state dict" if self.wide else "a bundle"
                raise UnsafeFile(f"its pickle uses {name}, which {kind} never does")
        raise UnsafeFile("its pickle has no end")

    def _end(self) -> Any:
        if len(self.stack) != 1:
            raise UnsafeFile("its pickle leaves more than one value")
        if any(self._hooks):
            raise UnsafeFile("a tensor in it carries hooks")
        return self.stack.pop()

    def _name(self, text: str) -> Name:
        if text not in (_WIDE if self.wide else _NARROW) and not (
            self.wide and _DTYPE.fullmatch(text)
        ):
            raise UnsafeFile(f"its pickle names {text!r:.80}, which was not run")
        return Name(text)

    def take_marked(self) -> list[Any]:
        """Everything above the last mark, which goes too."""
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def store(self, items: list[Any]) -> None:
        """Put key, value, key, value, ... into the table on top of the stack."""
        table = self.stack[-1]
        tables = (dict, Table) if self.wide else (dict,)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Only texts and numbers: hashing nested tuples is how a pickle hangs its reader.
            plain = type(key) is str or (self.wide and type(key) is int)
            if type(table) not in tables or not plain or key in table:
                raise UnsafeFile("its pickle has a table whose keys are not distinct texts")
            table[key] = value

    def refer(self) -> None:
        """A reference to a storage, which must always be the same."""
        storage = storage_of(self.stack.pop(), wide=self.wide)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise UnsafeFile(f"its storage {storage.key!r:.40} is claimed in two ways")
        self.stack.append(storage)

    def reduce(self) -> None:
        """One of the few calls that give tables, sizes, devices and tensors."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Name or type(arguments) is not tuple:
            raise UnsafeFile("its pickle calls something that is not a tensor's constructor")
        name = function.text
        if name == ORDERED and not arguments:
            self.stack.append(Table())
        elif name in (V2, V3, PARAMETER, PARAMETER_STATE):
            rebuilt = dense_of if name in (V2, V3) else parameter_of
            tensor, hooks = rebuilt(name, arguments)
            self._hooks.append(hooks)
            self.stack.append(tensor)
        elif name in (SIZE, DEVICE) and are_plain(arguments, depth=1):
            self.stack.append(arguments)
        else:
            raise UnsafeFile("its pickle calls a constructor with other arguments")

    def set_metadata(self) -> None:
        """The one attribute that torch gives a state dict."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is not Table or type(state) is not dict or set(state) != {"_metadata"}:
            raise UnsafeFile("its pickle sets attributes on something that is no state dict")

    def extend(self, items: list[Any]) -> None:
        """Append to the list on top of the stack."""
        if type(self.stack[-1]) is not list:
            raise UnsafeFile("its pickle appends to something that is not a list")
        self.stack[-1].extend(items)


def _number(value: Any) -> int:
    if abs(value) >= 1 << 64:
        raise UnsafeFile("its pickle holds a number beyond 64 bits")
    return int(value)


def _tuple(size: int) -> Callable[[Follower], None]:
    def build(follower: Follower) -> None:
        items = [follower.stack.pop() for _ in range(size)][::-1]
        follower.stack.append(tuple(items))

    return build


def _set_item(follower: Follower) -> None:
    value, key = follower.stack.pop(), follower.stack.pop()
    follower.store([key, value])


_PUSH: dict[str, Callable[[Any], Any]] = {
    "MARK": lambda _: _MARK,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_TUPLE": lambda _: (),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "BINUNICODE": lambda text: text,
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1"), _number),
}
_WIDE_PUSH: dict[str, Callable[[Any], Any]] = {"EMPTY_LIST": lambda _: [], "BINFLOAT": float}
_BUILD: dict[str, Callable[[Follower], None]] = {
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "TUPLE": lambda follower: follower.stack.append(tuple(follower.take_marked())),
    "SETITEM": _set_item,
    "SETITEMS": lambda follower: follower.store(follower.take_marked()),
    "BINPERSID": Follower.refer,
    "REDUCE": Follower.reduce,
}
_WIDE_BUILD: dict[str, Callable[[Follower], None]] = {
    "APPEND": lambda follower: follower.extend([follower.stack.pop()]),
    "APPENDS": lambda follower: follower.extend(follower.take_marked()),
    "BUILD": Follower.set_metadata,
}
