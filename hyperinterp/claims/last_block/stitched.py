"""Text written by stitched models: does moving blocks move the behaviour? A part of C6."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyperinterp.analyses.intervals import mean_of
from hyperinterp.analyses.predictions import gain_share
from hyperinterp.analyses.scoring import compared, together, values, window_scores
from hyperinterp.claims.last_block.patches import INTO_BASE, INTO_FITTED, span
from hyperinterp.claims.last_block.result import StitchedText
from hyperinterp.distributed import ALONE
from hyperinterp.generation import GREEDY, Generated
from hyperinterp.generations import WRITTEN
from hyperinterp.models import Component, blocks, patched
from hyperinterp.under_comparison import Study


@dataclass(frozen=True)
class StitchedModel:
    """One model with blocks of the other."""

    direction: str
    layers: tuple[int, ...]

    @property
    def label(self) -> str:
        """Words for people, e.g. "base + fitted blocks 25-29"."""
        recipient, donor = ("base", "fitted") if self.direction == INTO_BASE else ("fitted", "base")
        return f"{recipient} + {donor} {span(self.layers)}"


def planned_models(layers: int, largest: int) -> tuple[StitchedModel, ...]:
    """Stitched models in the order of their interest, none of them twice.

    Args:
        layers: number of blocks.
        largest: the block whose function alone recovers most.
    """
    last, every = layers - 1, range(layers)
    late = 5 if layers > 5 else max(1, layers // 2)
    third = max(1, layers // 3)
    chosen: list[tuple[str, Sequence[int]]] = [
        (INTO_BASE, [last]),
        (INTO_FITTED, [last]),
        (INTO_BASE, every[-late:]),
        (INTO_BASE, every[:-late]),
        (INTO_BASE, [largest]),
        (INTO_BASE, every[third : layers - third]),
        (INTO_BASE, every[:third]),
        (INTO_BASE, every[-third:]),
        (INTO_BASE, every),
        (INTO_FITTED, every[-late:]),
        (INTO_FITTED, every[:-late]),
        (INTO_FITTED, [largest]),
        (INTO_BASE, every[:-1]),
        (INTO_BASE, every[third:]),
        (INTO_BASE, every[: layers // 2]),
        (INTO_BASE, every[layers // 2 :]),
    ]
    return tuple(dict.fromkeys(StitchedModel(way, tuple(found)) for way, found in chosen if found))


def stitched_texts(
    study: Study, largest: int, differing: frozenset[Component]
) -> tuple[StitchedText, ...]:
    """Greedy text of the stitched models on the first prompts, scored against base and fitted."""
    plan = planned_models(study.base.n_layers, largest)[: study.sizes.stitched]
    if not plan:
        return ()
    study.shared.texts.order_greedy("base", "fitted")
    study.shared.texts.greedy(
        "base"
    )  # by all processes together, before each writes stitched models of its own
    before = study.run.log.forwards[WRITTEN]
    texts = study.run.processes.mapped(lambda stitched: _written(study, stitched, differing), plan)
    study.run.log.forwards[WRITTEN] = before + sum(
        study.run.processes.everywhere(study.run.log.forwards[WRITTEN] - before)
    )
    return tuple(
        _scored(study, stitched.label, stitched.layers, stitched.direction, text)
        for stitched, text in zip(plan, texts, strict=True)
    )


def unchanged_texts(study: Study) -> tuple[StitchedText, ...]:
    """Base and fitted model as they are, on the prompts of the stitched models and scored alike."""
    rows = study.heldout.control_rows
    return tuple(
        _scored(study, role, (), "", study.shared.texts.greedy(role).chosen(rows))
        for role in ("base", "fitted")
    )


def _written(study: Study, stitched: StitchedModel, differing: frozenset[Component]) -> Generated:
    role, other = ("base", "fitted") if stitched.direction == INTO_BASE else ("fitted", "base")
    components = [one for one in blocks(stitched.layers) if one in differing]
    if not components:
        return study.shared.texts.greedy(role).chosen(study.heldout.control_rows)
    with patched(study.model(role), study.model(other), components) as model:
        arm = replace(GREEDY, rows=study.heldout.control_rows)
        found = study.shared.texts.write(
            model, [arm], task=f"{stitched.label} writes", processes=ALONE
        )
    return found[GREEDY.name]


def _scored(
    study: Study, label: str, layers: tuple[int, ...], direction: str, written: Generated
) -> StitchedText:
    rows, window = study.heldout.control_rows, study.sizes.window
    own = window_scores(written, window)
    ends = (study.shared.texts.greedy(role).chosen(rows) for role in ("base", "fitted"))
    sides = compared(window, *ends, written)
    mine, keep = together(own), together(*sides)
    return StitchedText(
        label=label,
        layers=layers,
        direction=direction,
        ttr=mean_of(values(own, "ttr", mine)),
        rep_4=mean_of(values(own, "rep_4", mine)),
        gain_share=gain_share(*(values(side, "ttr", keep) for side in sides)),
        example=study.heldout.tokenizer.decode(written.rows[0]),
    )
