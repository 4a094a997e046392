"""Draw the pictures of the pages: `python docs/_pictures.py` writes `docs/pictures/*.svg`.

Every number in a picture is computed here, with the measures that the pages describe.
"""

from pathlib import Path

import torch

from probes import participation_ratio

HERE = Path(__file__).resolve().parent / "pictures"
STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #4a525b } .big { font-size: 15px; font-weight: 600 }
.base { fill: #0072b2 } .fitted { fill: #d55e00 } .line { stroke: #8a929b; fill: none }
.box { fill: none; stroke-width: 2 } .of-base { stroke: #0072b2 } .of-fitted { stroke: #d55e00 }
@media (prefers-color-scheme: dark) {
text { fill: #b9c0c8 } .base { fill: #56b4e9 } .fitted { fill: #f58b45 }
.of-base { stroke: #56b4e9 } .of-fitted { stroke: #f58b45 } }
</style>"""


def svg(width: int, height: int, parts: list[str], title: str) -> str:
    """A picture that needs nothing from outside."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
    return "\n".join([head, f"<title>{title}</title>", STYLE, *parts, "</svg>", ""])


def words(x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> str:
    """A line of text."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{text}</text>'


def participation() -> str:
    """Three clouds of points in the plane, each with its participation ratio."""
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(160, 2, generator=generator, dtype=torch.float64)
    points -= points.mean(0)
    points @= torch.linalg.inv(torch.linalg.cholesky(points.T @ points / len(points))).T
    parts = []
    for index, (spread, kind) in enumerate(((0.06, "base"), (0.45, "base"), (1.0, "fitted"))):
        cloud = points * torch.tensor([1.0, spread])
        centre = 120 + 220 * index
        for x, y in (cloud * 29).tolist():
            parts.append(
                f'<circle class="{kind}" cx="{centre + x:.1f}" cy="{105 + y:.1f}" r="2.6" '
                'opacity=".65"/>'
            )
        parts.append(words(centre, 222, f"PR = {participation_ratio(cloud):.2f}", "big"))
    parts.append(words(120, 244, "one direction carries all"))
    parts.append(words(340, 244, "a second one counts a little"))
    parts.append(words(560, 244, "both count alike"))
    return svg(680, 258, parts, "Three clouds of points and their participation ratios")


def _stack(x: float, kinds: list[str], name: str, below: str) -> list[str]:
    parts = []
    for index, kind in enumerate(kinds):
        y = 180 - 40 * index
        parts.append(
            f'<rect class="box of-{kind}" x="{x - 55:g}" y="{y}" width="110" height="26" rx="4"/>'
        )
        parts.append(words(x, y + 18, f"{kind}, block {index}"))
        if index:
            parts.append(f'<path class="line" d="M{x:g} {y + 40}V{y + 26}"/>')
    return [*parts, words(x, 26, name, "big"), words(x, 234, below)]


def patching() -> str:
    """The base, the fitted model, and the base with the function of the fitted last block."""
    parts = _stack(110, ["base"] * 4, "base", "its own stream")
    parts += _stack(340, ["base"] * 3 + ["fitted"], "stitched", "the base's stream, up to block 2")
    parts += _stack(570, ["fitted"] * 4, "fitted", "its own stream")
    parts.append('<path class="line" stroke-dasharray="4 4" d="M515 73H395"/>')
    parts.append(words(455, 66, "weights"))
    return svg(680, 248, parts, "The last block's function moves; the stream does not")


LAYERS = (
    ("base", "probes", "pure measures on tensors, arrays and token ids"),
    ("base", "text, checkpoints", "read, screen and refuse what comes from outside"),
    ("base", "models", "one way to hook, patch and exchange blocks of any family"),
    ("base", "capture, generation, training", "run models, write text, make twins"),
    ("fitted", "claims", "a folder each: rule, measurement, figures, tables, words"),
    ("fitted", "verdict", "decide against the declared rule, Holm over all claims"),
    ("base", "report", "renders any claim: page, JSON, Markdown, LaTeX, CSV"),
    ("base", "compare, study, trace", "Python and the command line"),
)
"""Layers from below: a layer imports from those under it only."""


def architecture() -> str:
    """The layers, the lowest first, with what each does."""
    parts = []
    for index, (kind, name, does) in enumerate(LAYERS):
        y = 20 + 38 * (len(LAYERS) - 1 - index)
        parts.append(f'<rect class="box of-{kind}" x="20" y="{y}" width="220" height="28" rx="4"/>')
        parts.append(words(130, y + 19, name))
        parts.append(words(256, y + 19, does, anchor="start"))
        if index:
            parts.append(f'<path class="line" d="M130 {y + 38}V{y + 28}"/>')
    title = "Layers: each imports from those below it only"
    return svg(680, 30 + 38 * len(LAYERS), parts, title)


PICTURES = {
    "participation.svg": participation,
    "patching.svg": patching,
    "architecture.svg": architecture,
}


def main() -> None:
    """Write every picture."""
    HERE.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (HERE / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
