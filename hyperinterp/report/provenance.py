"""Provenance for reading: how a checkpoint was made, the sizes in words, and the cost."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.blocks import listed
from hyperinterp.drawing.numbers import DASH, compact, number

_DEPTH = 4


def plain(value: object) -> str:
    """A value of a configuration in words: lists joined, yes and no, no for nothing."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value) or "none"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def flat(values: Mapping[str, Any], depth: int = _DEPTH) -> Iterator[tuple[str, str]]:
    """Nested settings as (name, value in words) pairs; what was not set is left out."""
    for key, value in values.items():
        if isinstance(value, Mapping) and depth > 1:
            for inner, words in flat(value, depth - 1):
                yield f"{named(str(key))}: {inner}", words
        elif value is not None and value != [] and value != {}:
            yield named(str(key)), plain(value)


def named(key: str) -> str:
    """A field's name in words."""
    return key.replace("_", " ")


def recipe(trained: Mapping[str, Any]) -> str:
    """One line on how a checkpoint was trained; "" when its files do not say so."""
    config, data = _inner(trained, "config"), _inner(trained, "data")
    if trained.get("kind") != "hyperfitted" or not config:
        return ""
    parts = [f"method {plain(config.get('method'))}"]
    if told := trained_blocks(trained):
        parts.append(told)
    if isinstance(trained.get("trainable"), int):
        parts.append(f"{compact(trained['trainable'])} parameters trained")
    if isinstance(trained.get("epoch"), int):
        parts.append(f"{trained['epoch']} epochs")
    if isinstance(trained.get("epoch_loss"), float):
        parts.append(f"mean loss {number(trained['epoch_loss'])} in the last")
    if data.get("passages"):
        parts.append(f"{plain(data['passages'])} passages from {plain(data.get('origin'))}")
    return ", ".join(parts)


def trained_blocks(trained: Mapping[str, Any]) -> str:
    """The trained blocks in words; "" when a checkpoint's files do not say so."""
    found = trained.get("trained_blocks")
    if not isinstance(found, list | tuple) or not found:
        return ""
    if not all(isinstance(index, int) and index >= 0 for index in found):
        return ""
    return f"block{'s' * (len(found) > 1)} {listed(tuple(found))}"


def _inner(trained: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = trained.get(key)
    return found if isinstance(found, Mapping) else {}


def cost(seconds: Mapping[str, float]) -> tuple[dict[str, float], float]:
    """Wall time by part, and all of it: the measured total, which the parts add up to."""
    parts = {name: value for name, value in seconds.items() if name != "total"}
    known = sum(parts.values())
    total = seconds.get("total", known)
    if total - known > 0.05:
        parts["everything else"] = total - known
    return parts, total
