"""The house rules that a reader relies on: who may import whom, and what stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def imports(path: Path, module: str) -> list[str]:
    """Every absolute module that a file imports, also inside functions."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
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


def run_python(code: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return found.stdout.strip()


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
        "import hyperinterp.compare\nfrom hyperinterp.claims.registry import CLAIMS\n"
        "hi.load, hi.train, hi.compare, hi.Report\n"
        "for spec in CLAIMS:\n    spec.part('measurement', 'measure')\n"
        "print([m for m in ('plotly', 'pydantic', 'rich', 'beartype') if m in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_a_function_is_not_hidden_by_the_module_of_its_name() -> None:
    code = (
        "from hyperinterp.compare import sizes_of; import hyperinterp.compare\n"
        "import hyperinterp as hi; from hyperinterp import compare\n"
        "print(callable(hi.compare), compare is hi.compare, callable(sizes_of))"
    )
    assert run_python(code) == "True True True"


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
