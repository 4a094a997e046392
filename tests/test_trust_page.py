"""The page on trust says what was measured, and what was measured kept its promise."""

import copy
import json

import pytest

from benchmarks import trust

PAGE = trust.PAGE.read_text(encoding="utf-8")
DOCUMENT = json.loads(trust.RESULTS.read_text(encoding="utf-8"))


def block(page: str) -> str:
    return page.split(trust.BEGIN)[1].split(trust.END)[0].strip()


def test_page_and_figures_agree():
    assert block(PAGE) == trust.table(DOCUMENT)


def test_control_another_figure_is_seen():
    other = copy.deepcopy(DOCUMENT)
    other["rows"][0]["figures"]["refused"] = -1
    assert block(PAGE) != trust.table(other)


def test_full_counts_and_every_promise_kept():
    assert DOCUMENT["fast"] is False
    assert {row["row"] for row in DOCUMENT["rows"]} <= set(trust.ROWS)
    assert [row["row"] for row in DOCUMENT["rows"] if row["kept"] is False] == []
    for row in DOCUMENT["rows"]:
        assert row["kept"] is not None or row["figures"]["reason"]


def test_rewriting_touches_only_the_block(tmp_path):
    page = tmp_path / "trust.md"
    page.write_text(f"before\n{trust.BEGIN}\nold\n{trust.END}\nafter\n")
    trust.rewrite_page(DOCUMENT, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert block(text) == trust.table(DOCUMENT)


def test_fast_counts_are_never_committed():
    with pytest.raises(SystemExit):
        trust.parsed(["--fast"])
