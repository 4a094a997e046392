"""The house rules that a reader relies on: who may import whom, and what stays light."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from benchmarks.shape import MOST_IN_FUNCTION, MOST_LINES, Function, shape_of

ROOT = Path(__file__).resolve().parent.parent


def layers(text: str) -> tuple[tuple[str, ...], ...]:
    """The layers of CONTRIBUTING's table: a module may import from its own row and those above."""
    rows = re.findall(r"^\| (`hyperinterp/.+?) \|", text, flags=re.MULTILINE)
    return tuple(
        tuple(
            f"hyperinterp.{name.removeprefix('hyperinterp/').replace('/', '.')}" for name in found
        )
        for found in (re.findall(r"`([\w/]+)`", row) for row in rows)
    )


LAYERS = layers((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
PROBES_MAY = {"torch", "numpy", "scipy", "einops", "jaxtyping", "sklearn", "sacrebleu", "probes"}
FREE = {"hyperinterp"}  # the lazy top level only


def layer_of(module: str) -> int | None:
    """Index of the most specific layer that names this module or one of its parents."""
    found = [
        (len(name), index)
        for index, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    return max(found)[1] if found else None


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def absolute(node: ast.ImportFrom, package: str) -> str:
    """The module that `from ... import` names, seen from inside a package."""
    base = node.module or ""
    if not node.level:
        return base
    parents = package.split(".")
    parents = parents[: len(parents) - node.level + 1]
    return ".".join([*parents, base] if base else parents)


def imports(path: Path, module: str) -> list[str]:
    """Every absolute module that a file imports, also inside functions."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, package)
            names.append(base)
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names


def violations(root: Path) -> list[str]:
    """Every import that goes the wrong way below `root`."""
    wrong = []
    for path in sorted(root.glob("hyperinterp/**/*.py")):
        module = module_name(path, root)
        if module in FREE:
            continue
        mine = layer_of(module)
        if mine is None:
            wrong.append(f"{module} belongs to no layer")
            continue
        for name in imports(path, module):
            theirs = layer_of(name) if name.startswith("hyperinterp.") else None
            if theirs is not None and theirs > mine:
                wrong.append(f"{module} imports {name}")
            if name.startswith("transformer_lens") and mine != layer_of("hyperinterp.models"):
                wrong.append(f"{module} names transformer-lens")
    known = sys.stdlib_module_names | PROBES_MAY
    for path in sorted(root.glob("probes/**/*.py")):
        module = module_name(path, root)
        for name in imports(path, module):
            if name.split(".")[0] not in known:
                wrong.append(f"{module} imports {name}")
    return wrong


def test_imports_flow_one_way() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("hyperinterp/models/bad.py", "from hyperinterp.report import save"),
        ("hyperinterp/models/bad.py", "def f():\n    import hyperinterp.cli.app"),
        ("hyperinterp/report/bad.py", "import transformer_lens"),
        ("hyperinterp/stray.py", "import os"),
        ("probes/bad.py", "import transformers"),
        ("probes/bad.py", "from hyperinterp import errors"),
        ("hyperinterp/checkpoints/bad.py", "from ..models import load"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, path: str, line: str) -> None:
    planted = tmp_path / path
    planted.parent.mkdir(parents=True)
    planted.write_text(line + "\n")
    assert len(violations(tmp_path)) >= 1


def graph(root: Path) -> dict[str, set[str]]:
    """Who imports whom below `root`: inside functions and for type checkers too."""
    files = {
        module_name(path, root): path
        for package in ("hyperinterp", "probes")
        for path in root.glob(f"{package}/**/*.py")
    }
    found = {}
    for module, path in files.items():
        names = set(imports(path, module))
        # `from package import module` imports the module; of its package it needs nothing more.
        parents = {name.rpartition(".")[0] for name in names if name in files}
        wanted = {name for name in names if name in files}
        found[module] = wanted - {module} - (parents & _only_parents(path, module, files))
    return found


def _only_parents(path: Path, module: str, files: dict[str, Path]) -> set[str]:
    """Packages that a file names only to reach modules inside them."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    needed, reached = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            needed |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, package)
            inside = [alias for alias in node.names if f"{base}.{alias.name}" in files]
            (reached if len(inside) == len(node.names) else needed).add(base)
    return reached - needed


def circle(root: Path) -> list[str]:
    """Return the modules of one import circle below `root`; none where there is none."""
    try:
        list(TopologicalSorter(graph(root)).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "from hyperinterp.b import name",
        "def f():\n    from hyperinterp import b",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import hyperinterp.b",
        "from . import b",
    ],
)
def test_a_planted_circle_is_found(tmp_path: Path, line: str) -> None:
    planted = tmp_path / "hyperinterp"
    planted.mkdir()
    (planted / "__init__.py").write_text("")
    (planted / "a.py").write_text(line + "\n")
    (planted / "b.py").write_text("def g():\n    from hyperinterp.a import f\n")
    assert {"hyperinterp.a", "hyperinterp.b"} <= set(circle(tmp_path))
    (planted / "b.py").write_text("import os\n")
    assert circle(tmp_path) == []


OTHERS_WORDS = {
    "control": {
        "training",
        "cli",
        "report",
        "studies",
    },  # a checkpoint that a run keeps
    "last_block": {"report", "cli", "analyses"},  # of a trace: the measure at the last block
    "placement": {"training", "models"},  # where the trained blocks lie; on which devices
    "temperature": {"generation", "analyses", "models"},  # of sampling
}
"""Slugs that are also words of another part, and the folders in which they mean that."""


def own_names(root: Path) -> tuple[set[str], set[str], set[str]]:
    """What only claims have: ids and result classes; slugs; fields that no other code has."""
    names, slugs, members, common = set(), set(), set(), set()
    for path in (*root.glob("hyperinterp/**/*.py"), *root.glob("probes/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not of_a_claim(path, root):
                common |= _names(node)
            elif isinstance(node, ast.keyword) and path.name == "__init__.py":
                value = node.value.value if isinstance(node.value, ast.Constant) else None
                {"id": names, "result": names, "slug": slugs}.get(str(node.arg), set()).add(value)
            elif isinstance(node, ast.AnnAssign) and path.name == "result.py":
                members.add(getattr(node.target, "id", ""))
    return {str(name) for name in names}, {str(name) for name in slugs}, members - common


def of_a_claim(path: Path, root: Path) -> bool:
    """Return True for a file in the folder of a claim."""
    parts = path.relative_to(root).parts
    return parts[1] == "claims" and len(parts) > 3


def _names(node: ast.AST) -> set[str]:
    """What a piece of code calls something of its own."""
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return {node.id}
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return set()


def _words(node: ast.AST) -> set[str]:
    """Every name in a piece of code, of its own or of others."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        paths = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        return {word for path in paths for word in path.split(".")}
    if isinstance(node, ast.MatchClass):
        return set(node.kwd_attrs)
    kinds = {ast.Name: "id", ast.Attribute: "attr", ast.ClassDef: "name", ast.FunctionDef: "name"}
    return {str(getattr(node, kinds.get(type(node), "arg"), ""))}


def _fields(node: ast.AST) -> set[str]:
    """The fields that a piece of code reads: `x.a`, `case X(a=1)`, `getattr(x, "a")`."""
    if isinstance(node, ast.Attribute | ast.MatchClass):
        return _words(node)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "attrgetter"):
        return {str(item.value) for item in node.args if isinstance(item, ast.Constant)}
    return set()


def told(root: Path) -> list[str]:
    """Every place outside the claims' folders that names a claim's id, slug, class or field.

    The registry's list of folders is left out.
    """
    names, slugs, members = own_names(root)
    pattern = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, names)) or '(?!)'})(?!\w)")
    found = []
    for path in sorted(root.glob("hyperinterp/**/*")):
        parts = path.relative_to(root).parts
        if not path.is_file() or path.suffix == ".pyc" or of_a_claim(path, root):
            continue
        text, own = path.read_text(encoding="utf-8"), set()
        if parts[1:] != ("claims", "registry.py"):
            own = {slug for slug in slugs if parts[1] not in OTHERS_WORDS.get(slug, ())}
        either = "|".join(own) or "(?!)"
        quoted = re.compile(rf"^({either})$|[\"'`]({either})[\"'`]")
        if path.suffix != ".py":
            lines = enumerate(text.splitlines(), 1)
            found += [f"{path.name}:{n}" for n, line in lines if _tells(line, pattern, quoted)]
            continue
        for token in _tokens(text) if pattern.search(text) else ():
            if token.type == tokenize.COMMENT and pattern.search(token.string):
                found.append(f"{path.name}:{token.start[0]}: {token.string[:60]!r}")
        for node in ast.walk(ast.parse(text)):
            value = node.value if isinstance(node, ast.Constant) else None
            said = isinstance(value, str) and _tells(value, pattern, quoted)
            words = _words(node) & (own | names if own else set()) | _fields(node) & members
            if said or words:
                line = getattr(node, "lineno", 0)
                found.append(f"{path.name}:{line}: {str(words or value)[:60]!r}")
    return found


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(text).readline)


def _tells(text: str, ids: re.Pattern[str], slugs: re.Pattern[str]) -> bool:
    return bool(ids.search(text) or slugs.search(text))


def test_only_the_folder_of_a_claim_knows_its_names() -> None:
    assert told(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        '"""For claim C9."""',
        '"""Draws `tallness`."""',
        "def f(report): return report.tallness",
        'def f(results): return results["tallness"]',
        "def f(tallness): return 1",
        "def f(item): return item.inches",
        "def f(item): return isinstance(item, TallResult)",
        "from hyperinterp.claims.tallness import measurement",
        "import hyperinterp.claims.tallness.result",
        "from hyperinterp.claims import tallness as other",
        "class TallResult: pass",
        "def f(item):\n    match item:\n        case object(inches=1): return 1",
        'def f(item): return getattr(item, "inches")',
        "x = 1  # as C9 does",
    ],
)
def test_a_named_claim_is_found(tmp_path: Path, line: str) -> None:
    folder = tmp_path / "hyperinterp" / "claims" / "tallness"
    folder.mkdir(parents=True)
    spec = 'CLAIM = ClaimSpec(id="C9", slug="tallness", result="TallResult")\n'
    (folder / "__init__.py").write_text(spec)
    (folder / "result.py").write_text("class TallResult:\n    inches: float\n    tall: int\n")
    stray = tmp_path / "hyperinterp" / "stray.py"
    stray.write_text("import os\ntall = 1\n")
    assert told(tmp_path) == []
    stray.write_text(line + "\n")
    assert len(told(tmp_path)) == 1
    stray.write_text("")
    words = tmp_path / "hyperinterp" / "words.toml"
    words.write_text('title = "Tall, as C9 has it"\n')
    assert told(tmp_path) == ["words.toml:1"]


def run_python(code: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return found.stdout.strip()


@pytest.mark.parametrize("package", ["hyperinterp", "probes"])
def test_modules_and_functions_are_short(package: str) -> None:
    shape = shape_of(package)
    assert [name for name, lines in shape.modules.items() if lines > MOST_LINES] == []
    assert [item for item in shape.functions if item.lines > MOST_IN_FUNCTION] == []


def test_a_long_function_and_a_long_module_are_seen(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    body = "    x = 0\n" * (MOST_IN_FUNCTION + 1)
    (tmp_path / "made" / "long.py").write_text(f'def long():\n    """Short."""\n{body}')
    shape = shape_of("made", tmp_path)
    assert shape.longest == Function("made/long.py:long", MOST_IN_FUNCTION + 1)
    assert shape.largest == ("made/long.py", MOST_IN_FUNCTION + 3)
    assert shape.docstrings == pytest.approx(1 / (MOST_IN_FUNCTION + 3))


def test_probes_loads_no_model_library() -> None:
    loaded = run_python(
        "import sys, probes; print([m for m in ('transformers', 'transformer_lens', 'peft', "
        "'hyperinterp', 'sacrebleu') if m in sys.modules])"
    )
    assert loaded == "[]"


def test_the_top_level_and_the_help_load_no_torch() -> None:
    code = (
        "import sys, hyperinterp\n"
        "from hyperinterp.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    )
    assert run_python(code).splitlines()[-1] == "[]"


def test_a_comparison_needs_neither_plotly_nor_pydantic() -> None:
    code = (
        "import importlib, sys, hyperinterp as hi\n"
        "import hyperinterp.comparison\nfrom hyperinterp.claims.registry import CLAIMS\n"
        "hi.load, hi.train, hi.compare, hi.Report\n"
        "for spec in CLAIMS:\n    spec.part('measurement', 'measure')\n"
        "print([m for m in ('plotly', 'pydantic', 'rich', 'beartype') if m in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_no_module_has_the_name_of_a_public_function() -> None:
    import hyperinterp

    modules = {path.stem for path in (ROOT / "hyperinterp").iterdir()}
    assert not modules & set(hyperinterp.__all__)


def test_annotations_are_checked_at_run_time() -> None:
    import torch
    from jaxtyping import TypeCheckError

    from hyperinterp.text import split_half
    from probes import Moments

    with pytest.raises(TypeCheckError):
        split_half("ten", seed=0)  # type: ignore[arg-type]
    with pytest.raises(TypeCheckError):
        Moments(3).rebase(torch.zeros(2, 2))


def test_exported_names_exist_and_are_documented() -> None:
    import hyperinterp
    import probes

    for package in (hyperinterp, probes):
        for name in package.__all__:
            item = getattr(package, name)
            assert name == "__version__" or not callable(item) or item.__doc__, name
