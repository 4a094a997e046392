"""`study.yaml`: a study's options, read and written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hyperinterp.errors import InputRefused
from hyperinterp.studies.config import PRESETS, StudyConfig

_NOT_OPTIONS = ("model", "found")


def read_study_file(path: str | Path) -> dict[Any, Any]:
    """Read a file of options as plain values.

    Raises:
        InputRefused: it cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputRefused(f"{path}: expected a YAML file of options, found none; name one")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split())[:200]
        raise InputRefused(
            f"{path}: expected YAML, found {told}; write one option a line"
        ) from error
    if not isinstance(found, dict):
        raise InputRefused(f"{path}: expected options by name, found {found!r:.60}; write a: b")
    return found


def study_file(found: dict[str, Any]) -> str:
    """Return plain values as the text of a file that `read_study_file` reads back."""
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True)


def study_config(
    path: str | Path | None = None,
    preset: str | None = None,
    given: Mapping[str, Any] | None = None,
) -> StudyConfig:
    """Return a study from a preset, a file, and single options: the later goes before the earlier.

    Args:
        path: a YAML file of options; a `study.yaml` that a study wrote will do.
        preset: "quick", "default" or "paper".
        given: single options; None is left out.

    Raises:
        InputRefused: an unknown preset, or a file or option that cannot be used.
    """
    if preset is not None and preset not in PRESETS:
        raise InputRefused(f"preset: expected one of {', '.join(PRESETS)}, found {preset!r}")
    start = PRESETS[preset or "default"]
    if path is not None:
        options = {k: v for k, v in read_study_file(path).items() if k not in _NOT_OPTIONS}
        start = StudyConfig.of(options, start)
    chosen = {name: value for name, value in (given or {}).items() if value is not None}
    return StudyConfig.of(chosen, start)
