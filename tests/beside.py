"""Run the tests of the changed files: `python -m tests.beside [COMMIT]`."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MOST = 12


def changed(since: str) -> list[Path]:
    """Return the files that differ from a commit, untracked ones included."""
    asked = (["diff", "--name-only", since], ["ls-files", "--others", "--exclude-standard"])
    found: list[str] = []
    for arguments in asked:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        found += done.stdout.splitlines()
    return [Path(name) for name in found]


@cache
def imported(test: Path) -> frozenset[str]:
    """Return the dotted names that a test file imports, with what it takes from them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(test.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{item.name}" for item in node.names)}
    return frozenset(found)


def beside(path: Path, root: Path = ROOT) -> list[str]:
    """Return the tests of one file, as paths below `root`.

    A test file stands for itself. A module is tested by the files below its folder's mirror in
    `tests/` that import it; where none does, by those that import its package, by any that import
    it, or by those that are named after it or its folder. At most `MOST` files stand for one.
    """
    if path.suffix != ".py" or path.parts[0] not in ("hyperinterp", "probes", "tests"):
        return []
    if path.parts[0] == "tests":
        return [str(path)] if path.name.startswith("test_") and (root / path).exists() else []
    parts = path.with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    folder = root / "tests" / path.parent
    while not folder.is_dir():
        folder = folder.parent
    near, all_tests = sorted(folder.rglob("test_*.py")), sorted((root / "tests").rglob("test_*.py"))
    package = module.rpartition(".")[0] or module
    for tests, name in ((near, module), (near, package), (all_tests, module)):
        found = [str(test.relative_to(root)) for test in tests if name in imported(test)]
        if found:
            return found[:MOST]
    named = {f"test_{part}" for part in parts[-2:]}
    return [
        str(test.relative_to(root))
        for test in all_tests
        if any(test.stem.startswith(name) for name in named)
    ][:MOST]


def main() -> int:
    """Run the tests of every changed file, without the long ones and the real model."""
    since = sys.argv[1] if len(sys.argv) > 1 else "main"
    files = sorted({test for path in changed(since) for test in beside(path)})
    if not files:
        print("no test imports what changed; `make test` runs all")
        return 0
    print(*files, sep="\n")
    return int(pytest.main(["-q", "-m", "not (full or real or browser)", *files]))


if __name__ == "__main__":
    raise SystemExit(main())
