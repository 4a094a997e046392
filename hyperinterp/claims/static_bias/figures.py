"""C3: what a static bias can do."""

from dataclasses import replace

from hyperinterp.claims.spec import Measured
from hyperinterp.claims.static_bias.arms import NONE
from hyperinterp.claims.static_bias.result import BiasArm, StaticBiasResult
from hyperinterp.drawing.chart import (
    Chart,
    Choice,
    dots,
    interval_curve,
)
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.numbers import number
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, CONTROL, DELTA, EXTRA, FITTED, MUTED, SKY, faint
from hyperinterp.drawing.words import explained
from probes.divergence.static import PATIENCE

_SCORES = {
    "ttr": "type-token ratio",
    "rep_4": "repeated 4-grams",
    "agreement": "top-1 agreement with the fitted model",
}
_LOOKS = (
    (DELTA, "square", "dash"),
    (CONTROL, "triangle-up", "dot"),
    (MUTED, "x", "dashdot"),
    (EXTRA, "star", "longdash"),
    (SKY, "circle", "solid"),
)


def _start(block: StaticBiasResult, measure: str) -> Measured | None:
    """The base itself, where every bias starts (alpha 0)."""
    own = next((arm for arm in block.arms if arm.bias == NONE), None)
    found = block.base_ttr if own is None and measure == "ttr" else getattr(own, measure, None)
    return None if found is None or found.value is None else found


def alpha(block: StaticBiasResult, measure: str) -> Sketch | None:
    """A score of the base plus alpha times each bias, from the base at alpha 0 on."""
    figure, start = Sketch("alpha (1 = the whole shift)", _SCORES[measure]), _start(block, measure)
    named: dict[str, list[BiasArm]] = {}
    for arm in block.arms:
        if arm.bias != NONE and getattr(arm, measure).value is not None:
            named.setdefault(arm.bias, []).append(arm)
    if not named:
        return None
    most = max(arm.alpha for arms in named.values() for arm in arms)
    drawn: list[Measured] = []
    for index, (bias, arms) in enumerate(named.items()):
        arms.sort(key=lambda arm: arm.alpha)
        colour, symbol, dash = _LOOKS[index % len(_LOOKS)]
        aside = 0.012 * most * (index - (len(named) - 1) / 2)  # bars of one alpha side by side
        x = [arm.alpha + aside * (len(arms) == 1) for arm in arms]
        figures = [getattr(arm, measure) for arm in arms]
        names = [f"alpha {number(arm.alpha)}" for arm in arms]
        if start is not None:
            x, figures, names = [0.0, *x], [start, *figures], ["the base", *names]
        traces = interval_curve(x, figures, label(bias), colour, names)
        traces[-1]["marker"]["symbol"], traces[-1]["line"]["dash"] = symbol, dash
        figure.data += traces
        drawn += figures
    if start is not None:
        own = interval_curve([0.0], [start], "base (alpha 0)", BASE, ["the base"])
        own[-1]["marker"]["size"] = 10
        figure.data += own
    if measure == "ttr":
        _goal(figure, block.fitted_ttr)
    figure.sample = behind(drawn)
    return figure


def _goal(figure: Sketch, fitted: Measured) -> None:
    """The fitted model's level, with its interval as a light band."""
    if fitted.value is None:
        return
    figure.level(fitted.value, "fitted", color=FITTED)
    if fitted.lo is not None and fitted.hi is not None:
        figure.rectangle(
            x0=0, x1=1, xref="paper", y0=fitted.lo, y1=fitted.hi, fillcolor=faint(FITTED, 0.08)
        )


def shares(block: StaticBiasResult) -> Sketch:
    """Draw what a context-free change leaves: of the logits' shift, and of the divergence."""
    prompts, steps = block.calibration_prompts, block.bias_steps
    left = block.unexplained if block.unexplained.value is not None else _rest(block.explained)
    rows = (
        ("logit-shift variance<br>a static shift leaves", left, BASE),
        (
            "the same, shift shuffled<br>over the vocabulary (null)",
            _rest(block.explained_shuffled), MUTED,
        ),
        (f"KL left with the bias fitted<br>on {prompts} prompts in {steps} steps",
         block.remaining, FITTED),
    )  # fmt: skip
    figure = Sketch("share left")
    for row, (name, item, colour) in enumerate(rows):
        figure.data.append(dots([row], [item], name, colour, [""], showlegend=False))
    figure.level(0.5, "half", vertical=True)
    figure.rows([name for name, _, _ in rows])
    figure.xaxis(range=[-0.02, max(1.02, *(item.hi or 0.0 for _, item, _ in rows))])
    figure.sample = behind(item for _, item, _ in rows)
    return figure


def _rest(explained: Measured) -> Measured:
    """1 minus a share, with its interval."""
    if explained.value is None or explained.lo is None or explained.hi is None:
        return explained
    return replace(explained, value=1 - explained.value, lo=1 - explained.hi, hi=1 - explained.lo)


def convergence(block: StaticBiasResult) -> Sketch | None:
    """KL while the bias is fitted: where it is fitted, and on the prompts kept aside."""
    if not block.bias_loss:
        return None
    figure = Sketch("step", "KL to the fitted model, nats")
    for losses, name, colour, dash in (
        (block.bias_loss, "prompts it is fitted to", BASE, "solid"),
        (block.bias_held_loss, "prompts kept aside", CONTROL, "dash"),
    ):
        if losses:
            figure.add(
                "scatter",
                x=list(range(len(losses))), y=list(losses), mode="lines", name=name,
                line={"color": colour, "width": 2, "dash": dash},
                hovertemplate="step %{x}<br>%{fullData.name}: %{y:.4g} nats<extra></extra>",
            )  # fmt: skip
    if block.bias_chosen is not None:
        figure.level(block.bias_chosen, f"taken: step {block.bias_chosen}", vertical=True)
    figure.yaxis(rangemode="tozero")
    figure.sample = f"n = {block.calibration_prompts} prompts"
    return figure


def _aside(block: StaticBiasResult) -> str:
    if not block.bias_held_loss:
        return "The loss on prompts kept aside is not recorded in this report."
    return (
        "Every fourth prompt is kept aside; the step that is best there is taken (dotted), and "
        f"the search ends once {PATIENCE} steps gained nothing there, or with the preset's steps."
    )


def charts(block: StaticBiasResult) -> tuple[Chart, ...]:
    """The charts of C3."""
    options = tuple(
        (key, "agreement with fitted" if key == "agreement" else words)
        for key, words in _SCORES.items()
    )
    return (
        Chart(
            "alpha",
            *explained(__package__, "alpha"),
            lambda key: alpha(block, key),
            (Choice("measure", "Measure", options),),
            height=420,
        ),
        Chart(
            "explained",
            *explained(__package__, "explained"),
            lambda: shares(block),
            height=230,
        ),
        Chart(
            "convergence",
            *explained(__package__, "convergence", aside=_aside(block)),
            lambda: convergence(block),
            height=320,
        ),
    )
