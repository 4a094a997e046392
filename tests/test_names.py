"""Names that benchmarks, tests and tutorials take from our modules are there to be taken."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("hyperinterp", "probes", "benchmarks", "tests")
USERS = ("benchmarks", "tests", "tutorials", "hyperinterp", "probes")


def _file(module: str, root: Path) -> Path | None:
    place = root.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return place if place.is_dir() else None


@cache
def names(path: Path) -> frozenset[str] | None:
    """What a module binds at any level of its own code; None where it computes its names."""
    if path.is_dir():
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name="__getattr__"):
                return None
            case (
                ast.FunctionDef(name=name)
                | ast.ClassDef(name=name)
                | ast.AsyncFunctionDef(name=name)
            ):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Import(names=taken) | ast.ImportFrom(names=taken):
                found |= {(item.asname or item.name).partition(".")[0] for item in taken}
    return frozenset(found)


def _has(module: Path, name: str) -> bool:
    """Whether an attribute can be there: bound, every module's own, or a module inside."""
    known = names(module)
    inside = module.parent / name
    package = module.name == "__init__.py"
    return (
        known is None
        or name in known
        or name.startswith("__")
        or (package and (inside.is_dir() or inside.with_suffix(".py").is_file()))
    )


def missing(path: Path, root: Path) -> list[str]:
    """Names of our modules that a file imports, or reads off an imported one, and that are not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wrong: list[str] = []
    modules: dict[str, list[Path]] = {}  # a file may give one name to several of them
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        if node.module.partition(".")[0] not in OURS or not (file := _file(node.module, root)):
            continue
        for item in node.names:
            inner = _file(f"{node.module}.{item.name}", root)
            known = names(file)
            if known is not None and item.name not in known:
                if inner is None:
                    wrong.append(f"{path.name}: {node.module} has no {item.name}")
                else:
                    modules.setdefault(item.asname or item.name, []).append(inner)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in modules:
                if not any(_has(inner, name) for inner in modules[module]):
                    wrong.append(f"{path.name}: {module} has no {name}")
    return sorted(set(wrong))


@pytest.mark.parametrize("folder", USERS)
def test_names_are_there(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [line for file in files for line in missing(file, ROOT)] == []


def test_a_name_that_is_gone_is_found(tmp_path: Path) -> None:
    (tmp_path / "probes").mkdir()
    (tmp_path / "probes" / "__init__.py").write_text("")
    (tmp_path / "probes" / "one.py").write_text("import os\n\ndef here(): ...\n")
    user = tmp_path / "user.py"
    user.write_text("from probes import one\nfrom probes.one import here, os\none.here, one.os\n")
    assert missing(user, tmp_path) == []
    user.write_text("from probes import one\nfrom probes.one import gone\none.lost\n")
    assert missing(user, tmp_path) == [
        "user.py: one has no lost",
        "user.py: probes.one has no gone",
    ]
