import csv
import io
from dataclasses import replace

import pytest

from hyperinterp.claims.diversity.texts import texts
from hyperinterp.claims.registry import CLAIMS, by_id
from hyperinterp.claims.running import NOT_ASKED
from hyperinterp.claims.spec import Claim, Measured, Verdict, missing
from hyperinterp.claims.verdict import judge, not_tested
from hyperinterp.cli.show import show_claims
from hyperinterp.drawing import numbers, rendering
from hyperinterp.drawing.rendering import csv_text
from hyperinterp.drawing.table import table
from hyperinterp.report import (
    beside,
    claims,
    html,
    latex,
    markdown,
    passages,
    pictures,
    provenance,
    summary,
)
from hyperinterp.report.schema import Report
from hyperinterp.report.writing import tables

SPECS = {spec.id: spec for spec in CLAIMS}
NAMES = (*(spec.slug for spec in CLAIMS), "training_curve")


def test_numbers() -> None:
    shown = {0.358123: "0.358", -0.5: "−0.500", 12.345: "12.3", 1234567.0: "1.2e+06", 0.0: "0",
             0.00044: "0.00044", 134.2: "134", 9876.0: "9,876", 1e-7: "1.0e−07",
             0.00512: "0.0051", 0.9999999: "1.00", 1.0: "1.00", 0.9994: "0.999", 9.996: "10.0",
             999.7: "1,000", 0.0125: "0.013"}  # fmt: skip
    assert {value: numbers.number(value) for value in shown} == shown
    assert [numbers.rank(value) for value in (3.0, 2.5, 41000.0)] == ["3", "2.5", "41,000"]
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
    assert all(line.count(" & ") == 6 for line in body.splitlines() if line.startswith("C"))
    assert "held-out prompts, $n$ are behind an effect" in tex


def test_markdown_rows_have_equal_cells_and_no_live_html(complete: Report) -> None:
    md = markdown.render(complete)
    widths = {}
    for line in md.splitlines():
        if line.startswith("|"):
            cells = line.replace("\\|", "").count("|")
            widths.setdefault(cells, 0)
    assert set(widths) <= {3, 4, 5, 6, 7, 8, 9, 10, 11}
    outside = "".join(part for i, part in enumerate(md.split("`")) if i % 2 == 0)
    assert "<script" not in outside.replace("\\<", "")
    assert "\u202e" not in md


def test_absent_blocks_give_their_reason(sparse: Report) -> None:
    md = markdown.render(sparse)
    for spec in CLAIMS:
        if getattr(sparse, spec.slug) is None:
            assert f"- {spec.title} ({spec.id}): " in md
    assert "- Training (no claim): " in md
    assert "\\<s\\>expansion" in md


def test_tables_are_rectangular_and_read_back(complete: Report) -> None:
    found = list(tables(complete))
    assert len({name for name, _ in found}) == len(found)
    for _, item in found:
        rows = list(csv.reader(io.StringIO(csv_text(item))))
        assert set(rows[0]) == {key for record in item.records() for key in record}
        assert len(rows) == len(item.rows) + 1
        assert {len(row) for row in rows} == {len(rows[0])}


def test_csv_disarms_formulas() -> None:
    made = csv_text(table("x", "x", [{"a": "=1+1", "b": -2.5}, {"a": "@x"}]))
    assert made == "a,b\n'=1+1,-2.5\n'@x,\n"


def test_a_measured_value_is_one_cell_to_read_and_columns_to_compute_with() -> None:
    rows = [{"m": Measured(0.5, 0.25, 0.75, 9)}, {"m": missing("none there")}]
    made = table("x", "X", rows, {"m": "measured"})
    assert made.records() == [
        {"m": 0.5, "m_lo": 0.25, "m_hi": 0.75},
        {"m": None, "m_lo": None, "m_hi": None, "m_missing": "none there"},
    ]
    (sheet,) = made.sheets()
    assert sheet.columns == ("measured",)
    assert sheet.reasons == ("none there",)
    assert "0.500 \\[0.250, 0.750\\]" in "".join(rendering.markdown(sheet))
    assert "$0.500\\ [0.250,\\ 0.750]$" in rendering.latex(sheet).replace(" [", "\\ [")
    assert "0.500" in rendering.html_folded(sheet)
    assert rendering.frame(made)["m_hi"][0] == 0.75


