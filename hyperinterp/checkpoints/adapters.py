"""The closed schema of a PEFT adapter, checked before peft sees it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hyperinterp.checkpoints.tensorfile import StoredTensor
from hyperinterp.errors import InputRefused, UnsafeFile

MAX_RANK = 4096
_MODULE = re.compile(
    r"base_model\.model\.([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\.lora_(?:embedding_)?A(?:\.weight)?"
)
_IDENTIFIER = re.compile(r"[A-Za-z0-9_]{1,128}(\.[A-Za-z0-9_]{1,128}){0,15}")
_TEXT = re.compile(r"[ -~]{0,256}")


@dataclass(frozen=True)
class AdapterInfo:
    """A LoRA adapter as its files describe it.

    Attributes:
        rank: The default rank r, at least 1.
        alpha: LoRA's alpha; the update is scaled by alpha / r (alpha / sqrt(r) with rsLoRA).
        targets: Names of the adapted modules, or `("all-linear",)`.
        layers: Block indices that are adapted; None means all.
        dora: Whether magnitudes are trained too (DoRA).
        rslora: Whether the scale is alpha / sqrt(r).
        base_name: The base checkpoint that the adapter names.
        base_fingerprint: Fingerprint of the base, recorded at training or measured at loading.
        merged: Whether the loaded model has the update merged into plain weights.
        fingerprint: Fingerprint of the adapter's own stored tensors.
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]
    layers: tuple[int, ...] | None
    dora: bool
    rslora: bool
    base_name: str | None
    base_fingerprint: str | None
    merged: bool
    fingerprint: str


def screen_adapter_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check an adapter_config.json against the schema; return only what may be used of it.

    Patterns of module names are kept as text and never run: the stored tensors say which modules
    they meant.

    Raises:
        UnsafeFile: A value could hang, load code, or explode in size.
        InputRefused: It is not a LoRA adapter of a causal language model.
    """
    if config.get("peft_type") != "LORA":
        raise InputRefused(
            f"adapter_config.json: expected peft_type LORA, found {config.get('peft_type')!r:.80}; "
            f"{how_to_merge()}"
        )
    clean: dict[str, Any] = {}
    for key, value in config.items():
        if key in _DROPPED:
            continue
        check = _SCHEMA.get(key)
        if check is None:
            if value not in (None, False, {}, []):
                raise UnsafeFile(
                    f"adapter_config.json: {key!r} is not supported, expected null; "
                    f"{how_to_merge()}"
                )
            continue
        expected = check(value)
        if expected:
            raise UnsafeFile(
                f"adapter_config.json: {key} must be {expected}, found {shown(value)}; "
                f"{how_to_merge()}"
            )
        clean[key] = value
    if clean.get("r") is None:
        raise UnsafeFile(f"adapter_config.json: expected r, found none; {how_to_merge()}")
    return clean


def how_to_merge() -> str:
    """One clause that says how to turn an adapter into a whole model without us."""
    return (
        "where you trust it, merge it there with peft (PeftModel.from_pretrained(...)"
        ".merge_and_unload().save_pretrained(DIR)) and name DIR"
    )


def check_base_name(name: object) -> str:
    """A base checkpoint name that an adapter may carry: a built-in name, a Hub id, or a plain path.

    Raises:
        UnsafeFile: It has `..`, control characters or a URL scheme.
    """
    text = name if isinstance(name, str) else ""
    parts = re.split(r"[/\\]", text)
    plain = 0 < len(text) <= 1024 and text.isprintable() and ".." not in parts and "\\" not in text
    if not plain or "://" in text or text.startswith("~"):
        raise UnsafeFile(
            "adapter_config.json: base_model_name_or_path must be a Hub id or a plain path "
            f"without '..', found {shown(name)}"
        )
    return text


def describe_adapter(
    config: Mapping[str, Any],
    tensors: Mapping[str, StoredTensor],
    *,
    fingerprint: str,
    base_fingerprint: str | None,
    merged: bool,
) -> AdapterInfo:
    """The facts of a screened adapter_config.json and the tensors beside it."""
    targets = config.get("target_modules") or config.get("target_parameters") or []
    if isinstance(targets, str) and targets != "all-linear":
        targets = {path.rpartition(".")[2] for path in adapted_modules(tensors)}
    layers = config.get("layers_to_transform")
    return AdapterInfo(
        rank=int(config["r"]),
        alpha=float(config.get("lora_alpha", 8)),
        targets=(targets,) if isinstance(targets, str) else tuple(sorted(targets)),
        layers=None if layers is None else tuple([layers] if isinstance(layers, int) else layers),
        dora=bool(config.get("use_dora", False)),
        rslora=bool(config.get("use_rslora", False)),
        base_name=config.get("base_model_name_or_path"),
        base_fingerprint=base_fingerprint,
        merged=merged,
        fingerprint=fingerprint,
    )


def adapted_modules(tensors: Mapping[str, StoredTensor]) -> dict[str, int]:
    """Return the path of every module that has LoRA tensors, with their rank."""
    found = {}
    for name, tensor in tensors.items():
        if (match := _MODULE.fullmatch(name)) and tensor.shape:
            found[match[1]] = tensor.shape[0]
    return found


def maths_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that change what the stored tensors mean; part of an adapter's fingerprint."""
    keys = (
        "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora",
        "fan_in_fan_out", "bias", "lora_bias",
    )  # fmt: skip
    return {key: config.get(key) or None for key in keys}


