"""The help of commands: options in groups, examples that parse, every claim told; completion."""

import dataclasses
import re
from typing import Any

import pytest
from typer.main import get_command

from hyperinterp.claims import registry
from hyperinterp.cli.app import app
from hyperinterp.cli.arranging import BESIDE, EXAMPLES, GROUPS, arranged
from hyperinterp.cli.main import _run
from hyperinterp.cli.show import show_summary

MADE = {"config": {"lr": 2e-3, "blocks": [28, 29]}, "kind": "made\u202e"}


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    return arranged(get_command(app)).commands


def test_options_stand_in_groups(commands: dict[str, Any]) -> None:
    for name in ("compare", "train"):
        options = [item for item in commands[name].params if item.opts[0].startswith("-")]
        groups = {item.name: item.rich_help_panel for item in options if item.name != "help"}
        assert set(groups.values()) <= {*GROUPS, BESIDE}, name
    roles = {item.name for item in commands["compare"].params if item.rich_help_panel == BESIDE}
    assert roles == {role.keyword for role in registry.roles()}


def test_every_group_holds_options_that_exist(commands: dict[str, Any]) -> None:
    known = {item.name for command in commands.values() for item in command.params}
    assert all(known & set(names) for names in GROUPS.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_two_examples_that_parse(name: str, commands: dict[str, Any]) -> None:
    options = {option for item in commands[name].params for option in item.opts}
    assert len(EXAMPLES[name]) == 2
    for line in EXAMPLES[name]:
        assert line.startswith(f"hyperinterp {name}")
        assert f"Example: {line}" in commands[name].epilog
        assert set(re.findall(r"--[a-z-]+", line)) <= options


def test_the_claims_are_told_where_they_are_chosen(commands: dict[str, Any]) -> None:
    for spec in registry.every_claim():
        assert f"{spec.id} {spec.slug}: {spec.rule.statement}" in commands["compare"].epilog
    assert "Claims" not in commands["train"].epilog


def test_a_shell_completes_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_HYPERINTERP_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "hyperinterp comp")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        _run([])
    assert capsys.readouterr().out.split() == ["compare"]


def test_a_summary_is_in_human_units(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclasses.dataclass(frozen=True)
    class Summary:
        parameters: int = 134_515_008
        stored_bytes: int = 93_100_000
        tied: bool = True
        layers: int | None = None
        provenance: dict[str, Any] = dataclasses.field(default_factory=lambda: MADE)

    show_summary(Summary(), as_json=False)
    told = capsys.readouterr().out
    assert "134.5M (134,515,008)" in told
    assert "93.1 MB" in told
    assert "yes" in told
    assert "config: blocks: 28, 29" in told
    assert "{" not in told
    assert "layers" not in told
    assert "\u202e" not in told
