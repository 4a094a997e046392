"""The pages say what the code does: navigation, reference, thresholds, and blocks that run."""

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hyperinterp
import probes
from hyperinterp.claims.registry import CLAIMS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCE = re.compile(r"(?:<!-- ([a-z]+)(?:: (\w+))? -->\n)?```python\n(.*?)```", flags=re.DOTALL)
CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
PUBLIC = [(package, name) for package in (hyperinterp, probes) for name in package.__all__]
NAMES = [f"{package.__name__}.{name}" for package, name in PUBLIC]


def loaded(name):
    """A script of the pages as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made():
    """The module that fills the pages."""
    return loaded("generate")


def marked(page, wanted):
    """The python blocks of a page whose mark passes, joined: a page is one session."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return "\n".join(code for mark, value, code in found if wanted(mark, value))


def plain(mark, _value):
    return not mark


def needing(mark, _value):
    """Blocks without a mark, and those that need another library, which come after them."""
    return mark in ("", "needs")


def is_full(mark, _value):
    return mark == "full"


def execute(code, name, monkeypatch, folder):
    monkeypatch.chdir(folder)
    exec(compile(code, name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if marked(page, plain)],
    ids=lambda page: str(page.relative_to(DOCS)),
)
def test_python_blocks_run(page, monkeypatch, tmp_path):
    execute(marked(page, plain), str(page), monkeypatch, tmp_path)


@pytest.mark.full
@pytest.mark.real
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if marked(page, is_full)],
    ids=lambda page: str(page.relative_to(DOCS)),
)
def test_long_python_blocks_run(page, monkeypatch, tmp_path):
    execute(marked(page, is_full), str(page), monkeypatch, tmp_path)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if marked(page, needing) != marked(page, plain)],
    ids=lambda page: str(page.relative_to(DOCS)),
)
def test_python_blocks_that_need_another_library_run_in_a_process_of_their_own(page, tmp_path):
    """nnsight reads the file that it runs from, and gives every object of Python a new method."""
    script = tmp_path / "page.py"
    script.write_text(marked(page, needing), encoding="utf-8")
    asked = [sys.executable, str(script)]
    found = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert found.returncode == 0, found.stderr[-2000:]


def test_there_are_blocks_of_both_kinds():
    assert sum(bool(marked(page, plain)) for page in PAGES) >= 5
    assert sum(bool(marked(page, is_full)) for page in PAGES) >= 2


def test_every_page_of_the_navigation_exists_and_the_other_way_round():
    named = set(re.findall(r"^\s+- [^\n]*?([\w/-]+\.md)$", CONFIG, flags=re.MULTILINE))
    assert named == {str(page.relative_to(DOCS)) for page in PAGES}


def test_every_public_name_is_in_the_reference():
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    shown = set(re.findall(r"^::: ([\w.]+)$", text, flags=re.MULTILINE))
    missing = [name for name in NAMES if name not in shown]
    assert missing == ["hyperinterp.__version__"]
    assert "hyperinterp.__version__" in text


def lacking(item):
    """What the docstring of a public class or function leaves out."""
    told = inspect.getdoc(item) or ""
    if len(told.split()) < 3:
        return ["a docstring"]
    signature = inspect.signature(item)
    given = [name for name in signature.parameters if name not in ("self", "args", "kwargs")]
    found = []
    if inspect.isclass(item):
        unsaid = [name for name in given if not re.search(rf"\b{name}\b", told)]
        return [f"words on {name}" for name in unsaid]
    if len(given) > 1 or "Args:" in told:
        body = told.partition("Args:")[2]
        found += [f"Args: {name}" for name in given if f"{name}:" not in body]
    if "raise " in inspect.getsource(item) and "Raises:" not in told:
        found.append("Raises:")
    return found


@pytest.mark.parametrize(("package", "name"), PUBLIC, ids=NAMES)
def test_public_names_are_documented(package, name):
    item = getattr(package, name)
    if callable(item):
        assert lacking(item) == []
    elif name != "__version__":
        source = Path(str(sys.modules[package.__name__].__file__)).parent
        assert any(f"\n{name}" in p.read_text(encoding="utf-8") for p in source.rglob("*.py"))


def test_an_undocumented_name_is_found():
    def bare(x, y):
        raise ValueError(x)

    assert lacking(bare) == ["a docstring"]
    bare.__doc__ = "Says something of x alone."
    assert lacking(bare) == ["Args: x", "Args: y", "Raises:"]
    bare.__doc__ = (
        "Says all.\n\nArgs:\n    x: one.\n    y: two.\n\nRaises:\n    ValueError: always."
    )
    assert lacking(bare) == []


@pytest.mark.parametrize("spec", CLAIMS, ids=lambda spec: spec.id)
def test_claim_pages_take_their_thresholds_and_figures_from_the_code(made, spec):
    claim = spec.id
    page = (DOCS / "claims" / f"{claim.lower()}.md").read_text(encoding="utf-8")
    assert f"<!-- rule: {claim} -->" in page
    filled = made.filled(page)
    assert f"<!-- figures: {claim} -->" in page
    for item in spec.rule.criteria:
        side = "above" if item.above else "below"
        assert f"| {item.words} | {side} {item.threshold:g} |" in filled
    for part in ("idea", "formula", "Pitfalls", "How to read it"):
        assert re.search(rf"^## .*{part}", page, flags=re.MULTILINE), part


def test_every_mark_is_filled_and_an_unknown_one_is_an_error(made):
    for page in PAGES:
        assert not made.MARK.search(made.filled(page.read_text(encoding="utf-8")))
    with pytest.raises(KeyError):
        made.filled("<!-- nonsense -->")


def test_generated_tables_hold_every_option_and_every_field(made):
    cli = made.cli("")
    for option in ("--late-stage", "--target-loss", "--report-to", "`OUT`", "## hyperinterp demo"):
        assert option in cli
    schema = made.schema("")
    assert all(f"| `{spec.slug}` |" in schema for spec in CLAIMS)
    assert "### Verdict" in schema
    presets = made.presets("")
    assert "| `new_tokens` | tokens generated at most. | 64 | 96 | 96 |" in presets


def test_formulas_become_mathml_and_nothing_else_does(made):
    page = "a\n\n```math\n\\frac{a}{b}\n```\n\n```text\nx = y\n```\n"
    found = made.formulas(page)
    assert "<mfrac>" in found
    assert "```math" not in found
    assert "```text\nx = y\n```" in found
    formulas = [math for page in PAGES for math in made.FORMULA.findall(page.read_text("utf-8"))]
    assert len(formulas) > 8
    assert not any("\\" in made.formulas(f"```math\n{math}\n```") for math in formulas)


def test_pictures_are_what_their_command_draws():
    pictures = loaded("pictures")
    assert {path.name for path in pictures.HERE.iterdir()} == set(pictures.PICTURES)
    for name, draw in pictures.PICTURES.items():
        kept, drawn = (pictures.HERE / name).read_text(encoding="utf-8"), draw()
        words = re.compile(r"<text .*?</text>")
        assert words.findall(kept) == words.findall(drawn)
        assert kept.count("<") == drawn.count("<")
        assert "http" not in kept.replace("http://www.w3.org/2000/svg", "")
        assert any(f"pictures/{name}" in page.read_text(encoding="utf-8") for page in PAGES)
