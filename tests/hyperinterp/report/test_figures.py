import itertools
import json
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from hyperinterp.analyses.results import Measured, Pair
from hyperinterp.errors import InputRefused
from hyperinterp.report.figures import Chart, charts
from hyperinterp.report.figures.theme import swaps, template
from hyperinterp.report.schema import BLOCKS, Report


def all_charts(report: Report) -> list[tuple[str, Chart]]:
    return [
        (name, chart)
        for name in BLOCKS
        if getattr(report, name) is not None
        for chart in charts(getattr(report, name))
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
        reading = chart.reading
        for text in (reading.shows, reading.unit, reading.interval, reading.against):
            assert text.endswith((".", "?")), (name, chart.name, text)


def test_sparse_blocks_draw(sparse: Report) -> None:
    assert sparse.ranks is not None
    names = [chart.name for chart in charts(sparse.ranks)]
    assert "lens" not in names
    for chart in charts(sparse.ranks):
        assert list(chart.variants())


def test_final_norm_is_never_in_the_profile_of_the_blocks(complete: Report) -> None:
    assert complete.geometry is not None
    figure = next(c for c in charts(complete.geometry) if c.name == "profile").figure()
    by_axis: dict[str, set[str]] = {}
    for trace in figure.data:
        for row in trace.customdata if trace.customdata is not None else ():
            by_axis.setdefault(trace.xaxis or "x", set()).add(row[0])
    assert by_axis["x2"] == {"final norm"}
    assert "final norm" not in by_axis["x"]
    assert "block 29" in by_axis["x"]


def test_equal_labels_stay_apart(complete: Report) -> None:
    assert complete.ranks is not None
    figure = next(c for c in charts(complete.ranks) if c.name == "tokens").figure()
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
    assert complete.geometry is not None
    chart = next(c for c in charts(complete.geometry) if c.name == "profile")
    figure = chart.figure(measure="pr")
    line = next(t for t in figure.data if t.name == "base" and t.xaxis != "x2")
    place = [row[0] for row in line.customdata].index("block 7")
    assert line.y[place] is None
    assert "fewer than 8 prompts" in line.customdata[place][1]


def test_unknown_choices_are_refused(complete: Report) -> None:
    assert complete.geometry is not None
    chart = charts(complete.geometry)[0]
    with pytest.raises(InputRefused, match="expected one of"):
        chart.figure(measure="nonsense")
    with pytest.raises(InputRefused, match="expected a choice"):
        chart.figure(nonsense="pr")
    with pytest.raises(InputRefused, match="not computed"):
        chart.figure(measure="d95", rows="with_outliers")
    with pytest.raises(TypeError, match="expected a block"):
        charts(object())


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
    assert complete.sufficiency is not None
    chart = next(c for c in charts(complete.sufficiency) if c.name == "blocks")
    twins = [t for t in complete.sufficiency.twins if t.trained_layers is not None]
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
