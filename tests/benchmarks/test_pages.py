"""The pages say what the results say, and only the blocks between markers are rewritten."""

import json

import pytest

from benchmarks import dtypes, families, processes
from benchmarks.pages import DOCS, block_of, rewrite_block, table
from tests.hyperinterp.families import FAMILIES, NEWER, NEWER_REFUSED, REFUSED, VARIANTS

PAGE = DOCS / "models.md"


@pytest.mark.parametrize(
    ("name", "script"), [("families", families), ("dtypes", dtypes)], ids=["families", "dtypes"]
)
def test_the_page_shows_the_stored_results(name, script):
    wanted = "Not measured yet."
    if script.RESULTS.exists():
        wanted = script.page(json.loads(script.RESULTS.read_text(encoding="utf-8"))).strip()
    assert block_of(PAGE, name) == wanted


def test_the_page_of_processes_shows_the_stored_counts():
    found = json.loads(processes.RESULTS.read_text(encoding="utf-8"))["bytes"]
    assert block_of(processes.PAGE, "processes") == processes.page(found)
    rows = [found["rows"][size]["received"]["handed"] for size in ("2", "4", "8")]
    assert rows == sorted(rows, reverse=True)
    for way in ("rows", "sums"):
        taken = [found[way][size]["memory"] for size in ("1", "2", "4", "8")]
        assert taken == sorted(taken, reverse=True)
        assert [processes.memory(n, kept=way == "rows") for n in (1, 2, 4, 8)] == taken


def test_every_family_has_a_row_whose_cells_are_figures_or_refusals():
    found = json.loads(families.RESULTS.read_text(encoding="utf-8"))["families"]
    assert set(found) == {*FAMILIES, *VARIANTS, *NEWER, *REFUSED}
    assert {name for name, item in found.items() if "refused" in item} == {
        *REFUSED,
        *NEWER_REFUSED,
    }
    for name, item in found.items():
        if "refused" in item:
            assert "expected" in item["refused"]
            continue
        assert set(item["cells"]) == set(
            families.SHORTER if name in NEWER else families.CAPABILITIES
        )
        for capability, cell in item["cells"].items():
            if isinstance(cell, str):
                assert cell.startswith("refused: "), (name, capability)
            else:
                assert 0 <= cell < 1e-4, (name, capability)


def test_only_the_block_is_rewritten(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("top\n<!-- a: begin -->\nold\n<!-- a: end -->\nbottom\n", encoding="utf-8")
    rewrite_block(page, "a", table(["x"], [["1 | 2"]]))
    assert block_of(page, "a") == "| x |\n| --- |\n| 1 \\| 2 |"
    text = page.read_text(encoding="utf-8")
    assert text.startswith("top\n")
    assert text.endswith("\nbottom\n")
    with pytest.raises(ValueError, match="one block 'b'"):
        rewrite_block(page, "b", "x")


def test_a_move_is_held_against_the_interval():
    def run(value, verdict):
        condition = {"words": "w", "threshold": 0, "value": value, "lo": 0.0, "hi": 2.0,
                     "outcome": verdict}  # fmt: skip
        return {"claims": {"C1": {"verdict": verdict, "conditions": [condition]}}}

    (item,) = dtypes.moves({"float32": run(1.0, "supported"), "bfloat16": run(1.5, "inconclusive")})
    assert (item["move"], item["widths"]) == (0.5, 0.5)
    assert not item["same_outcome"]
    assert item["verdicts"] == ["supported", "inconclusive"]
