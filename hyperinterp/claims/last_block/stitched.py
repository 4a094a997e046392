"""Text written by stitched models: does moving blocks move the behaviour? A part of C6."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperinterp.analyses.intervals import mean_of
from hyperinterp.analyses.predictions import gain_share
from hyperinterp.analyses.scoring import compared, together, values, window_scores
from hyperinterp.claims.last_block.patches import INTO_BASE, INTO_FITTED, differing, span
from hyperinterp.claims.last_block.result import StitchedText
from hyperinterp.generation import GREEDY, Decoding, Generated
from hyperinterp.models import Component, Stitch, blocks
from hyperinterp.under_comparison import Study


@dataclass(frozen=True)
class StitchedModel:
    """One model with blocks of the other."""

    direction: str
    layers: tuple[int, ...]

    @property
    def recipient(self) -> str:
        """The role of the model whose other blocks it has."""
        return "base" if self.direction == INTO_BASE else "fitted"

    @property
    def donor(self) -> str:
        """The role of the model that these blocks come from."""
        return "fitted" if self.direction == INTO_BASE else "base"

    @property
    def label(self) -> str:
        """Words for people, e.g. "base + fitted blocks 25-29"."""
        return f"{self.recipient} + {self.donor} {span(self.layers)}"


def planned_models(
    layers: int, largest: int | None, most: int | None = None
) -> tuple[StitchedModel, ...]:
    """Stitched models in the order of their interest, none of them twice.

    Args:
        layers: number of blocks.
        largest: the block whose function alone recovers most; None before it is known, for those
            that are planned whichever it is.
        most: so many of them; all by default.
    """
    last, every = layers - 1, range(layers)
    late = 5 if layers > 5 else max(1, layers // 2)
    third = max(1, layers // 3)
    first: list[int | None] = [largest]
    chosen: list[tuple[str, Sequence[int | None]]] = [
        (INTO_BASE, [last]),
        (INTO_FITTED, [last]),
        (INTO_BASE, every[-late:]),
        (INTO_BASE, every[:-late]),
        (INTO_BASE, first),
        (INTO_BASE, every[third : layers - third]),
        (INTO_BASE, every[:third]),
        (INTO_BASE, every[-third:]),
        (INTO_BASE, every),
        (INTO_FITTED, every[-late:]),
        (INTO_FITTED, every[:-late]),
        (INTO_FITTED, first),
        (INTO_BASE, every[:-1]),
        (INTO_BASE, every[third:]),
        (INTO_BASE, every[: layers // 2]),
        (INTO_BASE, every[layers // 2 :]),
    ]
    distinct = list(dict.fromkeys((way, tuple(found)) for way, found in chosen if found))[:most]
    return tuple(
        StitchedModel(way, tuple(layer for layer in found if layer is not None))
        for way, found in distinct
        if None not in found
    )


def order_known(study: Study) -> None:
    """Order texts of the stitched models that are planned whatever is found, with all others."""
    planned = planned_models(study.base.n_layers, None, study.sizes.stitched)
    layers = {layer for stitched in planned for layer in stitched.layers}
    changed = differing(study.base, study.fitted, blocks(sorted(layers)))
    for stitched in planned:
        _order(study, stitched, changed)


def stitched_texts(
    study: Study, largest: int, changed: frozenset[Component]
) -> tuple[StitchedText, ...]:
    """Greedy text of the stitched models on the first prompts, scored against base and fitted."""
    plan = planned_models(study.base.n_layers, largest, study.sizes.stitched)
    if not plan:
        return ()
    arms = [_order(study, stitched, changed) for stitched in plan]
    return tuple(
        _scored(study, it.label, it.layers, it.direction, _written(study, it.recipient, arm))
        for it, arm in zip(plan, arms, strict=True)
    )


def unchanged_texts(study: Study) -> tuple[StitchedText, ...]:
    """Base and fitted model as they are, on the prompts of the stitched models and scored alike."""
    return tuple(
        _scored(study, role, (), "", _written(study, role, GREEDY)) for role in ("base", "fitted")
    )


def _order(study: Study, stitched: StitchedModel, changed: frozenset[Component]) -> Decoding:
    """Order the texts of a stitched model; the recipient's own where no block differs."""
    role, other = stitched.recipient, stitched.donor
    paired = zip(stitched.layers, blocks(stitched.layers), strict=True)
    layers = tuple(layer for layer, one in paired if one in changed)
    arm = GREEDY
    if layers:
        stitch = Stitch(study.model(role), study.model(other), layers)
        arm = Decoding(stitched.label, rows=study.heldout.control_rows, stitch=stitch)
    study.shared.texts.order(role, [arm])
    return arm


def _written(study: Study, role: str, arm: Decoding) -> Generated:
    """The texts of an arm that was ordered, after the prompts of the stitched models."""
    found = study.shared.texts.of(role, arm.name)
    return found if arm.rows is not None else found.chosen(study.heldout.control_rows)


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
