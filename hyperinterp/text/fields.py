"""From a row of data to a passage: which field holds the text, or the messages."""

import difflib
from collections.abc import Generator, Iterable, Mapping
from typing import Any

from hyperinterp.errors import InputRefused
from hyperinterp.text.passages import Passage, Turn

CONVERSATIONS = ("messages", "conversations")
"""Fields that are taken for a conversation where no field is named and none is called text."""

_ROLES = {
    "system": "system", "developer": "developer", "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "tool": "tool",
}  # fmt: skip
_MISSING = object()


def passages_of(
    rows: Iterable[object], origin: str, *, split: str | None = None, column: str | None = None
) -> Generator[Passage, None, None]:
    """Yield a passage for every row.

    Args:
        rows: strings, dicts, conversations (lists of messages) or passages.
        origin: where they come from, for errors.
        split: keep only the rows whose field `split` equals this.
        column: the field that holds the text or the messages, with dots for nested ones; by
            default `text`, else `messages`, `conversations`, or `prompt` and `completion`.

    Raises:
        InputRefused: a row without text, or no row of that split.
    """
    splits: dict[str, None] = {}
    kept = 0
    for number, row in enumerate(rows, 1):
        where = f"{origin}: row {number}"
        if split is not None:
            found = row.get("split") if isinstance(row, Mapping) else None
            if found != split:
                if len(splits) < 9:
                    splits[str(found)] = None
                continue
        kept += 1
        yield _passage(row, str(number), where, column)
    if split is not None and not kept:
        seen = "no field split" if splits.keys() <= {"None"} else f"split {', '.join(splits)}"
        raise InputRefused(
            f"{origin}: expected rows whose field 'split' is {split!r}, found {seen}; leave the "
            "split out, or name one for each text (--split prompts=NAME, data=NAME, ...)"
        )


def _passage(row: object, number: str, where: str, column: str | None) -> Passage:
    if isinstance(row, Passage):
        return row
    if isinstance(row, str):
        return Passage(number, str(row))
    if is_conversation(row):
        return _conversed(number, turns_of(row, where))
    if not isinstance(row, Mapping):
        raise InputRefused(
            f"{where}: expected a text or an object with fields, found {_described(row)}; "
            "make each row one or leave it out"
        )
    identifier = str(row.get("id", number))
    if column is None:
        return _by_default(row, identifier, where)
    value = nested(row, column)
    if isinstance(value, str):
        return Passage(identifier, str(value))
    if is_conversation(value):
        return _conversed(identifier, turns_of(value, where))
    raise _lacking(row, column, value, where)


def _by_default(row: Mapping[str, Any], identifier: str, where: str) -> Passage:
    """A row in which no field was named: `text`, else what chat data is called."""
    if isinstance(row.get("text"), str):
        return Passage(identifier, str(row["text"]))
    for name in CONVERSATIONS:
        if is_conversation(row.get(name)):
            return _conversed(identifier, turns_of(row[name], where))
    prompt, completion = row.get("prompt"), row.get("completion")
    if isinstance(prompt, str) and isinstance(completion, str):
        turns = (("user", prompt), ("assistant", completion))
        return Passage(identifier, prompt + completion, turns)
    if is_conversation(prompt) and is_conversation(completion):
        return _conversed(identifier, turns_of(prompt, where) + turns_of(completion, where))
    raise _lacking(row, "text", row.get("text", _MISSING), where)


def _conversed(identifier: str, turns: tuple[Turn, ...]) -> Passage:
    return Passage(identifier, "\n\n".join(said for _, said in turns), turns, plain=False)


def nested(row: Mapping[str, Any], column: str) -> object:
    """The value of a field; a name with dots that is no field leads into nested ones."""
    if column in row:
        return row[column]
    value: object = row
    for part in column.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list | tuple) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return value


def is_conversation(value: object) -> bool:
    """Tell a list of messages (role and content, or from and value) from other values."""
    items = _listed(value)
    return bool(items) and all(
        isinstance(item, Mapping)
        and ({"role", "content"} <= item.keys() or {"from", "value"} <= item.keys())
        for item in items
    )


def _listed(value: object) -> list[Any]:
    """The messages as a list: some libraries give an array, or an object of lists, instead."""
    if isinstance(value, Mapping):
        columns = {name: list(items) for name, items in value.items() if isinstance(items, list)}
        if len(columns) != len(value) or len({len(items) for items in columns.values()}) != 1:
            return []
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if isinstance(value, list | tuple):
        return list(value)
    made = getattr(value, "tolist", None)
    made = made() if callable(made) else None
    return made if isinstance(made, list) else []


def turns_of(value: object, where: str) -> tuple[Turn, ...]:
    """Role and content of each message.

    Raises:
        InputRefused: an unknown role, a call of a tool, or content that is no text.
    """
    return tuple(
        _turn(item, f"{where}: message {number}") for number, item in enumerate(_listed(value), 1)
    )


def _turn(item: Mapping[str, Any], where: str) -> Turn:
    named, content = ("role", "content") if "role" in item else ("from", "value")
    role = _ROLES.get(str(item[named]).lower())
    if role is None:
        raise InputRefused(
            f"{where}: expected one of the roles {', '.join(_ROLES)}, found {item[named]!r:.40}: "
            "rename it"
        )
    if item.get("tool_calls"):
        raise InputRefused(
            f"{where}: expected a message of text, found a call of a tool; leave such "
            "conversations out, or write the call into the content"
        )
    said = item[content]
    if isinstance(said, list | tuple):  # parts; only those of text can be read
        parts: list[Any] = [p.get("text") if isinstance(p, Mapping) else p for p in said]
        said = "".join(parts) if all(isinstance(part, str) for part in parts) else said
    if not isinstance(said, str):
        raise InputRefused(
            f"{where}: expected text as {content!r}, found {_described(said)}; leave what is not "
            "text out"
        )
    return role, str(said)


def _lacking(row: Mapping[str, Any], column: str, value: object, where: str) -> InputRefused:
    """Return a row's content where its field has no text, and what to do."""
    texts = [str(name) for name, held in row.items() if isinstance(held, str) and name != "id"]
    texts += [str(name) for name, held in row.items() if is_conversation(held)]
    fields = ", ".join(repr(str(name))[:60] for name in list(row)[:20]) or "none"
    found = f"the fields {fields}" if value is _MISSING else f"{_described(value)} there"
    close = difflib.get_close_matches(column, texts, 1) or texts[:1]
    advice = f"name the field that holds the text: --column {close[0] if close else 'NAME'}"
    return InputRefused(
        f"{where}: expected a string field {column!r}, found {found}; {advice} (column= in Python)"
    )


def _described(value: object) -> str:
    kind = type(value).__name__
    return f"{kind}: {value!r:.60}" if value is not None else "nothing (null)"
