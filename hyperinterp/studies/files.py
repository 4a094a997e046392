"""Options of a study: a preset's, those of `study.yaml`, and single ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperinterp.config import read_mapping
from hyperinterp.errors import InputRefused
from hyperinterp.studies.config import PRESETS, StudyConfig

_NOT_OPTIONS = ("model", "found")


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
        options = {k: v for k, v in read_mapping(path).items() if k not in _NOT_OPTIONS}
        start = StudyConfig.of(options, start)
    chosen = {name: value for name, value in (given or {}).items() if value is not None}
    return StudyConfig.of(chosen, start)
