"""C2 and C3: what a temperature, and what a static bias, can do."""

from typing import Any

from hyperinterp.analyses.results import Measured
from hyperinterp.analyses.static_bias import BiasArm, StaticBiasBlock
from hyperinterp.analyses.temperature import Arm, TemperatureBlock
from hyperinterp.report.escape import label
from hyperinterp.report.figures.chart import (
    Chart,
    Choice,
    Reading,
    bars,
    curve,
    dots,
    ribbon,
    scatter,
)
from hyperinterp.report.figures.sketch import Sketch
from hyperinterp.report.figures.theme import (
    BASE,
    CONTROL,
    DELTA,
    EXTRA,
    FITTED,
    MUTED,
    SYMBOLS,
    faint,
)
from hyperinterp.report.numbers import hover, number

SCORES = (("ttr", "type-token ratio"), ("rep_4", "repeated 4-grams"))


def arms(block: TemperatureBlock, measure: str) -> Sketch:
    """Every way of decoding, one row each."""
    figure = Sketch(dict(SCORES)[measure])
    names = [label(arm.name, 44) for arm in block.arms]
    for model, colour in (("base", BASE), ("fitted", FITTED)):
        rows = [row for row, arm in enumerate(block.arms) if arm.model == model]
        figures = [getattr(block.arms[row], measure) for row in rows]
        figure.data.append(dots(rows, figures, model, colour, [names[row] for row in rows]))
    figure.rows(names)
    figure.xaxis(rangemode="tozero")
    return figure


def _points(items: tuple[Arm, ...], measure: str, colour: str, name: str) -> dict[str, Any]:
    figures = [getattr(arm, measure) for arm in items]
    return scatter(
        x=[arm.entropy.value for arm in items], y=[item.value for item in figures],
        mode="markers", name=name, error_y=bars(figures, colour),
        marker={"color": colour, "size": 11, "symbol": SYMBOLS.get(colour, "circle")},
        customdata=[
            [label(arm.name), hover(item), hover(arm.entropy)]
            for arm, item in zip(items, figures, strict=True)
        ],
        hovertemplate="%{customdata[0]}<br>diversity %{customdata[1]}"
        "<br>entropy %{customdata[2]}<extra></extra>",
    )  # fmt: skip


def sweep(block: TemperatureBlock, measure: str) -> Sketch | None:
    """Diversity over entropy: the base's curve as T varies, and where the fitted model is."""
    known = [arm for arm in block.sweep if arm.entropy.value is not None]
    known.sort(key=lambda arm: arm.entropy.value or 0.0)
    if not known:
        return None
    figure = Sketch("mean entropy of the next token, nats", dict(SCORES)[measure])
    x = [arm.entropy.value or 0.0 for arm in known]
    figures: list[Measured] = [getattr(arm, measure) for arm in known]
    names = [label(arm.name) for arm in known]
    figure.data.append(ribbon(x, figures, BASE))
    line = curve(x, figures, "base sampled, T varied", BASE, names)
    figure.data.append(line)
    figure.add(
        "scatter",
        x=x, y=[item.value for item in figures], mode="text", hoverinfo="skip", showlegend=False,
        text=["" if arm.temperature is None else f"T {arm.temperature:g}" for arm in known],
        textposition="bottom right", textfont={"size": 10.5, "color": MUTED},
    )  # fmt: skip
    for model, colour in (("base", CONTROL), ("fitted", FITTED)):
        items = tuple(a for a in block.arms if a.model == model and a.entropy.value is not None)
        words = "base, other ways of decoding" if model == "base" else "fitted"
        figure.data.append(_points(items, measure, colour, words))
    figure.yaxis(rangemode="tozero")
    return figure


