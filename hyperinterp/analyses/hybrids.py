"""Text written by hybrids: does moving blocks move the behaviour? A part of C6."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyperinterp.analyses.exchanges import INTO_BASE, INTO_FITTED, span
from hyperinterp.analyses.intervals import mean_of
from hyperinterp.analyses.results import Measured
from hyperinterp.analyses.scoring import compared, together, values, window_scores
from hyperinterp.analyses.twins import gain_share
from hyperinterp.block import Brief
from hyperinterp.continuations import WRITTEN
from hyperinterp.distributed import ALONE
from hyperinterp.generation import GREEDY, Generated
from hyperinterp.models import Part, blocks, transplanted
from hyperinterp.study import Study


@dataclass(frozen=True)
class HybridText(Brief):
    """Diversity of greedy text written by a hybrid.

    Attributes:
        label: e.g. "base + fitted block 29"; "base" or "fitted" for a model as it is.
        layers: blocks taken from the donor; none for a model as it is.
        direction: "fitted into base" or "base into fitted"; "" for a model as it is.
        ttr: mean type-token ratio.
        rep_4: mean share of repeated 4-grams.
        gain_share: share of the fitted model's gain in type-token ratio over the base.
        example: one continuation.
    """

    label: str
    layers: tuple[int, ...]
    direction: str
    ttr: Measured
    rep_4: Measured
    gain_share: Measured
    example: str


@dataclass(frozen=True)
class Hybrid:
    """One model with blocks of the other."""

    direction: str
    layers: tuple[int, ...]

    @property
    def label(self) -> str:
        """Words for people, e.g. "base + fitted blocks 25-29"."""
        recipient, donor = ("base", "fitted") if self.direction == INTO_BASE else ("fitted", "base")
        return f"{recipient} + {donor} {span(self.layers)}"


def planned_hybrids(layers: int, largest: int) -> tuple[Hybrid, ...]:
    """Hybrids in the order of their interest, none of them twice.

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
    return tuple(dict.fromkeys(Hybrid(way, tuple(found)) for way, found in chosen if found))


def written_hybrids(
    study: Study, largest: int, differing: frozenset[Part]
) -> tuple[HybridText, ...]:
    """Greedy text of the hybrids on the first prompts, scored against base and fitted."""
    plan = planned_hybrids(study.base.n_layers, largest)[: study.sizes.hybrids]
    if not plan:
        return ()
    study.texts.order_greedy("base", "fitted")
    study.texts.greedy("base")  # by all processes together, before each writes hybrids of its own
    before = study.ledger.forwards[WRITTEN]
    texts = study.processes.mapped(lambda hybrid: _written(study, hybrid, differing), plan)
    study.ledger.forwards[WRITTEN] = before + sum(
        study.processes.everywhere(study.ledger.forwards[WRITTEN] - before)
    )
    return tuple(
        _scored(study, hybrid.label, hybrid.layers, hybrid.direction, text)
        for hybrid, text in zip(plan, texts, strict=True)
    )


def unchanged_texts(study: Study) -> tuple[HybridText, ...]:
    """Base and fitted model as they are, on the prompts of the hybrids and scored alike."""
    rows = study.control_rows
    return tuple(
        _scored(study, role, (), "", study.texts.greedy(role).chosen(rows))
        for role in ("base", "fitted")
    )


def _written(study: Study, hybrid: Hybrid, differing: frozenset[Part]) -> Generated:
    role, other = ("base", "fitted") if hybrid.direction == INTO_BASE else ("fitted", "base")
    parts = [part for part in blocks(hybrid.layers) if part in differing]
    if not parts:
        return study.texts.greedy(role).chosen(study.control_rows)
    with transplanted(study.model(role), study.model(other), parts) as model:
        arm = replace(GREEDY, rows=study.control_rows)
        found = study.texts.write(model, [arm], task=f"{hybrid.label} writes", processes=ALONE)
    return found[GREEDY.name]


def _scored(
    study: Study, label: str, layers: tuple[int, ...], direction: str, written: Generated
) -> HybridText:
    rows, window = study.control_rows, study.sizes.window
    own = window_scores(written, window)
    ends = (study.texts.greedy(role).chosen(rows) for role in ("base", "fitted"))
    sides = compared(window, *ends, written)
    mine, keep = together(own), together(*sides)
    return HybridText(
        label=label,
        layers=layers,
        direction=direction,
        ttr=mean_of(values(own, "ttr", mine)),
        rep_4=mean_of(values(own, "rep_4", mine)),
        gain_share=gain_share(*(values(side, "ttr", keep) for side in sides)),
        example=study.tokenizer.decode(written.rows[0]),
    )
