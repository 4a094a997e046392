"""Tables of C12: the verdict's numbers, text, every intervention, and the profile by depth."""

from hyperinterp.claims.new_dimensions.result import NewDimensionsResult
from hyperinterp.drawing.escape import clip
from hyperinterp.drawing.table import Table, table, values


def tables(result: NewDimensionsResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (_quantities(result), _interventions(result), _texts(result), _depth(result))


def _whole(count: float) -> float | int:
    """A number of directions, which is broken only as a mean over draws."""
    return int(count) if count == int(count) else count


def _quantities(result: NewDimensionsResult) -> Table:
    """The numbers behind the verdict."""
    return values(
        "quantities", "Without the new dimensions",
        {
            "where": result.label,
            "base's leading directions": result.known,
            "new directions": result.available,
            "their growth, share of the fitted variance": result.growth,
            "new directions removed": result.declared,
            "share of the fitted variance in them": result.removed,
            **{
                f"share of the logits' variance: {kind}": share
                for kind, share in result.visible.items()
            },
            "overridden decisions": result.override_rate,
            "of those, from base rank > 10": result.deep_share,
            "overrides undone": result.undone,
            "margin over random directions of equal variance": result.above_random,
            "margin over the base's own leading directions": result.above_leading,
            "diversity gain undone while writing": result.diversity_undone,
            "prompts behind the directions": result.estimated_on,
            "token positions behind them": result.rows,
            "decisions": result.contexts,
            "blocks executed": result.blocks_run,
        },
    )  # fmt: skip


def _interventions(result: NewDimensionsResult) -> Table:
    """Every intervention at the last block."""
    return table(
        "interventions", "Interventions at the last block",
        (
            {
                "recipient": item.recipient, "given": item.given, "kind": item.kind,
                "dose": item.dose, "declared": item.declared, "directions": item.directions,
                "draws": item.draws, "removed": item.removed, "moved": item.moved,
                "deep_moved": item.deep_moved, "elsewhere": item.elsewhere,
                "disturbed": item.disturbed, "recovered_kl": item.recovered_kl,
            }
            for item in result.interventions
        ),
        {
            "recipient": "model", "kind": "directions", "directions": ("number", _whole),
            "given": "in their place", "removed": "share of variance", "moved": "undone / made",
            "deep_moved": "from the deep tail", "elsewhere": "to a third token",
            "disturbed": "other choices changed", "recovered_kl": "KL gone",
        },
        shut=True,
        brief=tuple(
            number for number, item in enumerate(result.interventions) if item.declared
        ),
    )  # fmt: skip


def _texts(result: NewDimensionsResult) -> Table:
    """Text written without directions."""
    return table(
        "texts", "Text without directions",
        (
            {
                "label": item.label, "kind": item.kind, "directions": item.directions,
                "ttr": item.ttr, "rep_4": item.rep_4, "undone": item.undone,
                "example": item.example,
            }
            for item in result.texts
        ),
        {
            "label": "model", "directions": "number", "ttr": "type-token ratio",
            "rep_4": "repeated 4-grams", "undone": "gain undone",
            "example": ("example", lambda text: clip(text, 160)),
        },
    )  # fmt: skip


def _depth(result: NewDimensionsResult) -> Table:
    """The same at other blocks."""
    return table(
        "depth", "By block",
        (
            {
                "layer": item.layer, "growth": item.growth, "directions": item.directions,
                "removed": item.removed, "undone": item.undone,
                "undone_random": item.undone_random, "undone_leading": item.undone_leading,
            }
            for item in result.profile
        ),
        {
            "layer": "block", "growth": "growth", "directions": "directions",
            "removed": "share of variance", "undone": "undone: new", "undone_random": "random",
            "undone_leading": "base's own leading",
        },
        shut=True,
        brief=tuple(range(len(result.profile)))[-1:],
    )  # fmt: skip
