"""C13: does it have to be the last blocks?"""

from collections.abc import Mapping, Sequence

import numpy as np

from hyperinterp.analyses.intervals import mean_of, resampled
from hyperinterp.analyses.recipes import Recipe, recorded
from hyperinterp.analyses.scoring import compared, together, values
from hyperinterp.blocks import listed
from hyperinterp.claims.placement import LOSS_GAP
from hyperinterp.claims.placement.result import PlacedPrompt, PlacedTwin, PlacementResult
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.under_comparison import Study
from probes import bootstrap_contrast


def prepare(study: Study) -> None:
    """Orders the texts."""
    study.shared.texts.order_greedy(*_roles(study))


def measure(study: Study) -> PlacementResult:
    """Measure the text of every twin on the same prompts, cut to the same lengths."""
    roles = _roles(study)
    texts = study.shared.texts
    with study.run.log.timed("placement"):
        sides = compared(study.sizes.window, *(texts.greedy(role) for role in roles))
        keep = together(*sides)
        ttr = np.stack([values(side, "ttr", keep) for side in sides], axis=1)
        recipes = [recorded(study.model(role)) for role in roles]
        twins = tuple(
            _twin(study, role, recipe, ttr[:, index], ttr[:, 0], values(side, "rep_4", keep))
            for index, (role, recipe, side) in enumerate(zip(roles, recipes, sides, strict=True))
        )
        others = list(range(1, ttr.shape[1] - 1))
        margin = resampled(
            bootstrap_contrast, ttr[:, 1:], target=0, others=others, seed=study.run.seed
        )
    best = max(twins[2:], key=lambda twin: twin.ttr.value or 0.0)
    ids = [study.heldout.prompt_id(int(row)) for row in np.flatnonzero(keep)]
    return PlacementResult(
        twins=twins,
        best=best.name,
        margin=margin,
        gain=twins[1].gain,
        unequal=unequal(recipes[1:], study.base.n_layers),
        prompts=tuple(
            PlacedPrompt(name, tuple(map(float, row))) for name, row in zip(ids, ttr, strict=True)
        ),
    )


def quantities(result: PlacementResult) -> dict[str, Measured]:
    """Return what the rule judges: no margin between twins that differ in more than the place."""
    margin = missing(result.unequal) if result.unequal else result.margin
    return {"margin": margin, "gain": result.gain}


def units(result: PlacementResult) -> dict[str, Mapping[str, float]]:
    """Return the values of single prompts behind the quantities that are means over prompts."""
    gains = {item.prompt_id: item.ttr[1] - item.ttr[0] for item in result.prompts}
    best = next(n for n, twin in enumerate(result.twins) if n > 1 and twin.name == result.best)
    margins = {item.prompt_id: item.ttr[1] - item.ttr[best] for item in result.prompts}
    return {"gain": gains} if result.unequal else {"gain": gains, "margin": margins}


def unequal(recipes: Sequence[Recipe], n_layers: int) -> str:
    """Return in which respect beside the place twins were trained differently, or "".

    What was not recorded is not held against them.

    Args:
        recipes: of the fitted model, then of the others.
        n_layers: blocks of the model.
    """
    fitted = recipes[0]
    if fitted.blocks is not None and fitted.layers is None:
        return f"the fitted model was trained in blocks {listed(fitted.blocks)}, not in the last"
    if fitted.blocks is not None and len(fitted.blocks) == n_layers:
        return "the fitted model was trained in all blocks"
    if any(item.blocks is not None and item.blocks == fitted.blocks for item in recipes[1:]):
        return "a twin was trained in the same blocks as the fitted model"
    counts = sorted({item.trainable for item in recipes if item.trainable is not None})
    if len(counts) > 1:
        return f"from {counts[0]:,} to {counts[-1]:,} parameters were trained"
    losses = sorted(item.loss for item in recipes if item.loss is not None)
    if losses and losses[-1] - losses[0] > LOSS_GAP:
        return f"training losses from {losses[0]:.3g} to {losses[-1]:.3g} are not equal"
    return ""


def _roles(study: Study) -> list[str]:
    return ["base", "fitted", *study.named("elsewhere")]


def _twin(
    study: Study, role: str, recipe: Recipe, ttr: np.ndarray, base: np.ndarray, rep: np.ndarray
) -> PlacedTwin:
    trained = role != "base"
    return PlacedTwin(
        name=study.model(role).name,
        role=role.partition(" ")[0],
        blocks=listed(recipe.blocks) if trained and recipe.blocks else None,
        trainable_parameters=recipe.trainable if trained else None,
        train_loss=recipe.loss if trained else None,
        ttr=mean_of(ttr),
        gain=mean_of(ttr - base) if trained else missing("the base itself"),
        rep_4=mean_of(rep),
    )