def test_rows_beyond_those_open_are_folded() -> None:
    made = table("x", "Tokens", [{"a": n} for n in range(5)], {"a": "a"}, open_rows=3)
    first, rest = made.sheets()
    assert (len(first.rows), len(rest.rows), rest.shut) == (3, 2, True)
    assert rest.title == "Further tokens"
    assert table("x", "Only a file", [{"a": 1}]).sheets() == ()


def test_a_table_without_rows_says_why() -> None:
    made = table("x", "Ways <out>", [], {"a": "a"}, note="Read me.", missing="no text *loops*.")
    (sheet,) = made.sheets()
    assert rendering.absent(sheet.missing) == "Not in this report: no text *loops*."
    told = "Ways \\<out\\>: Not in this report: no text \\*loops\\*."
    assert rendering.markdown(sheet) == [told, ""]
    shown = rendering.html_folded(sheet)
    assert "Ways &lt;out&gt;" in shown
    assert "Not in this report: no text *loops*." in shown
    assert table("x", "X", [{"a": 1}], {"a": "a"}, missing="none").sheets()[0].missing == ""
    assert table("x", "X", [], {"a": "a"}).sheets() == ()


def test_tables_hold_curves_and_spectra(complete: Report) -> None:
    found = dict(tables(complete))
    sites, lens = complete.expansion.sites, complete.reranking.lens
    assert len(found["expansion_spectra"].rows) == sum(len(s.spectrum["base"]) for s in sites)
    assert len(found["expansion_angles"].rows) == sum(len(site.angles) for site in sites)
    followed = len(lens.trajectories) * len(lens.depths)
    assert len(found["reranking_trajectories"].rows) == followed
    loss = complete.static_bias.bias_loss
    assert [row[1] for row in found["static_bias_loss"].rows] == list(loss)


def test_markdown_has_a_table_for_every_block(complete: Report) -> None:
    md = markdown.render(complete)
    for claim in complete.claims:
        assert md.count(f"({claim})\n") == 1, claim
    assert "repeated 4-grams" in md
    assert "rep\\_4" not in md


def test_tables_hold_every_measure_of_every_site(complete: Report) -> None:
    assert complete.expansion is not None
    found = dict(tables(complete))["expansion_measures"]
    assert len(found.rows) == sum(len(site.metrics) for site in complete.expansion.sites)


def test_summary_says_what_the_verdicts_say(complete: Report, sparse: Report) -> None:
    text = " ".join(summary.sentences(complete))
    assert "Not supported: the last block's function alone causes the change (C6)" in text
    assert "the new dimensions carry the change (C12)." in text
    assert "Left open: training only the last blocks gives the same diversity (C7)." in text
    assert any("Growth and cause come apart" in note for note in summary.notes(complete))
    assert summary.notes(complete)[:2] == list(complete.provenance.warnings)
    assert f"{len(CLAIMS)} not tested" in summary.headline(sparse)
    assert "Supported" not in " ".join(summary.sentences(sparse))


def test_summary_of_a_null_pair_does_not_claim_an_effect(complete: Report) -> None:
    flat = Measured(0.0, -0.01, 0.01, 24, "prompt")
    claim = judge(SPECS["C1"], {"ttr": flat, "rep_4": flat})
    assert claim.verdict is Verdict.NOT_SUPPORTED
    report = Report(complete.schema_version, {"C1": claim}, complete.provenance)
    assert summary.headline(report) == "Of 1 claim: 1 not supported."
    assert summary.sentences(report)[0].startswith("Not supported: the fitted model's greedy text")
    assert any("nothing to explain" in note for note in summary.notes(report))


