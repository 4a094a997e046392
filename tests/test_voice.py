"""Docstrings of one voice: they say what a thing is or does, and do not open as questions."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for name in ("hyperinterp", "probes") for path in (ROOT / name).rglob("*.py"))
QUESTIONS = ("What", "How", "Whether", "Where", "Who", "Which", "Why", "When")
HOLDERS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def questions(source: str) -> list[str]:
    """First lines of docstrings that begin like a question."""
    found = [
        ast.get_docstring(node) for node in ast.walk(ast.parse(source)) if isinstance(node, HOLDERS)
    ]
    firsts = [text.splitlines()[0] for text in found if text]
    return [line for line in firsts if line.split()[0] in QUESTIONS]


def test_no_docstring_opens_like_a_question():
    said = {
        path.relative_to(ROOT).as_posix(): lines
        for path in MODULES
        if (lines := questions(path.read_text(encoding="utf-8")))
    }
    assert not said


@pytest.mark.parametrize("word", QUESTIONS)
def test_a_planted_question_is_found(word):
    assert questions(f'def f():\n    """{word} it is."""\n') == [f"{word} it is."]
    assert not questions('class A:\n    """Return what it is."""\n')
