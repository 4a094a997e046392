"""C11: accuracy, loss and calibration by kind of text, and how right the models are when sure."""

from hyperinterp.claims.retention.picking import CHANCE
from hyperinterp.claims.retention.result import Reliability, RetentionResult
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.chart import Chart, Choice, dots
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, CONTROL, FITTED, MUTED, SYMBOLS
from hyperinterp.drawing.words import explained

COLOURS = {"base": BASE, "fitted": FITTED, "control": CONTROL}
QUANTITIES = {
    "accuracy": "share of right picks",
    "loss": "held-out loss, nats per token",
    "calibration_error": "expected calibration error",
}
KINDS = {"held-out": "the held-out text", "other": "text of another kind"}


def by_text(block: RetentionResult, quantity: str) -> Sketch:
    """One quantity of every model on text of each kind."""
    figure = Sketch(QUANTITIES[quantity])
    rows: list[str] = []
    shown: list[Measured] = []
    for text in dict.fromkeys(item.text for item in block.texts):
        pairs = {it.model: getattr(it, quantity) for it in block.texts if it.text == text}
        found = {"base": pairs["fitted"].base} | {key: it.fitted for key, it in pairs.items()}
        for role, item in found.items():
            name = label(f"{role}, {text}")
            figure.data.append(
                dots([len(rows)], [item], name, COLOURS[role], [""], showlegend=False)
            )
            rows.append(name)
            shown.append(item)
    if quantity == "accuracy":
        figure.level(CHANCE, "chance", vertical=True)
    figure.rows(rows)
    figure.xaxis(rangemode="tozero")
    figure.sample = behind(shown)
    return figure


def reliability(block: RetentionResult, text: str) -> Sketch | None:
    """Accuracy over confidence, bin by bin; None where that text was not read."""
    found = [item for item in block.reliability if item.text == text]
    if not found:
        return None
    figure = Sketch("probability of the likeliest token", "share of them that came next")
    figure.add(
        "scatter",
        x=[0, 1], y=[0, 1], mode="lines", line={"color": MUTED, "dash": "dot", "width": 1.2},
        name="as sure as right", hoverinfo="skip",
    )  # fmt: skip
    for item in found:
        figure.data.append(_curve(item))
    figure.xaxis(range=[0, 1])
    figure.yaxis(range=[0, 1])
    figure.sample = f"n = {sum(found[0].predictions)} predictions"
    return figure


def _curve(item: Reliability) -> dict[str, object]:
    colour = COLOURS[item.model]
    return {
        "type": "scatter", "x": list(item.confidence), "y": list(item.accuracy),
        "mode": "lines+markers", "name": item.model,
        "line": {"color": colour, "width": 2},
        "marker": {"color": colour, "size": 7, "symbol": SYMBOLS[colour]},
        "customdata": [[count] for count in item.predictions],
        "hovertemplate": "sure %{x:.2f}, right %{y:.2f}<br>%{customdata[0]} predictions"
        "<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def charts(block: RetentionResult) -> tuple[Chart, ...]:
    """The charts of C11."""
    short = tuple((key, words.partition(",")[0]) for key, words in QUANTITIES.items())
    return (
        Chart(
            "retained",
            *explained(__package__, "retained", tokens=block.tokens),
            lambda key: by_text(block, key), (Choice("quantity", "Quantity", short),),
            height=120 + 34 * (len(block.texts) + len({item.text for item in block.texts})),
        ),
        Chart(
            "reliability", *explained(__package__, "reliability"),
            lambda key: reliability(block, key),
            (Choice("text", "Text", tuple(KINDS.items())),), height=420,
        ),
    )  # fmt: skip