def divergences(block: TemperatureBlock) -> Sketch:
    """KL left at no, the global, and the best temperature of every context."""
    names = ["base as it is", "base at the global T*", "base at the best T of every context"]
    figure = Sketch("mean KL(fitted || base), nats")
    figures = [block.kl, block.kl_global, block.kl_context]
    figure.add(
        "bar",
        x=[item.value for item in figures], y=[0, 1, 2], orientation="h", width=0.5,
        marker={"color": [MUTED, BASE, BASE]}, error_x=bars(figures, MUTED, 2.0),
        customdata=[hover(item) for item in figures], showlegend=False,
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip
    figure.rows(names)
    return figure


_BIAS_COLOURS = (BASE, DELTA, MUTED, CONTROL, EXTRA)


def alpha(block: StaticBiasBlock, measure: str) -> Sketch | None:
    """A score of the base plus alpha times each bias, over alpha."""
    words = {**dict(SCORES), "agreement": "top-1 agreement with the fitted model"}
    figure = Sketch("alpha (1 = the whole shift)", words[measure])
    drawn = 0
    for index, bias in enumerate(dict.fromkeys(arm.bias for arm in block.arms)):
        items: list[BiasArm] = [
            arm
            for arm in block.arms
            if arm.bias == bias and getattr(arm, measure).value is not None
        ]
        items.sort(key=lambda arm: arm.alpha)
        colour = _BIAS_COLOURS[index % len(_BIAS_COLOURS)]
        x = [arm.alpha for arm in items]
        figures = [getattr(arm, measure) for arm in items]
        figure.data.append(ribbon(x, figures, colour))
        names = [f"alpha {number(arm.alpha)}" for arm in items]
        line = curve(x, figures, label(bias), colour, names)
        line["marker"]["symbol"] = ("circle", "square", "x", "triangle-up", "star")[index % 5]
        line["line"]["dash"] = ("solid", "dash", "dot", "dashdot", "longdash")[index % 5]
        figure.data.append(line)
        drawn += len(items)
    if not drawn:
        return None
    if measure == "ttr":
        for item, text, colour in (
            (block.fitted_ttr, "fitted", FITTED),
            (block.base_ttr, "base", BASE),
        ):
            if item.value is not None:
                figure.level(item.value, text)
            if item.lo is not None and item.hi is not None:
                figure.rectangle(
                    x0=0, x1=1, xref="paper", y0=item.lo, y1=item.hi, fillcolor=faint(colour)
                )
    return figure


def shares(block: StaticBiasBlock) -> Sketch:
    """What a context-free change explains, and what it leaves."""
    rows = (
        ("logit-shift variance<br>a static shift explains", block.explained, BASE),
        ("the same, shift shuffled<br>over the vocabulary (null)", block.explained_shuffled, MUTED),
        ("KL left with the best<br>context-free bias", block.remaining, FITTED),
    )
    figure = Sketch("share")
    for row, (name, item, colour) in enumerate(rows):
        figure.data.append(dots([row], [item], name, colour, [""], showlegend=False))
    figure.level(0.5, "half", vertical=True)
    figure.rows([name for name, _, _ in rows])
    figure.xaxis(range=[min(-0.02, block.explained_shuffled.lo or 0.0), 1.02])
    return figure


def convergence(block: StaticBiasBlock) -> Sketch | None:
    """KL on the calibration half while the bias is fitted by gradient."""
    if not block.bias_loss:
        return None
    figure = Sketch("optimiser step", "calibration KL, nats")
    figure.add(
        "scatter",
        x=list(range(len(block.bias_loss))), y=list(block.bias_loss), mode="lines",
        line={"color": BASE, "width": 2}, showlegend=False,
    )  # fmt: skip
    figure.yaxis(rangemode="tozero")
    return figure


def temperature_charts(block: TemperatureBlock) -> tuple[Chart, ...]:
    """The charts of C2."""
    measure = Choice("measure", "Measure", SCORES)
    return (
        Chart(
            "sweep",
            "Diversity at equal entropy",
            Reading(
                "The line is the base sampled at different temperatures; the diamonds are the "
                "fitted model. Read upwards from one entropy: who is more diverse there?",
                "The chosen measure over the mean teacher-forced entropy in nats.",
                "Band and bars: intervals over prompts.",
                "A diamond on or below the line: some temperature of the base does the same.",
            ),
            lambda key: sweep(block, key),
            (measure,),
            height=430,
        ),
        Chart(
            "arms",
            "Ways of decoding",
            Reading(
                "One row per way of decoding the same prompts. The greedy arm at T* is a "
                "tautology: a temperature cannot change the largest logit.",
                "The chosen measure.",
                "Bars: intervals over prompts (sampled arms: averaged over seeds first).",
                "Base arms at the matched temperature that reach the fitted model.",
            ),
            lambda key: arms(block, key),
            (measure,),
            height=90 + 40 * len(block.arms),
        ),
        Chart(
            "divergence",
            "How much of the change a temperature explains",
            Reading(
                "Divergence of the fitted model from the base, before and after the base is "
                "given its best temperature, globally and for every context.",
                "Mean KL(fitted || base at T) in nats; what is left at the best T per context, "
                "as a share of the first bar, is the effect of C2.",
                "Bars: intervals over prompts.",
                "A last bar of less than half of the first.",
            ),
            lambda: divergences(block),
            height=220,
        ),
    )


def static_bias_charts(block: StaticBiasBlock) -> tuple[Chart, ...]:
    """The charts of C3."""
    options = (*SCORES, ("agreement", "agreement with fitted"))
    return (
        Chart(
            "alpha",
            "A static bias of growing strength",
            Reading(
                "The base with alpha times a context-free bias added to its logits, decoded "
                "greedily; the shaded levels are the two models themselves.",
                "The chosen measure over alpha; alpha = 1 adds the whole mean shift.",
                "Bands: intervals over the evaluation half of the prompts.",
                "A curve that reaches the fitted level anywhere.",
            ),
            lambda key: alpha(block, key),
            (Choice("measure", "Measure", options),),
            height=420,
        ),
        Chart(
            "explained",
            "What a context-free change explains",
            Reading(
                "The share of the logit-shift variance that one fixed shift explains, its null, "
                "and the share of KL(fitted || base) left with the best bias there is.",
                "Shares between 0 and 1.",
                "Bars: intervals over prompts.",
                "An explained share above one half, or less than half of the KL left.",
            ),
            lambda: shares(block),
            height=230,
        ),
        Chart(
            "convergence",
            "Did the fitted bias converge?",
            Reading(
                "KL on the calibration half while the bias is fitted by gradient.",
                "Nats, per optimiser step.",
                "None: one run.",
                "A curve that still falls at the end: the best bias was not found.",
            ),
            lambda: convergence(block),
            height=240,
        ),
    )
