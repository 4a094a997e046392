import csv
import io

from hyperinterp import verdicts
from hyperinterp.analyses.results import Measured, Verdict
from hyperinterp.report import latex, markdown, numbers, passages, pictures, summary
from hyperinterp.report.schema import BLOCKS, Report
from hyperinterp.report.tables import tables
from hyperinterp.report.tables.table import Table


def test_numbers() -> None:
    shown = {0.358123: "0.358", -0.5: "−0.500", 12.345: "12.3", 1234567.0: "1.2e+06", 0.0: "0",
             0.00044: "0.00044", 134.2: "134", 9876.0: "9,876", 1e-7: "1.0e−07"}  # fmt: skip
    assert {value: numbers.number(value) for value in shown} == shown
    assert numbers.number(None) == "–"
    assert numbers.words(Measured(None, reason="why not")) == "– (why not)"
    assert numbers.seconds(71.2) == "1 min 11 s"


def test_every_claim_is_in_markdown_and_latex(complete: Report) -> None:
    md, tex = markdown.render(complete), latex.claims_table(complete)
    for claim in complete.claims.values():
        assert f"| {claim.id} " in md
        assert f"{claim.id} & {claim.verdict}" in tex
    assert tex.count(r"\\") == 1 + len(complete.claims)
    body = tex.partition(r"\begin{tabular}")[2]
    assert all(line.count(" & ") == 5 for line in body.splitlines() if line.startswith("C"))


def test_markdown_rows_have_equal_cells_and_no_live_html(complete: Report) -> None:
    md = markdown.render(complete)
    widths = {}
    for line in md.splitlines():
        if line.startswith("|"):
            cells = line.replace("\\|", "").count("|")
            widths.setdefault(cells, 0)
    assert set(widths) <= {5, 7}
    outside = "".join(part for i, part in enumerate(md.split("`")) if i % 2 == 0)
    assert "<script" not in outside.replace("\\<", "")
    assert "\u202e" not in md


def test_absent_blocks_give_their_reason(sparse: Report) -> None:
    md = markdown.render(sparse)
    for name in BLOCKS:
        if getattr(sparse, name) is None:
            assert f"- {name} (" in md
    assert "\\<s\\>geometry" in md


def test_tables_are_rectangular_and_read_back(complete: Report) -> None:
    found = tables(complete)
    assert len({item.name for item in found}) == len(found)
    for item in found:
        rows = list(csv.reader(io.StringIO(item.csv())))
        assert tuple(rows[0]) == item.columns
        assert len(rows) == len(item.rows) + 1
        assert {len(row) for row in rows} == {len(item.columns)}


def test_csv_disarms_formulas() -> None:
    made = Table("x", "x", ("a", "b"), (("=1+1", -2.5), ("@x", None))).csv()
    assert made == "a,b\n'=1+1,-2.5\n'@x,\n"


def test_tables_hold_every_measure_of_every_site(complete: Report) -> None:
    assert complete.geometry is not None
    table = next(item for item in tables(complete) if item.name == "geometry_measures")
    assert len(table.rows) == sum(len(site.metrics) for site in complete.geometry.sites)


def test_summary_says_what_the_verdicts_say(complete: Report, sparse: Report) -> None:
    text = " ".join(summary.sentences(complete))
    assert "They do not support that the last block's function alone" in text
    assert "leave open whether training only" in text
    assert "Growth and cause come apart" in text
    assert "hyperfitted" not in text
    nothing = " ".join(summary.sentences(sparse))
    assert "9 not tested" in nothing
    assert "support that" not in nothing


def test_summary_of_a_null_pair_does_not_claim_an_effect(complete: Report) -> None:
    flat = Measured(0.0, -0.01, 0.01, 24, "prompt")
    claim = verdicts.judge("C1", {"ttr": flat, "rep_4": flat})
    assert claim.verdict is Verdict.NOT_SUPPORTED
    report = Report(complete.schema_version, {"C1": claim}, complete.provenance)
    text = " ".join(summary.sentences(report))
    assert text.startswith("Of 1 claims: 1 not supported.")
    assert "The figures do not support that the fitted model's greedy text" in text


def test_pictures_say_their_figure_in_words(complete: Report) -> None:
    made = str(pictures.effect(complete.claims["C1"]))
    assert 'aria-label="0.358 [' in made
    assert "v-supported" in made
    below = str(pictures.effect(complete.claims["C8"]))
    assert "&lt; 0.05" in below
    assert str(pictures.effect(complete.claims["C9"])) == '<span class="none">–</span>'


def test_marks_follow_token_spans(complete: Report) -> None:
    assert complete.diversity is not None
    item = complete.diversity.prompts[0].fitted
    made = str(passages.marked(item))
    assert made.count("<mark") == 4  # repeated, copied, both, repeated
    assert 'class="rep cop"' in made
    assert "<script" not in made
    assert 0 < passages.share(item, "repeated") < 0.2
