"""Blind pairs for human judges: what the sheet hides, and what answers come to."""

import csv
import io
import json
from collections import Counter
from dataclasses import replace

import pytest

import hyperinterp as hi
from hyperinterp.drawing.escape import cell
from hyperinterp.errors import CorruptFile, InputRefused
from hyperinterp.report.judging.sheet import blind, contents
from probes import jackknife

from .factory import complete


@pytest.fixture(scope="module")
def report():
    return complete()


@pytest.fixture
def folder(report, tmp_path):
    hi.judge_sheet(report, tmp_path / "judges", seed=3)
    return tmp_path / "judges"


def key_of(folder):
    return json.loads((folder / "key.json").read_text(encoding="utf-8"))


def answered(folder, name, choose):
    """A judge's file: `choose(pair of the key)` is what stands in the column."""
    key = key_of(folder)
    path = folder.parent / name
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["sheet", "pair", "preferred"])
        writer.writerows([key["sheet"], item["pair"], choose(item)] for item in key["pairs"])
    return path


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def side_of(item, role):
    return "A" if item["A"] == role else "B"


def test_the_page_and_the_table_do_not_say_who_wrote_what(report, folder):
    sheet = blind(report, 3)
    turned = tuple(replace(item, roles=item.roles[::-1]) for item in sheet.pairs)
    others = contents(replace(sheet, pairs=turned, base="x", fitted="y"))
    for name in ("sheet.html", "sheet.csv"):
        assert (folder / name).read_bytes() == contents(sheet)[name] == others[name]
    assert contents(sheet)["key.json"] != others["key.json"]
    rows = rows_of(folder / "sheet.csv")
    texts = {item.prompt_id: item for item in report.diversity.prompts}
    for row, item in zip(rows, key_of(folder)["pairs"], strict=True):
        known = texts[item["prompt_id"]]
        wrote = {"base": known.base.text, "fitted": known.fitted.text}
        assert (row["A"], row["B"]) == (cell(wrote[item["A"]]), cell(wrote[item["B"]]))
        assert row["preferred"] == ""


def test_each_model_stands_first_in_half_of_the_pairs(report):
    firsts = Counter()
    for seed in range(6):
        sheet = blind(report, seed)
        counts = Counter(item.roles[0] for item in sheet.pairs)
        assert abs(counts["base"] - counts["fitted"]) <= 1
        firsts[tuple(item.roles[0] for item in sheet.pairs)] += 1
        assert blind(report, seed) == sheet
    assert len(firsts) > 1
    assert len({blind(report, seed).id for seed in range(6)}) == 6


def test_a_judge_who_always_takes_the_fitted_text_prefers_it(folder):
    found = hi.judge_read(folder, answered(folder, "a.csv", lambda it: side_of(it, "fitted")))
    assert (found.preference.value, found.unanswered, found.judges) == (1.0, 0, 1)
    found = hi.judge_read(folder, answered(folder, "b.csv", lambda it: side_of(it, "base").lower()))
    assert found.preference.value == 0.0
    found = hi.judge_read(folder, answered(folder, "c.csv", lambda _: "A"))
    assert found.first.value == 1.0
    assert found.preference.value == pytest.approx(0.5, abs=0.5 / len(found.pairs))


def test_the_interval_is_over_pairs_however_many_judges(folder):
    judges = [
        answered(folder, "a.csv", lambda it: side_of(it, "fitted")),
        answered(folder, "b.csv", lambda it: "same" if it["pair"] % 2 else side_of(it, "base")),
        answered(folder, "c.csv", lambda it: "" if it["pair"] == 1 else side_of(it, "fitted")),
    ]
    found = hi.judge_read(folder, *judges)
    by_pair = [
        [1, 0.5, 1][: 2 if item.number == 1 else 3] if item.number % 2 else [1, 0, 1]
        for item in found.pairs
    ]
    means = [sum(each) / len(each) for each in by_pair]
    total = sum(means)
    left = [(total - mean) / (len(means) - 1) for mean in means]
    expected = jackknife(total / len(means), left)
    assert found.preference.value == pytest.approx(expected.value)
    assert (found.preference.lo, found.preference.hi) == pytest.approx((expected.lo, expected.hi))
    assert (found.preference.n, found.preference.unit) == (len(means), "pair")
    assert found.to_frame()["fitted"].sum() == sum(item.fitted for item in found.pairs)


def test_a_spreadsheet_with_semicolons_and_all_columns_is_read(folder):
    rows = rows_of(folder / "sheet.csv")
    path = folder.parent / "edited.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(row | {"preferred": " b "} for row in rows)
    assert hi.judge_read(folder, path).first.value == 0.0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "expected the columns sheet, pair, preferred"),
        ("a,b\n1,2\n", "found no sheet"),
        ("sheet,pair,preferred\nother,1,A\n", "expected answers to the sheet"),
        ("sheet,pair,preferred\n{id},99,A\n", "expected a pair of 1 to"),
        ("sheet,pair,preferred\n{id},x,A\n", "expected a pair of 1 to"),
        ("sheet,pair,preferred\n{id},1,C\n", "expected A, B, same or nothing"),
        ("sheet,pair,preferred\n{id},1,A\n{id},1,B\n", "expected one answer to each pair"),
        ("sheet,pair,preferred\n{id},1,\n", "expected at least one preference"),
        ("sheet,pair,preferred\n{id}\n", "expected a pair of 1 to"),
    ],
)
def test_answers_that_cannot_be_meant_are_refused(folder, content, told):
    path = folder.parent / "answers.csv"
    path.write_text(content.replace("{id}", key_of(folder)["sheet"]), encoding="utf-8")
    with pytest.raises(InputRefused, match=told):
        hi.judge_read(folder, path)


def test_files_that_are_no_answers_are_refused(folder, tmp_path):
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(CorruptFile, match="UTF-8"):
        hi.judge_read(folder, tmp_path / "bytes.csv")
    with pytest.raises(InputRefused, match="check the path"):
        hi.judge_read(folder, tmp_path / "nowhere.csv")
    with pytest.raises(InputRefused, match="at least one CSV file"):
        hi.judge_read(folder)
    (folder / "key.json").write_text("[]", encoding="utf-8")
    with pytest.raises(CorruptFile, match="key of a judge sheet"):
        hi.judge_read(folder, tmp_path / "bytes.csv")


def test_a_report_without_texts_and_a_taken_place_are_refused(report, folder, tmp_path):
    with pytest.raises(InputRefused, match="already exists"):
        hi.judge_sheet(report, folder)
    hi.judge_sheet(report, folder, force=True)
    with pytest.raises(InputRefused, match="compare with --claims C1"):
        hi.judge_sheet(replace(report, results={}), tmp_path / "none")
    with pytest.raises(InputRefused, match="seed"):
        hi.judge_sheet(report, tmp_path / "none", seed=-1)
    assert not (tmp_path / "none").exists()
