"""Checks on configuration text, made before transformers or peft sees a byte of it."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperinterp.errors import CorruptFile, InputRefused, UnsafeFile

MAX_CONFIG_BYTES = 4 << 20
MAX_TOKENIZER_BYTES = 256 << 20
MAX_DEPTH = 32
ATTENTION = ("eager", "sdpa", "flex_attention")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_CODE_KEYS = {
    "auto_map": "custom code",
    "custom_pipelines": "custom code",
    "custom_generate": "custom code",
    "transformers_weights": "another weights file",
    "trust_remote_code": "custom code",
}
# (pattern of the key, largest value): generous against every published model.
_BOUNDS = (
    (re.compile(r"(^|_)(n|num)_?(hidden_|decoder_|encoder_)?layers?$|^(n|num)_.*layers?$"), 1024),
    (re.compile(r"experts"), 4096),
    (re.compile(r"heads?$"), 65_536),
    (re.compile(r"vocab_size|^n_vocab$"), 1 << 23),
    (re.compile(r"^(max_position_embeddings|n_positions|n_ctx|max_sequence_length)$"), 1 << 25),
    (re.compile(r"(_size|_dim|_rank|_len|_width|_dims|^n_embd|^n_inner|^d_\w+)$"), 1 << 22),
    (re.compile(r"^(num|n)_"), 1 << 25),
)


def read_text(path: Path, limit: int) -> str:
    """Read a UTF-8 text file of at most `limit` bytes.

    Raises:
        UnsafeFile: It is larger than the limit or not a regular file.
        CorruptFile: It is not UTF-8.
    """
    if not path.is_file():
        raise UnsafeFile(f"{path}: expected a regular file")
    with path.open("rb") as handle:
        content = handle.read(limit + 1)
    if len(content) > limit:
        raise UnsafeFile(f"{path}: larger than the {limit} bytes that such a file may have")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{path}: not UTF-8 text ({error.reason} at {error.start})") from error


def parse_json(text: str, what: str, *, finite: bool = False) -> dict[str, Any]:
    """Parse a JSON object with bounded depth and no repeated keys.

    Raises:
        CorruptFile: It is not JSON.
        UnsafeFile: It is nested too deeply, repeats a key, or is not an object.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant if finite else float,
        )
    except RecursionError as error:
        raise UnsafeFile(f"{what}: nested deeper than {MAX_DEPTH} levels") from error
    except UnsafeFile as error:
        raise UnsafeFile(f"{what}: {error}") from error
    except ValueError as error:
        raise CorruptFile(f"{what}: not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise UnsafeFile(f"{what}: expected a JSON object, found {type(value).__name__}")
    for _, _, depth in walk(value):
        if depth > MAX_DEPTH:
            raise UnsafeFile(f"{what}: nested deeper than {MAX_DEPTH} levels")
    return value


def walk(value: Mapping[str, Any]) -> Iterator[tuple[str, Any, int]]:
    """Every (key, value, depth) in a JSON value, without recursion; list items keep their key."""
    todo: list[tuple[str, Any, int]] = [(str(k), v, 1) for k, v in value.items()]
    while todo:
        key, item, depth = todo.pop()
        yield key, item, depth
        if isinstance(item, Mapping):
            todo.extend((str(k), v, depth + 1) for k, v in item.items())
        elif isinstance(item, list):
            todo.extend((key, v, depth + 1) for v in item)


def screen_model_config(config: Mapping[str, Any], what: str = "config.json") -> None:
    """Refuse a model configuration that could run code, import libraries or explode.

    Raises:
        UnsafeFile: It names custom code, a kernel repository, or an absurd size.
        InputRefused: It is quantised, or names no model type.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", model_type):
        raise InputRefused(
            f"{what}: expected a plain model_type, found {model_type!r:.80}; save it anew with "
            "save_pretrained"
        )
    for key, value, _ in walk(config):
        if key in _CODE_KEYS and value not in (None, {}, [], False):
            raise UnsafeFile(f"{what}: {key!r} names {_CODE_KEYS[key]}, which is never loaded")
        if "attn_implementation" in key or key.endswith("_implementation"):
            _check_implementation(key, value, what)
        if "kernel" in key and _names_repository(value):
            raise UnsafeFile(f"{what}: {key!r} names a kernel to fetch, which is never loaded")
        if "quantization_config" in key and value not in (None, {}):
            raise InputRefused(
                f"{what}: the weights are quantised ({key}); de-quantise them first "
                "(model.dequantize() and save_pretrained)"
            )
        if isinstance(value, int) and not isinstance(value, bool):
            _check_size(key, value, what)
    _check_architectures(config, what)


def screen_tokenizer_config(config: Mapping[str, Any], what: str = "tokenizer_config.json") -> None:
    """Refuse a tokenizer configuration that names code.

    Raises:
        UnsafeFile: It has an `auto_map` or a class that is not a plain name.
    """
    for key, value, _ in walk(config):
        if key in _CODE_KEYS and value not in (None, {}, [], False):
            raise UnsafeFile(f"{what}: {key!r} names {_CODE_KEYS[key]}, which is never loaded")
        plain = value is None or (isinstance(value, str) and _IDENTIFIER.fullmatch(value))
        if key in ("tokenizer_class", "processor_class") and not plain:
            raise UnsafeFile(f"{what}: {key} must be a plain class name, found {value!r:.80}")


def one_line(error: BaseException, limit: int = 300) -> str:
    """The text of somebody else's exception, cut to one line."""
    shown = "".join(c if c.isprintable() else " " for c in str(error))
    text = " ".join(shown.split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _check_implementation(key: str, value: Any, what: str) -> None:
    names = list(value.values()) if isinstance(value, Mapping) else [value]
    allowed = (None, *ATTENTION, "flash_attention_2", "grouped_mm", "batched_mm")
    for name in names:
        if name not in allowed:
            raise UnsafeFile(
                f"{what}: {key!r} must be one of {', '.join(ATTENTION)}, found {name!r:.80}"
            )


def _names_repository(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, str) and ("/" in item or ":" in item) for item in items)


def _check_size(key: str, value: int, what: str) -> None:
    for pattern, largest in _BOUNDS:
        if pattern.search(key):
            if not -largest <= value <= largest:
                raise UnsafeFile(f"{what}: {key} = {value} is beyond the largest allowed {largest}")
            return


def _check_architectures(config: Mapping[str, Any], what: str) -> None:
    names = config.get("architectures") or []
    if not isinstance(names, list) or not all(
        isinstance(n, str) and _IDENTIFIER.fullmatch(n) for n in names
    ):
        raise UnsafeFile(f"{what}: architectures must be plain class names, found {names!r:.80}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnsafeFile("the same key appears twice in one object")
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
