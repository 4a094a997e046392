"""Output of the commands on stdout."""

import dataclasses
import json
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hyperinterp.claims.spec import Claim, Verdict
from hyperinterp.drawing.escape import visible
from hyperinterp.drawing.numbers import compact, file_size, number, words
from hyperinterp.planning import Plan, size_words
from hyperinterp.report import Report
from hyperinterp.report.beside import caveat
from hyperinterp.report.claims import asked, bound, decided, effect_words, left_out
from hyperinterp.report.provenance import flat, plain
from hyperinterp.report.summary import notes
from hyperinterp.report.trace.schema import Trace

_STYLES = {
    Verdict.SUPPORTED: "bold green",
    Verdict.NOT_SUPPORTED: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.NOT_TESTED: "dim",
    Verdict.FAILED: "bold red",
}


def the_console() -> Console:
    """The console of results: a hundred columns wide where no terminal says otherwise."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=100)


def show_claims(report: Report) -> None:
    """The claims table: the effect, its threshold, what decided it, and what favours it."""
    console = the_console()
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for heading in ("", "claim", "verdict", "effect [95 %]", "threshold", "n"):
        left = heading in ("", "claim", "verdict")
        table.add_column(heading, justify="left" if left else "right", no_wrap=heading != "claim")
    for claim in asked(report.claims):
        tested = claim.effect is not None
        table.add_row(
            claim.id,
            Text(claim.statement),
            Text(claim.verdict.value, style=_STYLES[claim.verdict]),
            effect_words(claim) if tested else "-",
            bound(claim) if tested else "-",
            str(claim.n) if claim.n else "-",
        )
    console.print(table)
    for claim in asked(report.claims):
        if told := _deciding(claim):
            labelled(console, claim.id, visible(told))
        if warned := caveat(report, claim):
            labelled(console, f"{claim.id}, but", warned)
    if left_out(report.claims):
        labelled(console, "not asked for (--claims)", left_out(report.claims))
    for note in notes(report):
        labelled(console, "note", visible(note))


def labelled(console: Console, label: str, text: str) -> None:
    """A labelled remark; lines after the first are indented."""
    filled = textwrap.fill(f"{label}: {text}", console.width, subsequent_indent="    ")
    console.print(Text(filled))


def _deciding(claim: Claim) -> str:
    """Return the condition that decided a verdict; none where every condition holds."""
    return "" if claim.verdict is Verdict.SUPPORTED else decided(claim)


def _pairs(title: str, values: dict[str, Any]) -> None:
    console = the_console()
    table = Table(show_header=False, show_edge=False, pad_edge=False, title=title)
    for name, value in values.items():
        if value is not None and value not in ({}, ()):
            table.add_row(name.replace("_", " "), Text(_human(name, value)))
    console.print(table)


def _human(name: str, value: Any) -> str:
    """A value of a summary as people read it: units, thousands, yes and no, a line per setting."""
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {visible(told)}" for key, told in flat(value))
    if name == "stored_bytes":
        return file_size(value)
    if name == "parameters":
        return f"{compact(value)} ({value:,})"
    return visible(plain(value))


def show_training(result: Any, *, as_json: bool) -> None:
    """Print the result of a training run."""
    _show(result, as_json)


def show_sweep(found: Any, *, as_json: bool) -> None:
    """The table of a sweep, and what is still to do."""
    if as_json:
        _show(found, True)
        return
    console = the_console()
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    losses = ("loss", "validation")
    for heading in ("run", "blocks", "share", "seed", "trained", *losses, "epochs", "s"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    for cell in found.cells:
        table.add_row(
            cell.name, cell.blocks, f"{cell.share_of_blocks:.2f}", str(cell.seed),
            f"{cell.trainable:,}", _loss(cell.train_loss), _loss(cell.heldout_loss),
            str(cell.epochs), f"{cell.seconds:.0f}",
        )  # fmt: skip
    console.print(table)
    left = len(found.planned) - len(found.cells)
    if left:
        console.print(Text(f"{left} of {len(found.planned)} runs are not done yet"))
    console.print(Text(f"table: {found.out / 'sweep.csv'}"))


def show_study(study: Any) -> None:
    """The verdicts about the recipes, and what has to be known of the cells."""
    console = the_console()
    for recipe in study.recipes:
        seeds = ", ".join(map(str, recipe.seeds)) or "none yet"
        console.print(Text(f"{recipe.name} ({recipe.words}; seeds {seeds})", style="bold"))
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
        for heading in ("", "claim", "verdict", "effect [95 %]", "threshold"):
            left = heading in ("", "claim", "verdict")
            table.add_column(heading, justify="left" if left else "right")
        for name, claim in recipe.claims.items():
            tested = claim.effect is not None
            others = recipe.tested_in.get(name)
            verdict = f"see {', '.join(others)}" if others else claim.verdict.value
            table.add_row(
                name, Text(claim.statement), Text(verdict, style=_STYLES[claim.verdict]),
                effect_words(claim) if tested else "-", bound(claim) if tested else "-",
            )  # fmt: skip
        console.print(table)
    for note in study.notes:
        labelled(console, "note", visible(note))


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def show_trace(found: Trace) -> None:
    """One line per checkpoint with the main measures."""
    console = the_console()
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    names = ("ttr", "rep_4", "entropy", "heldout_loss", "override_rate")
    for heading in ("checkpoint", "epoch", "loss", *names, "growth at last block"):
        left = heading == "checkpoint"
        table.add_column(heading.replace("_", " "), justify="left" if left else "right")
    for point in found.points:
        growth = point.observed.growth
        table.add_row(
            point.name, str(point.epoch), words(point.train_loss),
            *(number(point.observed.figures[name].value) for name in names),
            "-" if growth is None else words(growth.last_block),
        )  # fmt: skip
    console.print(table)
    for warning in found.provenance.warnings:
        labelled(console, "note", visible(warning))


def show_summary(summary: Any, *, as_json: bool) -> None:
    """Print the summary of a checkpoint."""
    _show(summary, as_json)


def _show(item: Any, as_json: bool) -> None:
    values = dataclasses.asdict(item)
    if as_json:
        sys.stdout.write(json.dumps(values, indent=1, default=str, ensure_ascii=False) + "\n")
    else:
        notes = values.pop("notes", ())
        _pairs("", values)
        for note in notes:
            labelled(the_console(), "note", visible(note))


def show_plan(plan: Plan, *, as_json: bool) -> None:
    """The needs of a comparison, as lines or as one JSON document."""
    if as_json:
        facts = dataclasses.asdict(plan)
        facts |= {"peak_bytes": plan.peak_bytes, "fits": plan.fits, "advice": plan.advice()}
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        return
    console = the_console()
    for phase in plan.phases:
        labelled(console, f"memory, {phase.name}", size_words(phase.peak_bytes))
    labelled(console, "memory there is", size_words(plan.memory))
    labelled(console, "memory needed at least", size_words(plan.least))
    if plan.host:
        labelled(console, "memory of the machine beside", size_words(plan.host))
    kept = ", activations kept" if plan.kept else ""
    labelled(console, "groups of sites", f"{plan.groups}{kept}")
    labelled(console, "passes of each model", f"{plan.passes} over {plan.tokens} tokens")
    labelled(console, "greedy texts", f"{plan.generated} tokens at most")
    size = f"{plan.decompositions} of {plan.width} x {plan.width}"
    labelled(console, "eigen-decompositions", size)
    for name, seconds in plan.seconds.items():
        labelled(console, f"{name}, about", f"{seconds:.0f} s")
