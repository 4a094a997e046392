"""Checks on configuration text, made before transformers or peft sees a byte of it.

What is dangerous is refused. What only says how somebody ran the model (code of its own, attention
kernels, caches, dtypes) is left out, so that transformers never sees it; where that can change what
a model computes, a note says so.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import CONFIG_MAPPING
from transformers import __version__ as transformers_version
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from hyperinterp.errors import CorruptFile, InputRefused, UnsafeFile

MAX_CONFIG_BYTES = 4 << 20
MAX_TOKENIZER_BYTES = 256 << 20
MAX_DEPTH = 32
ATTENTION = ("eager", "sdpa", "flex_attention")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_ATTENTION = re.compile(r"(paged\|)?(eager|sdpa|flex_attention|flash_attention(_\d+)?)(_paged)?")
_CODE_KEYS = {"auto_map", "custom_pipelines", "custom_generate", "trust_remote_code"}
_UNUSED_KEYS = {"torch_dtype", "dtype", "_name_or_path", "name_or_path", "use_kernels"}
_EMPTY = (None, {}, [], False, "")
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


@dataclass(frozen=True)
class Screened:
    """A configuration that may be read.

    Attributes:
        config: What is left of it.
        notes: Sentences for the reader, on what was left out.
        own_code: Whether it names model code of its own, which is not loaded.
    """

    config: dict[str, Any]
    notes: tuple[str, ...] = ()
    own_code: bool = False


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


def screen_model_config(config: Mapping[str, Any], what: str = "config.json") -> Screened:
    """Refuse a model configuration that could import libraries or explode; leave out its code.

    Raises:
        UnsafeFile: It names a kernel repository, another weights file, or an absurd size.
        InputRefused: It names no model type, or a family that transformers does not know.
    """
    model_type = config.get("model_type")
    if model_type is None:
        raise InputRefused(f"{what}: expected a model_type, found none{_type_hint(config)}")
    if not isinstance(model_type, str) or not re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", model_type):
        raise UnsafeFile(
            f"{what}: expected a plain model_type, found {model_type!r:.80}; "
            "save it anew with save_pretrained"
        )
    if config.get("transformers_weights") not in _EMPTY:
        raise UnsafeFile(
            f"{what}: 'transformers_weights' names another weights file, which is never loaded; "
            "name that file itself, with this config.json beside it"
        )
    for key, value, _ in walk(config):
        if isinstance(value, int) and not isinstance(value, bool):
            _check_size(key, value, what)
    _check_architectures(config, what)
    notes: list[str] = []
    kept = _without_how(config, what, notes)
    if model_type not in CONFIG_MAPPING:
        code = "; its own code is never run" if config.get("auto_map") else ""
        raise InputRefused(
            f"{what}: the family {model_type!r} is not in transformers {transformers_version}"
            f"{code}; upgrade transformers (pip install -U transformers) where a newer one knows "
            "it, or name a checkpoint that was converted to a family that it knows"
        )
    own = config.get("auto_map") not in _EMPTY
    if own:
        ours = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type, "class")
        notes.append(
            f"{what}: names code of its own ({_code_name(config['auto_map'])}), which is never "
            f"loaded; transformers' own {ours} was used."
        )
    return Screened(kept, tuple(notes), own_code=own)


def screen_generation_config(
    config: Mapping[str, Any], what: str = "generation_config.json"
) -> Screened:
    """Leave out of a generation configuration what names code, kernels or caches.

    Raises:
        UnsafeFile: It names a kernel repository.
    """
    notes: list[str] = []
    return Screened(_without_how(config, what, notes), tuple(notes))


def screen_tokenizer_config(
    config: Mapping[str, Any], what: str = "tokenizer_config.json"
) -> Screened:
    """Leave code of its own out of a tokenizer configuration.

    Raises:
        UnsafeFile: It has a class that is not a plain name.
    """
    for key, value, _ in walk(config):
        plain = value is None or (isinstance(value, str) and _IDENTIFIER.fullmatch(value))
        if key in ("tokenizer_class", "processor_class") and not plain:
            raise UnsafeFile(
                f"{what}: {key} must be a plain class name, found {value!r:.80}; remove the key"
            )
    notes = ()
    if config.get("auto_map") not in _EMPTY:
        name = _code_name(config["auto_map"])
        notes = (f"{what}: names code of its own ({name}), which is never loaded.",)
    return Screened({k: v for k, v in config.items() if k not in _CODE_KEYS}, notes)


def one_line(error: BaseException, limit: int = 300) -> str:
    """The text of somebody else's exception, cut to one line."""
    shown = "".join(c if c.isprintable() else " " for c in str(error))
    text = " ".join(shown.split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _without_how(config: Mapping[Any, Any], what: str, notes: list[str]) -> dict[Any, Any]:
    """A configuration at all its levels, without keys that say how to run rather than what."""
    kept: dict[Any, Any] = {}
    for key, value in config.items():
        name = str(key)  # transformers' own id2label maps numbers to names
        if "kernel" in name and _names_repository(value):
            raise UnsafeFile(
                f"{what}: {name!r} names a kernel to fetch, which is never loaded; remove the key"
            )
        if "attn_implementation" in name or name.endswith("_implementation"):
            _check_implementation(name, value, what)
            if name == "cache_implementation" and value == "quantized":
                notes.append(f"{what}: asks for a quantised cache; a plain one was used.")
        elif name in _CODE_KEYS or name in _UNUSED_KEYS:
            if name == "custom_generate" and value not in _EMPTY:
                notes.append(f"{what}: names generation code of its own, which is never loaded.")
        elif isinstance(value, Mapping):
            kept[key] = _without_how(value, what, notes)
        elif isinstance(value, list):
            kept[key] = [
                _without_how(v, what, notes) if isinstance(v, Mapping) else v for v in value
            ]
        else:
            kept[key] = value
    return kept


def _check_implementation(key: str, value: Any, what: str) -> None:
    names = list(value.values()) if isinstance(value, Mapping) else [value]
    for name in names:
        if name is None or isinstance(name, bool):
            continue
        known = _ATTENTION if "attn" in key else _IDENTIFIER
        if not isinstance(name, str) or not known.fullmatch(name):
            raise UnsafeFile(
                f"{what}: {key!r} names {name!r:.80}, which is never loaded; expected one of "
                f"{', '.join(ATTENTION)}, or remove the key"
            )


def _names_repository(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, str) and ("/" in item or ":" in item) for item in items)


def _code_name(auto_map: Any) -> str:
    """Return the class that an `auto_map` names, for a sentence: the model's if it says one."""
    found = auto_map
    if isinstance(auto_map, Mapping):
        wanted = ("AutoModelForCausalLM", "AutoModel", "AutoTokenizer", *map(str, auto_map))
        found = next(auto_map[key] for key in wanted if key in auto_map)
    if isinstance(found, list):
        found = next((item for item in found if item), None)
    return one_line(Exception(found), 80)


def _type_hint(config: Mapping[str, Any]) -> str:
    names = config.get("architectures") or []
    wanted = names[0] if isinstance(names, list) and names else None
    found = [key for key, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items() if name == wanted]
    own = [key for key in found if str(wanted).lower().startswith(key.replace("_", ""))]
    if found:
        name = (own or found)[0]
        return f'; its architecture is {wanted}: write "model_type": "{name}" into it'
    return '; write the family\'s name into it, as in "model_type": "llama"'


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
