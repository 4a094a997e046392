import itertools
import json
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from hyperinterp.claims.registry import CLAIMS
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.drawing.axes import depth_ticks, log_ticks
from hyperinterp.drawing.chart import Chart
from hyperinterp.drawing.numbers import number
from hyperinterp.drawing.subtitle import behind, lines
from hyperinterp.drawing.theme import PAPER, swaps, template
from hyperinterp.errors import InputRefused
from hyperinterp.report.schema import Report

NAMES = (*(spec.slug for spec in CLAIMS), "training_curve")


def all_charts(report: Report) -> list[tuple[str, Chart]]:
    return [
        (name, chart)
        for name in NAMES
        if getattr(report, name) is not None
        for chart in getattr(report, name).charts()
    ]


def test_every_variant_is_valid_plotly(complete: Report) -> None:
    seen = 0
    for name, chart in all_charts(complete):
        variants = list(chart.variants())
        for _, spec in variants if len(variants) < 4 else variants[::7]:
            go.Figure(spec)
            json.dumps(spec, allow_nan=False)
            seen += 1
        assert variants, (name, chart.name)
    assert seen > 50


def test_every_reading_answers_four_questions(complete: Report) -> None:
    for name, chart in all_charts(complete):
        reading = chart.explanation
        for text in (reading.shows, reading.unit, reading.interval, reading.against):
            assert text.endswith((".", "?")), (name, chart.name, text)


def test_sparse_blocks_draw(sparse: Report) -> None:
    assert sparse.reranking is not None
    names = [chart.name for chart in sparse.reranking.charts()]
    assert "lens" not in names
    for chart in sparse.reranking.charts():
        assert list(chart.variants())


def test_final_norm_is_never_in_the_profile_of_the_blocks(complete: Report) -> None:
    assert complete.expansion is not None
    figure = next(c for c in complete.expansion.charts() if c.name == "profile").figure()
    by_axis: dict[str, set[str]] = {}
    for trace in figure.data:
        for row in trace.customdata if trace.customdata is not None else ():
            by_axis.setdefault(trace.xaxis or "x", set()).add(row[0])
    assert by_axis["x2"] == {"final norm"}
    assert "final norm" not in by_axis["x"]
    assert "block 29" in by_axis["x"]


def test_equal_labels_stay_apart(complete: Report) -> None:
    assert complete.reranking is not None
    figure = next(c for c in complete.reranking.charts() if c.name == "tokens").figure()
    texts = list(figure.layout.yaxis.ticktext)
    assert texts.count("same") == 2
    assert list(figure.layout.yaxis.tickvals) == list(range(len(texts)))
    assert len(set(figure.data[0].y)) == len(texts)


def test_the_axis_of_shares_holds_shares_only(complete: Report) -> None:
    assert complete.diversity is not None
    length = Measured(31.0, 30.0, 32.0, 8)
    scores = {**complete.diversity.scores, "tokens": Pair(length, length, length)}
    figure = replace(complete.diversity, scores=scores).plot("scores")
    values = [x for trace in figure.data for x in trace.x if x is not None]
    assert values
    assert max(values) <= 1
    assert "type-token ratio" in figure.layout.yaxis.ticktext


def test_missing_figures_are_gaps_not_zeros(complete: Report) -> None:
    assert complete.expansion is not None
    chart = next(c for c in complete.expansion.charts() if c.name == "profile")
    figure = chart.figure(measure="pr")
    line = next(t for t in figure.data if t.name == "base" and t.xaxis != "x2")
    place = [row[0] for row in line.customdata].index("block 7")
    assert line.y[place] is None
    assert "fewer than 8 prompts" in line.customdata[place][1]


def test_unknown_choices_are_refused(complete: Report) -> None:
    assert complete.expansion is not None
    chart = complete.expansion.charts()[0]
    with pytest.raises(InputRefused, match="expected one of"):
        chart.figure(measure="nonsense")
    with pytest.raises(InputRefused, match="expected a choice"):
        chart.figure(nonsense="pr")
    with pytest.raises(InputRefused, match="not computed"):
        chart.figure(measure="d95", rows="with_first")