def open_claim() -> Claim:
    """C2 as on a small sample: its effect holds, its second condition is undecided."""
    effect = Measured(0.868, 0.843, 0.892, 24, "prompt", "jackknife")
    gain = Measured(0.0855, -0.0269, 0.198, 8, "prompt", "jackknife")
    return judge(SPECS["C2"], {"remaining": effect, "diversity": gain})


def test_the_deciding_condition_is_named_everywhere(
    complete: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = open_claim()
    assert claim.verdict is Verdict.INCONCLUSIVE
    told = claims.decided(claim).replace("\u00a0", " ")
    assert told == (
        "undecided: diversity gain over the base at equal entropy 0.086 [−0.027, 0.198], "
        "has to be above 0, n = 8"
    )
    report = replace(complete, claims={"C2": claim})
    show_claims(report)
    for text in (
        capsys.readouterr().out, html.render(report), markdown.render(report),
        latex.claims_table(report).replace("$-$", "−").replace("~", " "),
    ):  # fmt: skip
        plain = " ".join(text.replace("\u00a0", " ").replace("\\", "").split())
        assert "undecided: diversity gain over the base at equal entropy 0.086" in plain
        assert "n = 8" in plain


def test_a_verdict_colours_its_effect(complete: Report) -> None:
    assert "v-inconclusive" in str(pictures.effect(open_claim()))
    assert "v-supported" not in str(pictures.effect(open_claim()))


def test_a_claim_that_only_holm_left_open_says_so() -> None:
    figure = Measured(0.12, 0.051, 0.19, 24, "prompt", "jackknife")
    alone = judge(SPECS["C9"], {"gap": figure})
    assert alone.verdict is Verdict.SUPPORTED
    claim = replace(alone, verdict=Verdict.INCONCLUSIVE, p_adjusted=0.21)
    assert claims.decided(claim).endswith("together (Holm) p = 0.21")


def test_conditions_are_readable_alone(complete: Report) -> None:
    claim = complete.claims["C6"]
    assert claims.sentence(claim.conditions[2]).startswith("margin over random changes")
    assert claims.decided(claim).startswith("fails: change recovered by the last block alone 0.069")


def test_an_untested_claim_keeps_its_side(complete: Report) -> None:
    report = replace(complete, claims={"C8": not_tested(SPECS["C8"])})
    assert "$<0.05$" in latex.claims_table(report)
    assert "| below 0.05 |" in markdown.render(report)


def test_nulls_are_figures_of_the_report(complete: Report) -> None:
    for claim in complete.claims.values():
        found = beside.beaten(complete, claim)
        assert bool(found) is (claim.verdict is not Verdict.NOT_TESTED), claim.id
        assert all(item.measured.value is not None for item in found)
    assert complete.diversity is not None
    assert complete.last_block is not None
    first = beside.beaten(complete, complete.claims["C1"])[0]
    assert first.measured == complete.diversity.scores["ttr"].base
    assert first.condition is None
    moved = {item.words: item for item in beside.beaten(complete, complete.claims["C6"])}
    band = next(item for item in complete.last_block.nulls if item.layer == 29)
    drawn = moved["by random changes of the same norm, largest of 5"]
    assert drawn.measured.value == band.recovered_kl[2]
    made = str(pictures.effect(complete.claims["C6"], list(moved.values())))
    assert made.count('class="null"') == 2
    assert "recovered by another block at most" in made
    assert "type-token ratio of the base: " in markdown.render(complete)


def test_frozen_early_blocks_are_said_beside_c5(complete: Report) -> None:
    assert complete.expansion is not None
    claim = complete.claims["C5"]
    assert claim.verdict is Verdict.SUPPORTED
    assert beside.caveat(complete, claim) == ""
    sites = tuple(
        replace(site, drift=0.0) if site.kind == "resid" and (site.layer or 0) < 25 else site
        for site in complete.expansion.sites
    )
    grown = {"expansion": replace(complete.expansion, sites=sites)}
    report = replace(complete, results={**complete.results, **grown})
    told = beside.caveat(report, claim)
    assert told.startswith("The first 25 of 30 blocks have equal outputs")
    assert all(told in text for text in (html.render(report), markdown.render(report)))
    assert beside.caveat(report, complete.claims["C6"]) == ""


def only_c5(complete: Report) -> Report:
    """The report of `--claims C5`."""
    reason = f"{NOT_ASKED} (--claims); needs two checkpoints."
    found = {
        name: claim if name == "C5" else not_tested(SPECS[name], reason)
        for name, claim in complete.claims.items()
    }
    kept = {"expansion": complete.expansion}
    empty = [spec.slug for spec in CLAIMS if spec.slug not in kept]
    return replace(complete, claims=found, absent=dict.fromkeys(empty, reason), results=kept)


def test_claims_not_asked_for_take_one_line(
    complete: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    report = only_c5(complete)
    show_claims(report)
    line = ", ".join(spec.id for spec in by_id(CLAIMS) if spec.id != "C5")
    for text in (
        capsys.readouterr().out, html.render(report), markdown.render(report),
        latex.claims_table(report), report._repr_html_(),
    ):  # fmt: skip
        assert text.count(line) == 1 or f"Not asked for: {line}." in text
        assert "needs two checkpoints" not in text
    assert 'id="claim-C1"' not in html.render(report)
    assert 'id="temperature"' not in html.render(report)
    assert "Not in this report" not in markdown.render(report)
    assert report.to_json().count("not asked for") >= 8
    assert summary.headline(report) == "Of 1 claim: 1 supported."


def test_wall_time_is_counted_once(complete: Report) -> None:
    seconds = {"geometry": 60.0, "ranks": 30.0, "total": 93.0}
    parts, total = provenance.cost(seconds)
    assert parts == {"geometry": 60.0, "ranks": 30.0, "everything else": 3.0}
    assert total == 93.0
    assert provenance.cost({"ranks": 2.0}) == ({"ranks": 2.0}, 2.0)
    facts = replace(complete.provenance, wall_seconds=seconds)
    report = replace(complete, provenance=facts)
    assert "; 1 min 33 s in all;" in markdown.render(report)
    assert html.render(report).count("1 min 33 s") == 1


def test_settings_are_words() -> None:
    trained = {"config": {"rank": 5, "lr": None, "save_at": []}, "data": {"cut": [1, 2]},
               "kind": "x", "odd": {"a": {"b": {"c": {"d": 1}}}}}  # fmt: skip
    assert dict(provenance.flat(trained)) == {
        "config: rank": "5", "data: cut": "1, 2", "kind": "x", "odd: a: b: c": "{'d': 1}",
    }  # fmt: skip
    assert [provenance.plain(value) for value in ([], True, ["standardised"], 4096, 0.1)] == [
        "none", "yes", "standardised", "4,096", "0.1",
    ]  # fmt: skip
    assert provenance.recipe({"method": "full"}) == ""
    recorded = {"kind": "hyperfitted", "config": {"method": "late-stage"}, "epoch": 3,
                "trained_blocks": [25, 26, 27]}  # fmt: skip
    assert provenance.recipe(recorded) == "method late-stage, blocks 25-27, 3 epochs"


def test_pictures_say_their_figure_in_words(complete: Report) -> None:
    made = str(pictures.effect(complete.claims["C1"]))
    assert 'aria-label="0.358 [' in made
    assert "v-supported" in made
    below = str(pictures.effect(complete.claims["C8"]))
    assert "&lt; 0.05" in below
    assert str(pictures.effect(complete.claims["C9"])) == '<span class="none">–</span>'


def test_marks_follow_token_spans(complete: Report) -> None:
    assert complete.diversity is not None
    item = texts(complete.diversity, complete.results).rows[0].passages[1]
    made = str(passages.marked(item))
    assert made.count("<mark") == 4  # repeated, copied, both, repeated
    assert 'class="rep cop"' in made
    assert "<script" not in made
