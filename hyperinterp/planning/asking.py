"""The plan of a comparison of two checkpoints that are named: no weights are read."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hyperinterp.checkpoints import outline_of, pinned
from hyperinterp.claims import registry
from hyperinterp.claims.roles import Kind
from hyperinterp.config import CompareConfig
from hyperinterp.errors import InputRefused
from hyperinterp.memory import available, parse_memory
from hyperinterp.models.load import parse_dtype, pick_device
from hyperinterp.planning.counting import planned
from hyperinterp.planning.result import Plan
from hyperinterp.roles import checkpoints, compare_config, given_roles, text_roles
from hyperinterp.runs.room import SHARE
from hyperinterp.runs.shape import Shape
from hyperinterp.sizes import sizes_of
from hyperinterp.text import Texts, builtin_passages
from probes.devices import has_float64


def plan(
    base: str | Path,
    fitted: str | Path,
    *,
    config: CompareConfig | str | Path | None = None,
    measured: bool = True,
    **options: Any,
) -> Plan:
    """Return the needs of a comparison of two checkpoints; nothing is compared.

    Takes what `compare` takes. Of a directory config.json alone is read, so that a pair can be
    planned where it does not fit.

    Args:
        base: the model before, by name.
        fitted: the model after, by name; an adapter has the shapes of `base`.
        config: the options in one piece; see `compare`.
        measured: measure for a moment how fast this device multiplies, and tell seconds.
        options: the options and roles of `compare`, each under its own name.

    Raises:
        InputRefused: a name, option, text or device that cannot be used.
    """
    known = registry.roles()
    asked = compare_config(known, config, options)
    limit, place = parse_memory(asked.memory), pick_device(asked.device)
    wanted, chosen = registry.chosen(asked.claims), asked.sizes or sizes_of(asked.preset)
    given = given_roles(known, asked.roles)
    names: dict[str, Any] = {
        "base": pinned(base, asked.revision, asked.subfolder),
        "fitted": pinned(fitted, asked.fitted_revision, asked.fitted_subfolder),
    }
    names |= checkpoints(given, Kind.CHECKPOINT) | checkpoints(given, Kind.READER)
    dtype = parse_dtype(asked.dtype)
    shapes = _shapes(names, asked.like, dtype.itemsize)
    texts = Texts.of(asked.column, asked.split, "prompts", *text_roles(known))
    passages = texts.read("prompts", asked.prompts, chosen.prompts)
    if passages is None:
        passages = builtin_passages("heldout")
    if limit is None:
        limit = int(SHARE * available(place))
    found = planned(
        shapes,
        chosen,
        wanted,
        limit,
        asked.batch_size,
        prompts=len(passages.head(chosen.prompts)),
        corpus=any(role.kind is Kind.CORPUS for role in given),
        on_host=place == "cpu",
    )
    return timed(found, shapes[0], place, dtype) if measured else found


def _shapes(names: Mapping[str, Any], like: str | Path | None, itemsize: int) -> list[Shape]:
    """The shape of every model; adapters have that of the base, and the base is whole."""
    for role, name in names.items():
        if not isinstance(name, str | Path):
            raise InputRefused(
                f"{role}: expected the name of a checkpoint to plan with, found "
                f"{type(name).__name__}; name it, or pass sizes of models in memory to compare"
            )
    outlines = [outline_of(name, like=like) for name in names.values()]
    first = outlines[0]
    if first is None:
        raise InputRefused(
            f"{names['base']}: expected a whole model to plan with, found an adapter; name the "
            "model that it sits on"
        )
    return [Shape.of(first if outline is None else outline, itemsize) for outline in outlines]


def timed(found: Plan, shape: Shape, device: str, dtype: torch.dtype) -> Plan:
    """Return a plan with seconds, by rates that take a moment to measure.

    Args:
        found: the plan.
        shape: of one of its models.
        device: where it would run.
        dtype: of the models.
    """
    product = operations(device, dtype)
    symmetric = torch.eye(256, dtype=torch.float64, device=device if has_float64(device) else "cpu")
    solved = _seconds(device, lambda: torch.linalg.eigh(symmetric))
    passes = 2 * found.passes * 2 * shape.body * found.tokens / product
    written = 2 * shape.body * found.generated / product
    spectra = found.decompositions * solved * (found.width / 256) ** 3
    seconds = {"passes": passes, "writing": written, "decompositions": spectra}
    return replace(found, seconds={key: round(value, 1) for key, value in seconds.items()})


def operations(device: str, dtype: torch.dtype) -> float:
    """Return the operations per second of a product of two matrices of 512 by 512.

    Args:
        device: where it is measured.
        dtype: of the matrices.
    """
    square = torch.ones(512, 512, dtype=dtype, device=device)
    return 2 * 512**3 / _seconds(device, lambda: square @ square)


def _seconds(device: str, work: Callable[[], object]) -> float:
    """Least seconds of a piece of work, of a few."""
    times: list[float] = []
    for _ in range(4):
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times)
