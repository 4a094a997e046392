"""The README's Python runs as it stands, and every command that it names exists."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hyperinterp import sizes

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.real
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_blocks_run(number, tmp_path, monkeypatch):
    less = replace(sizes.PRESETS["quick"], prompts=8, context_tokens=24, contexts_per_prompt=4)
    monkeypatch.setitem(sizes.PRESETS, "quick", less)
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], f"README block {number}", "exec"), {"__name__": "__main__"})


def test_there_are_blocks_to_run():
    assert len(BLOCKS) >= 2


def test_commands_and_options_exist():
    from typer.main import get_command

    from hyperinterp.cli.app import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    used = re.findall(r"hyperinterp ([a-z]+(?:-[a-z]+)*)\b([^|`\n]*)", TEXT)
    named = {name for name, _ in used if name in commands}
    assert named == set(commands)
    for name, rest in used:
        if name in commands:
            known = {option for item in commands[name].params for option in item.opts}
            assert set(re.findall(r"--[a-z-]+", rest)) <= known, (name, rest)


def test_pictures_and_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
