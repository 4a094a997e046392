"""Parts that the tutorials share: a twin that is trained once, sizes of a run, live controls.

Environment:
    HYPERINTERP_FAST=1: few passages and prompts, so that all of them run in minutes.
    HYPERINTERP_STATIC=1: figures instead of widgets, as when a notebook is executed unattended;
        `png` adds a picture to every figure, for viewers that run no script (needs kaleido).
    HYPERINTERP_TUTORIALS=DIR: where the twin is kept, `hyperinterp-tutorials` by default.
"""

import importlib.util
import inspect
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hyperinterp.drawing.theme import PAPER, template
from hyperinterp.models import HookedModel, load
from hyperinterp.sizes import PRESETS, Sizes
from hyperinterp.text import Passages, builtin_passages
from hyperinterp.training import TrainConfig, TrainResult, train

FAST = os.environ.get("HYPERINTERP_FAST", "") not in ("", "0")
STATIC = os.environ.get("HYPERINTERP_STATIC", "")
PROMPT = "The lighthouse keeper had not spoken to anyone since the ferry stopped running, and"


def start() -> None:
    """Draw figures as reports do, and say how much this run looks at."""
    import plotly.graph_objects as go
    import plotly.io as pio

    if STATIC:
        pio.renderers["png"].width, pio.renderers["png"].scale = 860, 1.5
        pio.renderers.default = "plotly_mimetype+png" if STATIC == "png" else "plotly_mimetype"
    layout = template()["layout"]
    above = {"y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 12}}
    layout |= {
        "paper_bgcolor": PAPER,
        "margin": layout["margin"] | {"t": 72},
        "title": layout["title"] | above,
    }
    ours = go.layout.Template({"layout": layout})
    pio.templates["hyperinterp"] = ours
    pio.templates.default = "hyperinterp"
    if FAST:
        print("Fast mode: 8 short passages, 8 prompts. Expect wide intervals; read the method.")
    else:
        print("Normal mode: 32 passages, 24 prompts. Set HYPERINTERP_FAST=1 for a shorter run.")


def work() -> Path:
    """The directory in which the tutorials keep what they train."""
    root = Path(os.environ.get("HYPERINTERP_TUTORIALS", "hyperinterp-tutorials"))
    return root / ("fast" if FAST else "full")


def recipe() -> TrainConfig:
    """The late-stage recipe of tutorial 1."""
    return TrainConfig(seq_len=64, epochs=20) if FAST else TrainConfig()


def passages() -> Passages:
    """Return the passages that the twin learns by heart."""
    return builtin_passages("train").head(8 if FAST else 32)


def sizes(**changes: Any) -> Sizes:
    """Return the sizes of a comparison in this mode."""
    whole = replace(
        PRESETS["quick"], context_tokens=128, new_tokens=96, window=96, sweep=(0.7,), stitched=2
    )
    small = replace(
        whole, prompts=8, context_tokens=40, contexts_per_prompt=6, prompt_tokens=24,
        new_tokens=32, window=32, order_contexts=24, lens_contexts=12, control_prompts=4,
        bias_steps=8, patch_prompts=4, null_draws=1, stitched=1,
    )  # fmt: skip
    return replace(small if FAST else whole, **changes)


def twin() -> TrainResult:
    """The hyperfitted twin, trained once and found again by every later tutorial."""
    return train("smollm2", passages(), work() / "late-stage", recipe(), resume=True)


def pair() -> tuple[HookedModel, HookedModel]:
    """The base model and its twin."""
    return load("smollm2"), load(twin().out, base="smollm2")


def explore(draw: Callable[..., Any], **choices: Any) -> None:
    """Widgets that call `draw` again at every change; one picture where there are no widgets.

    Args:
        draw: takes one keyword per choice, its defaults are the start, returns what to show.
        choices: per keyword a tuple of options (menu), a range (slider), or `str` (text box).
    """
    start = {name: inspect.signature(draw).parameters[name].default for name in choices}
    if STATIC or importlib.util.find_spec("ipywidgets") is None or not _in_notebook():
        _show(draw(**start))
        shown = ", ".join(f"{name} = {_short(value)}" for name, value in start.items())
        print(f"Static picture at {shown}. Run this notebook in Jupyter to change them.")
        return
    import ipywidgets

    controls = {name: _control(name, choices[name], start[name]) for name in choices}
    panel = ipywidgets.interactive(lambda **given: _show(draw(**given)), **controls)
    _show(panel)
    panel.update()


def _short(value: Any, limit: int = 40) -> str:
    """A value for a caption: at most `limit` characters, quotes not counted."""
    if isinstance(value, str):
        return repr(value if len(value) <= limit else value[: limit - 1] + "…")
    shown = repr(value)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _control(name: str, options: Any, value: Any) -> Any:
    import ipywidgets

    words = name.replace("_", " ")
    if options is str:
        return ipywidgets.Textarea(
            value=value, description=words, continuous_update=False,
            layout=ipywidgets.Layout(width="90%"),
        )  # fmt: skip
    if isinstance(options, range):
        return ipywidgets.IntSlider(
            value=value, min=options[0], max=options[-1], step=options.step, description=words,
            continuous_update=False,
        )  # fmt: skip
    return ipywidgets.Dropdown(options=list(options), value=value, description=words)


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None


def _show(item: Any) -> None:
    """Display where there is a notebook; elsewhere it was enough to have been computed."""
    if item is not None and _in_notebook():
        from IPython.display import display

        display(item)
