"""YAML as its core schema has it: `on` is a word, `1e-4` a number, and every key stands once."""

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from hyperinterp.errors import InputRefused

MOST_BYTES = 1_000_000
"""Size of the largest file that is read."""

_PLAIN = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
}
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Plain data alone; refuses anchors and keys that stand twice."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # pyright: ignore

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="a reference to an anchor", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            word = str(key.value)
            if word in seen:
                told = f"the key {word[:40]!r} twice"
                raise yaml.MarkedYAMLError(problem=told, problem_mark=key.start_mark)
            seen.add(word)
        return super().construct_mapping(node, deep)

    def whole(self, node: Any) -> int:
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)

    def number(self, node: Any) -> float:
        return float(self.construct_scalar(node))


class _Dumper(yaml.SafeDumper):
    """Puts into quotes what this reader, or one of YAML 1.1, would not take for text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _name, (_pattern, _first) in _PLAIN.items():
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)
_Loader.add_constructor(_TAG + "int", _Loader.whole)
_Loader.add_constructor(_TAG + "float", _Loader.number)


def read_mapping(path: str | Path) -> dict[Any, Any]:
    """Read a YAML file that holds one mapping of plain data.

    Args:
        path: the file.

    Raises:
        InputRefused: no such file, too large, not UTF-8, not YAML, an anchor, a key twice, or
            something else than a mapping.
    """
    path = Path(path)
    if not path.is_file():
        found = "a directory" if path.is_dir() else "none there"
        raise InputRefused(f"{path}: expected a YAML file of options, found {found}; name one")
    if path.stat().st_size > MOST_BYTES:
        raise InputRefused(
            f"{path}: expected at most {MOST_BYTES} bytes of options, found "
            f"{path.stat().st_size}; name another file"
        )
    try:
        found = yaml.load(path.read_bytes().decode("utf-8-sig"), _Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InputRefused(
            f"{path}: cannot be read as YAML ({_told(error)}); write one `option: value` a line"
        ) from error
    if not isinstance(found, dict) or not found:
        kinds = {dict: "an empty one", type(None): "nothing in it", list: "a list"}
        what = kinds.get(type(found), repr(found)[:40])
        raise InputRefused(
            f"{path}: expected a mapping of options, found {what}; write one `option: value` a line"
        )
    return found


def _told(error: Exception) -> str:
    """A parser's error in a few words, with its line."""
    if isinstance(error, UnicodeDecodeError):
        return "bytes that are not UTF-8"
    if isinstance(error, RecursionError):
        return "too many levels"
    if isinstance(error, yaml.reader.ReaderError):
        return "characters that no text holds"
    mark = getattr(error, "problem_mark", None)
    words = " ".join(str(getattr(error, "problem", None) or error).split())[:120].replace(";", ",")
    return words if mark is None else f"{words} in line {mark.line + 1}"


def as_yaml(found: dict[str, Any]) -> str:
    """Return plain data as YAML that `read_mapping` reads back."""
    return yaml.dump(found, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
