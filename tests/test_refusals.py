"""Every refusal names a way out: read from the source, and the main ones done for real."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyperinterp import errors
from hyperinterp.checkpoints.files import publish_directory, write_bytes
from hyperinterp.checkpoints.manifest import MANIFEST_NAME
from hyperinterp.frequencies import read_frequencies
from hyperinterp.text import read_passages
from hyperinterp.training.folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent
ERRORS = {
    name
    for name, item in vars(errors).items()
    if isinstance(item, type) and issubclass(item, errors.HyperinterpError)
}
VERBS = (
    "add|allow|ask|begin|call|check|choose|compare|convert|copy|correct|cut|de-quantise|"
    "delete|divide|do|download|drop|export|fetch|fit|free|give|go|install|keep|leave|load|lower|"
    "make|merge|move|name|open|pass|pick|put|quote|raise|read|rebuild|reinstall|remove|"
    "rename|repair|repeat|report|run|save|set|shorten|split|start|stop|train|try|turn|unset|"
    "update|use|wait|write"
)
CLAUSE = re.compile(rf"(?:; |\(|, |: | or | and )(?:first |then )?(?:{VERBS})\b")
OPTION = re.compile(r"--[a-z]|pip install|\b[A-Z]+_[A-Z]+\b|TMPDIR")
VALUE = re.compile(r"expected (?:one of|a whole number|a number|at least \d|at least \{)")
HINT = re.compile(
    r"\{[^}]*(?:hint|advice|how_to|remedy|REMEDY|way_out|AGAIN|OURS|OTHER)[^}]*\}|\{_?[A-Z_]*(?:LESS|INSTALL|OFFLINE)[A-Z_]*\}"
)

UNFINISHED: set[str] = set()
"""Modules some of whose refusals still lack a way out; the list only shrinks."""


def text_of(node: ast.AST) -> str:
    """A message as it stands in the source; what is filled in stands in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    inner = node.value if isinstance(node, ast.FormattedValue) else node
    return "{" + ast.unparse(inner).replace("{", "").replace("}", "") + "}"