def _colours(value: object, key: str = "") -> list[str]:
    if isinstance(value, dict):
        return list(itertools.chain.from_iterable(_colours(v, k) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return list(itertools.chain.from_iterable(_colours(v, key) for v in value))
    is_colour = isinstance(value, str) and ("color" in key.lower() or "scale" in key.lower())
    return [value] if is_colour and isinstance(value, str) else []


def test_every_colour_has_a_dark_edition(complete: Report) -> None:
    known = set(swaps()) | {"rgba(0,0,0,0)"}
    for name, chart in all_charts(complete):
        _, spec = next(chart.variants())
        assert set(_colours(spec)) <= known, (name, chart.name)


def _contrast(one: str, two: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_line_colours_stand_out_on_both_papers() -> None:
    for dark, paper in ((False, "#FFFFFF"), (True, "#16191D")):
        for colour in template(dark=dark)["layout"]["colorway"]:
            assert _contrast(colour, paper) > 3, (colour, paper)


def test_every_measure_is_drawn_against_the_number_of_trained_blocks(complete: Report) -> None:
    assert complete.late_stage is not None
    chart = next(c for c in complete.late_stage.charts() if c.name == "blocks")
    twins = [t for t in complete.late_stage.twins if t.trained_layers is not None]
    for measure in ("ttr", "rep_4", "heldout_loss", "train_loss", "last_delta"):
        figure = chart.figure(measure=measure)
        drawn = {
            (x, y)
            for trace in figure.data
            if trace.mode == "markers"
            for x, y in zip(trace.x, trace.y, strict=True)
        }
        expected = set()
        for twin in twins:
            found = getattr(twin, measure)
            expected.add((twin.trained_layers, getattr(found, "value", found)))
        assert drawn == expected
        line = next(trace for trace in figure.data if trace.mode == "lines")
        assert list(line.x) == sorted({twin.trained_layers for twin in twins})


def chart_of(block: object, name: str) -> Chart:
    return next(chart for chart in block.charts() if chart.name == name)


def subtitle(figure: go.Figure) -> str:
    return figure.layout.title.subtitle.text


def test_every_figure_says_how_much_stands_behind_it(complete: Report) -> None:
    for name, chart in all_charts(complete):
        for keys, spec in chart.variants():
            told = spec["layout"]["legend"]["title"]["text"].replace("<br>", " ")
            assert "n = " in told, (name, chart.name, keys)


def test_the_subtitle_names_every_choice(complete: Report) -> None:
    figure = complete.plot("expansion", "spectrum", site="resid.3", form="cumulative")
    assert subtitle(figure) == (
        "site: block 3 · form: cumulative · n = 24 prompts, 3,024 token positions"
    )
    hostile = complete.plot("reranking", "trajectory", decision="0")
    assert "&lt;script&gt;" in subtitle(hostile)
    assert "<script" not in subtitle(hostile)


def test_lines_are_broken_between_parts_and_never_too_long() -> None:
    parts = ("measure: type-token ratio", "", "rows: raw", "n = 24 prompts", "x" * 70)
    found = lines(parts, 40)
    assert found[:2] == ["measure: type-token ratio · rows: raw", "n = 24 prompts"]
    assert "".join(found[2:]) == "x" * 70
    assert max(map(len, found)) <= 40


def test_what_is_behind_a_figure_tells_ranges_and_skips_what_is_missing() -> None:
    one, many = Measured(1.0, n=1, unit="prompt"), Measured(1.0, n=24, unit="prompt")
    assert behind([one]) == "n = 1 prompt"
    assert behind([many, one, missing("none")], "9 decisions") == "n = 1 to 24 prompts, 9 decisions"
    assert behind([missing("none")]) == ""


def test_figures_lie_on_paper(complete: Report) -> None:
    for name in NAMES:
        assert complete.plot(name).layout.paper_bgcolor == PAPER


def test_a_chart_without_a_finite_figure_is_not_drawn(complete: Report) -> None:
    assert complete.last_block is not None
    none = missing("no gain to share")
    rows = tuple(replace(item, gain_share=none) for item in complete.last_block.stitched)
    choices = chart_of(replace(complete.last_block, stitched=rows), "stitched").choices
    assert choices[0].keys == ("ttr", "rep_4")
    assert complete.late_stage is not None
    twins = tuple(replace(item, entropy=none) for item in complete.late_stage.twins)
    chart = chart_of(replace(complete.late_stage, twins=twins), "twins")
    assert "entropy" not in dict(chart.variants())
    with pytest.raises(InputRefused, match="not computed"):
        chart.figure(measure="entropy")


def test_rows_with_position_0_and_without_outliers_are_drawn(complete: Report) -> None:
    block = complete.expansion
    assert block is not None
    keys = block.names()["profile"]["rows"]
    assert set(keys) == {
        "raw", "with_first", "without_outliers", "standardised", "unit_norm", "integer", "visible",
    }  # fmt: skip
    last = next(site for site in block.sites if site.key == block.last_block)
    pair = last.metrics["pr@with_first"]
    figure = block.plot("rows")
    names = figure.layout.yaxis.ticktext
    row = next(index for index, text in enumerate(names) if "with position 0" in text)
    drawn = {t.name: t.x[row] for t in figure.data if t.name in ("base", "fitted")}
    assert drawn == {"base": pair.base.value, "fitted": pair.fitted.value}
    assert pair.delta.value is not None
    assert pair.delta.value < 0  # the growth that the other rows show is gone
    assert f"({number(pair.delta.value)})" in names[row]


def test_the_contrast_holds_measures_without_an_interval(complete: Report) -> None:
    block = complete.expansion
    assert block is not None
    growth = {
        site.key: site.metrics["pr@with_first"].delta.value
        for site in block.sites
        if site.kind == "resid"
    }
    last = growth.pop(block.last_block)
    figure = block.plot("contrast")
    mark = next(t for t in figure.data if t.name == "participation ratio, naive, with position 0")
    assert mark.x[0] == pytest.approx(last - max(growth.values()))
    assert mark.marker.symbol == "circle-open"
    assert mark.error_x.array[0] is None


def test_thresholds_stand_only_on_the_rows_they_are_for(complete: Report) -> None:
    assert complete.reranking is not None
    figure = complete.reranking.plot("shares")
    names = figure.layout.yaxis.ticktext
    marked = [names[round((shape.y0 + shape.y1) / 2)] for shape in figure.layout.shapes]
    assert len(marked) == 4
    assert not any("Spearman" in name or "overlap" in name or "top" in name for name in marked)


def test_every_bias_starts_at_the_base(complete: Report) -> None:
    block = complete.static_bias
    assert block is not None
    base = next(arm for arm in block.arms if arm.bias == "none")
    for measure in ("ttr", "rep_4", "agreement"):
        lines_of = [t for t in block.plot("alpha", measure=measure).data if t.name]
        assert len(lines_of) == 5
        for trace in lines_of:
            assert (trace.x[0], trace.y[0]) == (0, getattr(base, measure).value)


def test_lone_points_have_bars_and_no_band(complete: Report) -> None:
    assert complete.temperature is not None
    two = replace(complete.temperature, sweep=complete.temperature.sweep[:2])
    for block, bands in ((complete.temperature, 1), (two, 0)):
        figure = block.plot("sweep")
        assert sum(trace.fill == "toself" for trace in figure.data) == bands
        line = next(
            trace for trace in figure.data if (trace.name or "").startswith("base sampled, T")
        )
        assert (line.error_y.array is None) == bool(bands)


def test_points_of_the_sweep_are_named_in_the_legend(complete: Report) -> None:
    """Where points meet no words can collide, and every name has a symbol of its own."""
    assert complete.temperature is not None
    drawn = complete.temperature.plot("sweep")
    assert drawn.layout.annotations == ()
    shown = [trace for trace in drawn.data if trace.showlegend is not False]
    names = {trace.name: (trace.marker.color, trace.marker.symbol) for trace in shown}
    assert {"base greedy", "base greedy at T*", "fitted sampled &lt;s&gt;"} < set(names)
    assert {"base sampled, T = 0.2 to 1.15", "base sampled at T* = 0.58"} < set(names)
    assert len(set(names.values())) == len(names) == 1 + 6


def test_the_names_of_twins_stand_in_the_legend(complete: Report) -> None:
    assert complete.late_stage is not None
    drawn = complete.late_stage.plot("apart")
    assert all(trace.mode == "markers" for trace in drawn.data)
    looks = [(trace.marker.color, trace.marker.symbol) for trace in drawn.data]
    assert len(set(looks)) == len(looks) == 4


def test_words_tell_of_no_star_that_is_not_drawn(complete: Report) -> None:
    assert complete.diversity is not None
    with_star = replace(complete.diversity, human=Measured(0.78, 0.7, 0.8, 24))
    for block, star in ((complete.diversity, False), (with_star, True)):
        told = chart_of(block, "scores").explanation.shows
        assert ("star" in told) is star
        assert any(t.name == "human" for t in block.plot("scores").data) is star


def test_the_fit_shows_the_step_that_was_taken(complete: Report) -> None:
    block = complete.static_bias
    assert block is not None
    figure = block.plot("convergence")
    assert [trace.name for trace in figure.data] == [
        "prompts it is fitted to",
        "prompts kept aside",
    ]
    assert figure.layout.shapes[0].x0 == block.bias_chosen == 40
    older = replace(block, bias_held_loss=(), bias_chosen=None)
    assert len(older.plot("convergence").data) == 1
    assert "not recorded" in chart_of(older, "convergence").explanation.shows


def test_the_words_on_random_changes_say_what_is_drawn(complete: Report) -> None:
    block = complete.last_block
    assert block is not None
    assert "grey line" in chart_of(block, "single").explanation.shows
    one = replace(block, nulls=block.nulls[-1:])
    assert "grey cross" in chart_of(one, "single").explanation.shows
    assert "at block 29" in chart_of(one, "single").explanation.shows
    assert "No random changes" in chart_of(replace(block, nulls=()), "single").explanation.shows


def test_agreement_without_any_exchange_is_a_level(complete: Report) -> None:
    assert complete.last_block is not None
    for name in ("single", "cumulative"):
        figure = complete.last_block.plot(name, metric="agreement")
        level = next(shape for shape in figure.layout.shapes if shape.type == "line")
        assert level.y0 == complete.last_block.agreement.value


def test_a_share_is_never_drawn_below_zero_and_has_its_threshold(complete: Report) -> None:
    block = complete.quotation
    assert block is not None
    wide = replace(block.copied_share.fitted, lo=-0.01)
    pair = replace(block.copied_share, fitted=wide)
    figure = replace(block, copied_share=pair).plot("copying")
    mark = next(trace for trace in figure.data if trace.name == "fitted")
    assert mark.x[0] - mark.error_x.arrayminus[0] == 0
    assert figure.layout.shapes[0].x0 == pytest.approx(pair.base.value + 0.05)


def test_base_and_fitted_stand_apart_where_they_meet(complete: Report) -> None:
    assert complete.diversity is not None
    near = Pair(Measured(0.3, 0.2, 0.4), Measured(0.35, 0.25, 0.45), Measured(0.05, 0.0, 0.1))
    scores = {"ttr": near, "rep_4": complete.diversity.scores["rep_4"]}
    figure = replace(complete.diversity, scores=scores).plot("scores")
    base, fitted = (next(t for t in figure.data if t.name == n) for n in ("base", "fitted"))
    assert base.y[0] < 0 < fitted.y[0]
    assert base.y[1] == fitted.y[1] == 1


def test_complements_are_drawn_once(complete: Report) -> None:
    assert complete.diversity is not None
    names = complete.diversity.plot("scores").layout.yaxis.ticktext
    assert "repeated 2-grams" in names
    assert not any("distinct" in name for name in names)
    assert "self-BLEU<br>(no interval)" in names


def test_ticks_are_round_numbers() -> None:
    ticks = log_ticks([0.047, 4.5])
    assert ticks["ticktext"] == ["0.05", "0.1", "0.2", "0.5", "1", "2", "5"]
    assert log_ticks([1.0, 50000.0])["ticktext"] == ["1", "10", "100", "1,000", "10,000"]
    assert depth_ticks(29, embedded=True)["ticktext"] == ["emb", "5", "10", "15", "20", "25", "29"]


def test_the_lens_counts_blocks_from_0(complete: Report) -> None:
    assert complete.reranking is not None
    figure = complete.reranking.plot("lens")
    assert list(figure.data[0].x) == list(range(-1, 30))
    assert list(figure.layout.xaxis.ticktext) == ["emb", "5", "10", "15", "20", "25", "29"]


def test_the_final_norm_has_a_column_of_its_own_in_every_figure_by_depth(complete: Report) -> None:
    assert complete.expansion is not None
    for name in ("angles", "change", "profile"):
        figure = complete.expansion.plot(name)
        axes = figure.select_xaxes()
        assert any("final<br>norm" in text for axis in axes for text in axis.ticktext or ())
    heat = complete.expansion.plot("angles").data[0]
    empty = [x for x, cell in zip(heat.x, heat.z[0], strict=True) if cell is None]
    assert empty == [30, 31, 32]


def test_buckets_are_those_of_the_probes(complete: Report) -> None:
    assert complete.reranking is not None
    names = [
        text.replace("<br>", "")
        for text in complete.reranking.plot("buckets").layout.xaxis.ticktext
    ]
    assert names == ["1", "2–10", "11–100", "101–1000", "&gt;1000"]
