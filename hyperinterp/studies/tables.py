"""Tables of a study: verdicts about recipes, training, and every claim of every cell."""

from hyperinterp.claims.spec import Claim, Measured, Verdict, missing
from hyperinterp.drawing.numbers import compact
from hyperinterp.drawing.table import Table, table
from hyperinterp.studies.result import RecipeRow, StudyData


def tables(study: StudyData) -> tuple[Table, ...]:
    """Return every table, the verdicts about recipes first."""
    return (verdict_table(study), recipe_table(study), training_table(study), cell_table(study))


def verdict_table(study: StudyData) -> Table:
    """Return claims by recipes: each verdict with its effect over seeds and prompts."""
    rows = study.recipes[0].claims if study.recipes else {}
    records = (
        {"claim": name, "statement": row.statement}
        | {recipe.name: _verdict(recipe, name) for recipe in study.recipes}
        for name, row in rows.items()
    )
    read = {"claim": "", "statement": "claim"} | {it.name: it.name for it in study.recipes}
    read["claim"] = "id"
    return table(
        "verdicts", "Verdicts about the recipes", records, read,
        note="Effects with 95 % intervals over seeds and prompts, each claim for itself: not "
        "adjusted for the number of claims or recipes. Fewer than three seeds decide nothing.",
    )  # fmt: skip


def _verdict(recipe: RecipeRow, name: str) -> str:
    claim = recipe.claims[name]
    if claim.verdict is Verdict.NOT_TESTED:
        others = recipe.tested_in.get(name)
        return f"see {', '.join(others)}" if others else str(claim.verdict)
    return f"{claim.verdict} {effect(claim).inside()}"


def effect(claim: Claim) -> Measured:
    """Return a claim's effect with its interval."""
    return claim.conditions[0].measured if claim.conditions else missing(claim.why)


def recipe_table(study: StudyData) -> Table:
    """Return a row per recipe, claim and condition, to compute with."""
    return table(
        "recipes", "Conditions by recipe",
        (
            {
                "recipe": recipe.name, "claim": name, "verdict": str(claim.verdict),
                "condition": item.words, "value": item.measured, "threshold": item.threshold,
                "required": "above" if item.above else "below", "outcome": str(item.outcome),
                "seeds": item.measured.n, "method": item.measured.method,
            }
            for recipe in study.recipes
            for name, claim in recipe.claims.items()
            for item in claim.conditions
        ),
        {
            "recipe": "recipe", "claim": "claim", "condition": "condition", "value": "value",
            "threshold": "threshold", "outcome": "outcome", "seeds": "seeds",
        },
        shut=True,
    )  # fmt: skip


def training_table(study: StudyData) -> Table:
    """Return a row per cell: what was trained, and how far."""
    return table(
        "training", "Training",
        (
            {
                "cell": cell.name, "state": cell.state, "blocks": cell.blocks,
                "trainable": cell.trainable, "train_loss": cell.train_loss,
                "heldout_loss": cell.heldout_loss, "epochs": cell.epochs, "stop": cell.stop,
                "reason": cell.reason,
            }
            for cell in study.cells
        ),
        {
            "cell": "cell", "state": "state", "blocks": "blocks trained",
            "trainable": ("parameters trained", compact), "train_loss": "training loss",
            "heldout_loss": "validation loss", "epochs": "epochs", "stop": "ended by",
            "reason": "why it failed",
        },
    )  # fmt: skip


def cell_table(study: StudyData) -> Table:
    """Return a row per cell and claim: the verdict of the cell's own report."""
    records = (
        {
            "cell": cell.name, "recipe": cell.recipe, "seed": cell.seed, "claim": name,
            "verdict": str(found.verdict), "effect": found.effect, "threshold": found.threshold,
        }
        for cell in study.cells
        for name, found in cell.claims.items()
    )  # fmt: skip
    read = {"cell": "cell", "claim": "claim", "verdict": "verdict", "effect": "effect"}
    return table("cells", "Every claim of every cell", records, read, shut=True)
