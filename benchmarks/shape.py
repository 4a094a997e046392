"""Measure the shape of the code, and keep the table of it in CONTRIBUTING.md.

`python -m benchmarks.shape` writes the table; with `--longest` it lists the longest modules and
functions instead.
"""

import argparse
import ast
import io
import re
import statistics
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hyperinterp", "probes", "tests")
PAGE = ROOT / "CONTRIBUTING.md"
MOST_LINES, MOST_IN_FUNCTION = 300, 70
_TABLE = re.compile(r"(<!-- shape -->\n).*?(<!-- /shape -->)", re.DOTALL)


@dataclass(frozen=True)
class Function:
    """One function: where it is, and the lines of its body, without signature and docstring."""

    place: str
    lines: int


@dataclass(frozen=True)
class Shape:
    """The sizes of one package.

    Attributes:
        modules: lines by path.
        functions: every function, by the lines of its body.
        docstrings: share of lines that belong to docstrings.
        comments: share of lines that hold a comment.
    """

    modules: dict[str, int]
    functions: tuple[Function, ...]
    docstrings: float
    comments: float

    @property
    def longest(self) -> Function:
        """The longest function."""
        return max(self.functions, key=lambda item: item.lines)

    @property
    def largest(self) -> tuple[str, int]:
        """Path and lines of the largest module."""
        return max(self.modules.items(), key=lambda item: item[1])

    @property
    def p95(self) -> int:
        """The length that 95 % of the functions do not exceed."""
        lengths = sorted(item.lines for item in self.functions)
        return lengths[min(len(lengths) - 1, int(0.95 * len(lengths)))]


def _docstring(node: ast.AST) -> int:
    """Lines of a node's docstring."""
    body = getattr(node, "body", [])
    first = body[0] if isinstance(body, list) and body else None
    value = getattr(first, "value", None)
    if isinstance(first, ast.Expr) and isinstance(getattr(value, "value", None), str):
        return (first.end_lineno or 0) - first.lineno + 1
    return 0


def _functions(tree: ast.AST, path: str) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if _docstring(node) else node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            yield Function(f"{path}:{node.name}", lines)


def shape_of(package: str, root: Path = ROOT) -> Shape:
    """Return the shape of one package below `root`."""
    modules: dict[str, int] = {}
    functions: list[Function] = []
    documented = commented = 0
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted((root / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name, tree = path.relative_to(root).as_posix(), ast.parse(text)
        modules[name] = len(text.splitlines())
        functions += _functions(tree, name)
        documented += sum(_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        commented += sum(token.type == tokenize.COMMENT for token in tokens)
    total = sum(modules.values())
    return Shape(modules, tuple(functions), documented / total, commented / total)


def table() -> str:
    """Return the table as Markdown."""
    lines = [
        "| | modules | lines | median module | largest | functions | 95 % within | longest "
        "| docstrings | comments |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for package in PACKAGES:
        shape = shape_of(package)
        sizes = list(shape.modules.values())
        lines.append(
            f"| `{package}` | {len(sizes)} | {sum(sizes)} | {statistics.median(sizes):.0f} "
            f"| {max(sizes)} | {len(shape.functions)} | {shape.p95} | {shape.longest.lines} "
            f"| {shape.docstrings:.0%} | {shape.comments:.1%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table, or list what is longest."""
    parser = argparse.ArgumentParser(description="Sizes of modules and functions.")
    parser.add_argument("--longest", action="store_true")
    if parser.parse_args().longest:
        for package in PACKAGES:
            shape = shape_of(package)
            for name, lines in sorted(shape.modules.items(), key=lambda item: -item[1])[:8]:
                print(f"{lines:5} {name}")
            for function in sorted(shape.functions, key=lambda item: -item.lines)[:12]:
                print(f"{function.lines:5} {function.place}")
        return
    page = PAGE.read_text(encoding="utf-8")
    written = _TABLE.sub(lambda found: found[1] + table() + found[2], page)
    PAGE.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
