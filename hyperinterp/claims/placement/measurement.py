"""C13: does it have to be the last blocks?"""

from collections.abc import Mapping

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
        apart = ["", "", *(difference(recipes[1], other) for other in recipes[2:])]
        twins = tuple(
            _twin(study, role, recipe, ttr[:, index], ttr[:, 0], values(side, "rep_4", keep), why)
            for index, (role, recipe, side, why) in enumerate(
                zip(roles, recipes, sides, apart, strict=True)
            )
        )
        alike = [index for index in range(2, len(twins)) if not twins[index].apart]
        held = alike or list(range(2, len(twins)))
        margin = resampled(bootstrap_contrast, ttr, target=1, others=held, seed=study.run.seed)
    best = max((twins[index] for index in held), key=lambda twin: twin.ttr.value or 0.0)
    ids = [study.heldout.prompt_id(int(row)) for row in np.flatnonzero(keep)]
    return PlacementResult(
        twins=twins,
        best=best.name,
        margin=margin,
        gain=twins[1].gain,
        unequal=_unfit(recipes[1], study.base.n_layers)
        or ("" if alike else "; ".join(f"{twin.name}: {twin.apart}" for twin in twins[2:])),
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


def difference(fitted: Recipe, other: Recipe) -> str:
    """Return in which respect beside the place a twin was trained differently, or "".

    What was not recorded is not held against them.

    Args:
        fitted: of the fitted model.
        other: of the twin.
    """
    if fitted.blocks is not None and fitted.blocks == other.blocks:
        return "it was trained in the same blocks as the fitted model"
    ours, theirs = fitted.trainable, other.trainable
    if ours is not None and theirs is not None and ours != theirs:
        return f"{theirs:,} of its parameters were trained, {ours:,} of the fitted model's"
    mine, its = fitted.loss, other.loss
    if mine is not None and its is not None and abs(its - mine) > LOSS_GAP:
        return f"its training loss {its:.3g} is not equal to the fitted model's {mine:.3g}"
    return ""


def _unfit(fitted: Recipe, n_layers: int) -> str:
    """The reason for which a fitted model is not one of trained last blocks, or ""."""
    if fitted.blocks is not None and fitted.layers is None:
        return f"the fitted model was trained in blocks {listed(fitted.blocks)}, not in the last"
    if fitted.blocks is not None and len(fitted.blocks) == n_layers:
        return "the fitted model was trained in all blocks"
    return ""


def _roles(study: Study) -> list[str]:
    return ["base", "fitted", *study.named("elsewhere")]


def _twin(
    study: Study, role: str, recipe: Recipe, ttr: np.ndarray, base: np.ndarray, rep: np.ndarray,
    apart: str,
) -> PlacedTwin:  # fmt: skip
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
        apart=apart,
    )
