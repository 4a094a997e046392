"""Every package that the code imports is declared, and nothing is declared that nobody imports."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = {"hyperinterp", "probes"}
AS_NEEDED = {"accelerate"}
"""Imported by transformers on our behalf, too: declared whatever we import ourselves."""


def imported(source: str) -> set[str]:
    """Top-level names of the packages that a module imports, wherever in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module)
    return {name.partition(".")[0] for name in names} - OURS - set(sys.stdlib_module_names)


def plain(name: str) -> str:
    """A distribution's name as the index spells it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~! ;]", name)[0]).lower()


def declared() -> tuple[set[str], set[str]]:
    """Distributions that are always installed, and those of the extras for users."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    keys = ("frames", "data", "figures", "trackers", "tutorials")
    users = [name for key in keys for name in extras[key]]
    return {plain(name) for name in project["dependencies"]}, {plain(name) for name in users}


def used() -> set[str]:
    """Every package that hyperinterp or probes imports."""
    paths = (path for name in sorted(OURS) for path in (ROOT / name).rglob("*.py"))
    return set().union(*(imported(path.read_text(encoding="utf-8")) for path in paths))


def test_every_import_is_declared():
    always, extras = declared()
    homes = packages_distributions()
    missing = {
        name
        for name in used()
        if not {plain(home) for home in homes.get(name, [name])} & (always | extras)
    }
    assert not missing


def test_nothing_is_declared_that_nobody_imports():
    homes = packages_distributions()
    names = {plain(home) for name in used() for home in homes.get(name, [name])}
    assert not declared()[0] - names - AS_NEEDED


def test_an_import_inside_a_function_counts():
    assert imported("import os\ndef f():\n    from sklearn.cluster import KMeans\n") == {"sklearn"}
