"""The training that a checkpoint's manifest records."""

import math
from dataclasses import dataclass
from typing import Any

from hyperinterp.models import HookedModel


@dataclass(frozen=True)
class Recipe:
    """The training that a checkpoint's manifest records; None where it records none.

    Attributes:
        blocks: indices of the blocks that were trained, ascending.
        layers: how many last blocks were trained; None also where others were.
        trainable: trained parameters.
        loss: mean loss of the last epoch, nats.
    """

    blocks: tuple[int, ...] | None
    layers: int | None
    trainable: int | None
    loss: float | None


def recorded(model: HookedModel) -> Recipe:
    """Read a recipe from a model's provenance, leaving out whatever is not as expected."""
    facts = model.provenance
    blocks = _blocks(facts.get("trained_blocks"), model.n_layers)
    last = None if blocks is None else tuple(range(model.n_layers - len(blocks), model.n_layers))
    return Recipe(
        blocks=blocks,
        layers=len(blocks) if blocks is not None and blocks == last else None,
        trainable=_number(facts.get("trainable"), int),
        loss=_number(facts.get("epoch_loss"), float),
    )


def _blocks(value: Any, n_layers: int) -> tuple[int, ...] | None:
    if not isinstance(value, list) or not value:
        return None
    if not all(type(index) is int and 0 <= index < n_layers for index in value):
        return None
    return tuple(sorted(set(value)))


def _number(value: Any, kind: type) -> Any:
    known = isinstance(value, (int, kind)) and not isinstance(value, bool)
    return kind(value) if known and math.isfinite(value) else None