def messages(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, kind and message of every refusal in a module; a function that words one gives all."""
    tree = ast.parse(source)
    functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in ERRORS:
            continue
        given = node.args[0]
        worded = functions.get(getattr(getattr(given, "func", None), "id", ""))
        if worded is None:
            yield node.lineno, name, text_of(given)
        else:
            for item in ast.walk(worded):
                if isinstance(item, ast.Return) and item.value is not None:
                    yield item.lineno, name, text_of(item.value)


def names_a_way_out(message: str, kind: str = "InputRefused") -> bool:
    """Whether a message says what to do next.

    That is an imperative at the beginning of a clause ("; name another --out"), an option, a
    variable or a package to install, or the values that are taken. A message without a semicolon
    gets the way out of its kind, where the kind has one.
    """
    if getattr(errors, kind).way_out and "; " not in message:
        return True
    return any(rule.search(message) for rule in (CLAUSE, OPTION, VALUE, HINT))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{out}: already exists; name another --out, or pass --force", True),
        ("{path}: the weights are quantised; de-quantise them first", True),
        ("dtype: expected one of {known}, found {dtype}", True),
        ("{path}: no space to unpack it; set TMPDIR", True),
        ("{path}: memory ran out{hint}", True),
        ("{path}: expected a GGUF file, found another beginning", False),
        ("{path}: truncated; nothing was written", False),
        ("{name}: expected a tokenizer, found none", False),
    ],
)
def test_a_way_out_is_an_imperative_an_option_or_the_values_taken(
    message: str, expected: bool
) -> None:
    assert names_a_way_out(message) is expected


@pytest.mark.parametrize("kind", sorted(ERRORS))
def test_a_kind_names_its_way_out_once(kind: str) -> None:
    error = getattr(errors, kind)
    assert not error.way_out or names_a_way_out(f"x; {error.way_out}")
    told = str(error("a.gguf: truncated"))
    assert told == "a.gguf: truncated" + (f"; {error.way_out}" if error.way_out else "")
    assert str(error(told)) == told
    assert str(error("a.gguf: truncated; fetch it anew")) == "a.gguf: truncated; fetch it anew"


def without_a_way_out() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "hyperinterp").rglob("*.py")):
        if path.name == "pickleshape.py":  # `following` there adds file and way out to every one
            continue
        for line, kind, message in messages(path.read_text(encoding="utf-8")):
            if not names_a_way_out(message, kind):
                module = str(path.relative_to(ROOT / "hyperinterp"))
                found.setdefault(module, []).append(f"{line}: {message}")
    return found


def test_every_refusal_names_a_way_out() -> None:
    found = without_a_way_out()
    assert {name: told for name, told in found.items() if name not in UNFINISHED} == {}
    assert sorted(UNFINISHED - set(found)) == [], "these need no entry any more"


def test_the_way_out_of_a_taken_path_works(tmp_path: Path) -> None:
    target = tmp_path / "out"

    def write(out: Path, *, force: bool = False) -> Path:
        return publish_directory(
            out, lambda path: write_bytes(path / MANIFEST_NAME, b"{}"), force=force
        )

    write(target)
    told = _told(lambda: write(target))
    assert told.endswith("already exists; name another --out, or pass --force")
    write(tmp_path / "another")
    write(target, force=True)


def test_the_way_out_of_a_frequency_table_works(tmp_path: Path) -> None:
    twice = tmp_path / "twice.csv"
    twice.write_text("token_id,count\n3,1\n3,2\n")
    assert _told(lambda: read_frequencies(twice)).endswith("add up its counts")
    twice.write_text("token_id,count\n3,3\n")
    assert read_frequencies(twice).counts == {3: 3}
    headless = tmp_path / "headless.csv"
    headless.write_text("3,1\n")
    assert _told(lambda: read_frequencies(headless)).endswith("name them in the first line")
    headless.write_text("token_id,count\n3,1\n")
    assert read_frequencies(headless).counts == {3: 1}
    odd = tmp_path / "odd.json"
    odd.write_text('"3"')
    assert _told(lambda: read_frequencies(odd)).endswith("write [count, ...] or {token id: count}")
    for written in ("[0, 1]", '{"1": 1}'):
        odd.write_text(written)
        assert read_frequencies(odd).of_size(2) == [0, 1]


def test_the_way_out_of_an_unfinished_run_works(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = RunFolder(out, force=False, resume=False)
    first.begin({"lr": 1})
    told = _told(lambda: RunFolder(out, force=False, resume=False).check())
    assert "found process" in told
    assert told.endswith("wait for it, or name another --out")
    first.release()
    told = _told(lambda: RunFolder(out, force=False, resume=False).check())
    assert told.endswith("--resume continues it, --force discards it")
    again = RunFolder(out, force=False, resume=True)
    again.check()
    again.begin({"lr": 1})
    again.release()
    other = RunFolder(out, force=False, resume=True)
    told = _told(lambda: other.begin({"lr": 2}))
    assert told.endswith("start anew with --force, or name another --out")
    anew = RunFolder(out, force=True, resume=False)
    anew.check()
    anew.begin({"lr": 2})
    anew.release()


def test_the_way_out_of_odd_passages_works(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "some words"}\n')
    told = _told(lambda: read_passages(rows))
    assert "--column prompt" in told
    assert read_passages(rows, column="prompt").items[0].text == "some words"
    latin = tmp_path / "latin.txt"
    latin.write_bytes("über allem".encode("latin-1"))
    assert "UTF-8" in _told(lambda: read_passages(latin))
    latin.write_text("über allem", encoding="utf-8")
    assert len(read_passages(latin)) == 1


def _told(call: Callable[[], object]) -> str:
    with pytest.raises(errors.InputRefused) as refused:
        call()
    return str(refused.value)
