"""The result of a study: every cell, and a verdict per claim about every recipe."""

from dataclasses import dataclass, field
from typing import Any

from hyperinterp.brief import Brief
from hyperinterp.claims.across import DepthGrowth, PlanePoint
from hyperinterp.claims.spec import Claim, Measured, Verdict
from hyperinterp.drawing.result import Result

STUDY_VERSION = "1.0"


@dataclass(frozen=True)
class CellClaim(Brief):
    """One claim in one cell's report.

    Attributes:
        verdict: the report's.
        effect: its effect with the interval over prompts.
        threshold: what the effect was held against; None when it was not tested.
        above: whether it had to lie above.
        why: the verdict in plain words.
    """

    verdict: Verdict
    effect: Measured
    threshold: float | None
    above: bool
    why: str


@dataclass(frozen=True)
class CellRow(Brief):
    """One cell: how it was trained, and what its comparison found.

    Attributes:
        name: its directory below `cells/`.
        recipe: what it has in common with its other seeds.
        seed: of the run.
        state: "done", "failed", "trained" (not compared yet) or "not done".
        reason: why it failed; "" when it did not.
        blocks: the blocks that were trained, as indices; "" before that.
        trainable: trained parameters; None before that.
        train_loss: of the last whole epoch, nats.
        heldout_loss: validation loss of the final weights, nats.
        epochs: whole epochs.
        stop: the rule that ended the run.
        claims: every claim of its report, by id.
        point: its text in the quality-diversity plane; None where that was not measured.
        growth: by depth; empty where that was not measured.
    """

    name: str
    recipe: str
    seed: int
    state: str
    reason: str = ""
    blocks: str = ""
    trainable: int | None = None
    train_loss: float | None = None
    heldout_loss: float | None = None
    epochs: int | None = None
    stop: str = ""
    claims: dict[str, CellClaim] = field(default_factory=dict)
    point: PlanePoint | None = None
    growth: tuple[DepthGrowth, ...] = ()


@dataclass(frozen=True)
class RecipeRow(Brief):
    """One recipe over its seeds.

    Attributes:
        name: as in the names of its cells.
        words: in words.
        seeds: those whose comparison is done.
        claims: by id, judged over seeds and prompts by the claim's own rule.
        tested_in: for a claim that this recipe cannot test, the recipes that do, by id.
    """

    name: str
    words: str
    seeds: tuple[int, ...]
    claims: dict[str, Claim]
    tested_in: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyData(Result):
    """Every cell of a study, and what is said of its recipes.

    Attributes:
        schema_version: version of this layout.
        model: the base, as it was named.
        fingerprint: of its weights.
        config: the study, every field filled in.
        texts: digests of the texts, by their use.
        versions: of hyperinterp and what computes.
        recipes: in the order of the study.
        cells: in the order of the study.
        beside: people and the base in the quality-diversity plane.
        notes: what has to be known to read it.
    """

    schema_version: str
    model: str
    fingerprint: str
    config: dict[str, Any]
    texts: dict[str, str]
    versions: dict[str, str]
    recipes: tuple[RecipeRow, ...]
    cells: tuple[CellRow, ...]
    beside: tuple[PlanePoint, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def left(self) -> tuple[str, ...]:
        """Names of the cells that are neither done nor failed."""
        return tuple(cell.name for cell in self.cells if cell.state not in ("done", "failed"))

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the cells that failed."""
        return tuple(cell.name for cell in self.cells if cell.state == "failed")
