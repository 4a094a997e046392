"""The page of inputs is what was run, every row that is named was, and none fails inside."""

import json

import pytest

from benchmarks.input_rows import GROUPS
from benchmarks.inputs import RESULTS, row
from benchmarks.pages import DOCS, block_of

FOUND = json.loads(RESULTS.read_text())["rows"]


def test_every_row_was_run_and_none_failed() -> None:
    assert {group: list(rows) for group, rows in FOUND.items()} == {
        group: list(rows) for group, rows in GROUPS.items()
    }
    assert not [
        (group, name)
        for group, rows in FOUND.items()
        for name, cells in rows.items()
        if "FAILED" in str(cells)
    ]


@pytest.mark.parametrize("group", GROUPS)
def test_the_page_says_what_was_found(group: str) -> None:
    lines = block_of(DOCS / "inputs.md", group).splitlines()[2:]
    for line, (name, cells) in zip(lines, FOUND[group].items(), strict=True):
        plain = line.replace("\\|", "|")
        assert name in plain
        assert cells["logits"] in plain
        assert cells["compare"] in plain


@pytest.mark.parametrize(
    ("group", "name"),
    [("checkpoints", "state dict without `--like`"), ("checkpoints", "another MLP width"),
     ("texts", "JSON object of columns"), ("objects", "in training mode")],
)  # fmt: skip
def test_a_row_is_what_the_page_keeps(group: str, name: str) -> None:
    assert row(GROUPS[group][name]) == FOUND[group][name]
