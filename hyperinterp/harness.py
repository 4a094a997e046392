"""Tasks of lm-evaluation-harness, found by name before any model is loaded; it is an extra."""

import difflib
import hashlib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hyperinterp.errors import InputRefused

_FEWSHOT_SEED = 1234  # the harness's own
_NEEDED = "multiple_choice"


@dataclass(frozen=True, eq=False)
class Tasks:
    """Tasks with their items.

    Attributes:
        loaded: the harness's own objects, by name.
    """

    loaded: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Digest of the tasks' names, versions and configurations."""
        told = [
            (name, str(getattr(task, "VERSION", "")), repr(getattr(task, "config", "")))
            for name, task in self.loaded.items()
        ]
        return hashlib.sha256(repr(told).encode("utf-8", "replace")).hexdigest()


def read_tasks(given: str | Mapping[str, Any] | Iterable[str | Mapping[str, Any]]) -> Tasks:
    """Load tasks of lm-evaluation-harness, with the data that they need.

    Args:
        given: names, separated by commas or in a list. In a list, a task's configuration in the
            harness's own words may stand for a name.

    Raises:
        InputRefused: the harness is not installed or knows no such name; a task cannot be loaded,
            or is not answered by picking from several texts.
    """
    items: list[Any] = [given] if isinstance(given, str | Mapping) else list(given)
    specs = [part for item in items for part in _split(item)]
    if not specs:
        raise InputRefused(f"tasks: expected names of tasks, found {given!r}; name one")
    manager = _manager()
    found: dict[str, Any] = {}
    for spec in specs:
        found |= _loaded(manager, spec)
    return Tasks(found)


def _split(item: str | Mapping[str, Any]) -> list[str | Mapping[str, Any]]:
    if not isinstance(item, str):
        return [item]
    return [part.strip() for part in item.split(",") if part.strip()]


def _manager() -> Any:
    try:
        return importlib.import_module("lm_eval.tasks").TaskManager()
    except ImportError as error:
        raise InputRefused(
            "tasks: expected the package lm-eval, found none; install it with "
            "pip install 'hyperinterp[eval]'"
        ) from error


def _loaded(manager: Any, spec: str | Mapping[str, Any]) -> dict[str, Any]:
    """The tasks behind one name, a group's all."""
    known = manager.all_tasks
    if isinstance(spec, str) and spec not in known:
        close = difflib.get_close_matches(spec, known, 3, 0.6)
        way_out = f"did you mean {', '.join(close)}?" if close else "`lm-eval ls tasks` lists them"
        raise InputRefused(
            f"tasks: expected a task of lm-evaluation-harness, found {spec!r}; {way_out}"
        )
    name = spec if isinstance(spec, str) else spec.get("task", "a configuration")
    try:
        found = dict(manager.load([spec if isinstance(spec, str) else dict(spec)])["tasks"])
        for task in found.values():
            task.set_fewshot_seed(_FEWSHOT_SEED)
    except Exception as error:  # data sets raise whatever their files and hubs do
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputRefused(
            f"tasks: expected {name} with its data set, found {told:.200}; fetch the data set "
            "where there is a network, or name another task"
        ) from error
    for key, task in found.items():
        if task.OUTPUT_TYPE != _NEEDED or "acc" not in task.aggregation():
            raise InputRefused(
                f"tasks: expected tasks of multiple choice with an accuracy, found {key}, which is "
                f"of type {task.OUTPUT_TYPE}; name another"
            )
    return found