def shown(value: object) -> str:
    """A value for a message, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


# Each check returns what was expected, or "" when the value is fine.
_Check = Callable[[Any], str]


def _one_of(*allowed: object) -> _Check:
    names = " or ".join(repr(a) for a in allowed)
    return lambda v: (
        "" if any(v is a or (type(v) is type(a) and v == a) for a in allowed) else names
    )


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(low: float, high: float) -> _Check:
    def check(value: Any) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fine = number and low <= value <= high  # NaN and infinity are in no interval
        return "" if fine else f"a number in [{low}, {high}]"

    return check


def _rank(value: Any) -> str:
    return "" if _is_int(value, 1, MAX_RANK) else f"an integer in [1, {MAX_RANK}]"


def is_plain(value: object) -> bool:
    """Return whether a value is a module name without anything that a pattern could mean."""
    return isinstance(value, str) and bool(_IDENTIFIER.fullmatch(value))


def _names(value: Any) -> str:
    if value is None:
        return ""
    fine = isinstance(value, list) and len(value) <= 4096 and all(is_plain(v) for v in value)
    return "" if fine else "a list of plain module names"


def _unrun(value: Any) -> str:
    """Module names or patterns that are kept as text."""
    items = value if isinstance(value, list) else [value]
    fine = len(items) <= 4096 and all(
        item is None or (isinstance(item, str) and len(item) <= 1 << 16) for item in items
    )
    return "" if fine else "a text or a list of texts"


def _tokens(value: Any) -> str:
    tables = list(value.values()) if isinstance(value, dict) else [value]
    fine = len(tables) <= 16 and (not isinstance(value, dict) or all(map(is_plain, value)))
    for table in tables:
        listed = isinstance(table, list) and len(table) <= 1 << 20
        fine = fine and (table is None or (listed and all(_is_int(v, 0, 1 << 23) for v in table)))
    return "" if fine else "a list of token ids, or one for each plain module name"


def _layers(value: Any) -> str:
    if value is None or _is_int(value, 0, 1023):
        return ""
    fine = (
        isinstance(value, list) and len(value) <= 1024 and all(_is_int(v, 0, 1023) for v in value)
    )
    return "" if fine else "a list of block indices below 1024"


def _table(check: _Check) -> _Check:
    def check_table(value: Any) -> str:
        if value is None:
            return ""
        if not isinstance(value, dict) or len(value) > 65_536:
            return "a table of module names"
        if not all(isinstance(key, str) and len(key) <= 1024 for key in value):
            return "a table of module names"
        return next((e for e in map(check, value.values()) if e), "")

    return check_table


def _name_of_base(value: Any) -> str:
    """A base's name as text; `check_base_name` decides whether it may be followed."""
    return "" if value is None or (isinstance(value, str) and len(value) <= 4096) else "a name"


def _text(value: Any) -> str:
    fine = value is None or (isinstance(value, str) and _TEXT.fullmatch(value))
    return "" if fine else "a short plain text"


_FLAG = _one_of(True, False)
_ABSENT = _one_of(None, False)
_DROPPED = {"auto_mapping", "peft_version", "inference_mode", "lora_dropout", "qalora_group_size"}
_SCHEMA: dict[str, _Check] = {
    "peft_type": _one_of("LORA"),
    "task_type": _one_of("CAUSAL_LM", None),
    "base_model_name_or_path": _name_of_base,
    "revision": _text,
    "r": _rank,
    "lora_alpha": _number(0.0, 1e6),
    "target_modules": _unrun,
    "exclude_modules": _unrun,
    "target_parameters": _names,
    "modules_to_save": _names,
    "layers_to_transform": _layers,
    "layers_pattern": _unrun,
    "rank_pattern": _table(_rank),
    "alpha_pattern": _table(_number(0.0, 1e6)),
    "trainable_token_indices": _tokens,
    "fan_in_fan_out": _FLAG,
    "bias": _one_of("none", "all", "lora_only"),
    "lora_bias": _FLAG,
    "use_dora": _FLAG,
    "use_rslora": _FLAG,
    "ensure_weight_tying": _FLAG,
    # PiSSA, OLoRA, EVA, CorDA and LoftQ rewrite the base's weights when they are set up.
    "init_lora_weights": _one_of(True, False, "gaussian", "orthogonal"),
    "megatron_core": _one_of(None, "megatron.core"),  # peft's default; unused without a config
    "megatron_config": _ABSENT,
    "layer_replication": _ABSENT,
    "use_qalora": _ABSENT,
}
