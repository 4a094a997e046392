"""Text generated while the component in some directions is set to its mean at every step."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from hyperinterp.analyses.intervals import mean_of
from hyperinterp.analyses.predictions import gain_share
from hyperinterp.analyses.scoring import compared, together, values, window_scores
from hyperinterp.claims.new_dimensions.directions import (
    LEADING,
    NEW,
    RANDOM,
    Directions,
    SiteDirections,
)
from hyperinterp.claims.new_dimensions.interventions import MEAN, Job, replaced
from hyperinterp.claims.new_dimensions.result import AblatedText
from hyperinterp.claims.spec import Measured
from hyperinterp.generation import Decoding, Generated
from hyperinterp.under_comparison import Study


def order_texts(study: Study, site: SiteDirections, numbers: Sequence[int]) -> None:
    """Have the fitted model write without directions, beside all else that is written.

    Args:
        study: the pair, its prompts and its texts.
        site: the last block's directions.
        numbers: of the prompts.
    """
    if not study.sizes.stitched:
        return
    texts = study.shared.texts
    texts.order_greedy("base", "fitted")
    texts.order("fitted", [_arm(study, site, it, numbers) for _, it in _written(study, site) if it])


def ablated_texts(
    study: Study, site: SiteDirections, numbers: Sequence[int]
) -> tuple[AblatedText, ...]:
    """Return the text of both models as they are, and of the fitted one without directions.

    Args:
        study: the pair, its prompts and its texts.
        site: the last block's directions.
        numbers: of the prompts.
    """
    if not study.sizes.stitched:
        return ()
    base, fitted = (study.shared.texts.greedy(role).chosen(numbers) for role in ("base", "fitted"))
    found = [_scored(study, role, "", 0, text, (base, fitted)) for role, text in
             (("base", base), ("fitted", fitted))]  # fmt: skip
    for kind, item in _written(study, site):
        if item is None:  # nothing has grown: nothing is taken away
            if kind == NEW:
                found.append(_scored(study, _label(kind), kind, 0, fitted, (base, fitted)))
            continue
        text = study.shared.texts.of("fitted", _label(kind))
        count = item.basis.shape[1]
        found.append(_scored(study, _label(kind), kind, count, text, (base, fitted)))
    return tuple(found)


def _label(kind: str) -> str:
    names = {NEW: "new", RANDOM: "random", LEADING: "the base's leading"}
    return f"fitted without {names[kind]} directions"


def _written(study: Study, site: SiteDirections) -> list[tuple[str, Directions | None]]:
    """Directions that are taken away while writing, by kind; None for those that there are not."""
    first = {item.kind: item for item in reversed(site.verdict)}
    return [(kind, first.get(kind)) for kind in (NEW, RANDOM, LEADING)[: study.sizes.stitched]]


def _arm(
    study: Study, site: SiteDirections, directions: Directions, numbers: Sequence[int]
) -> Decoding:
    """Greedy text of the fitted model whose component in some directions is its mean."""
    layer = study.fitted.n_layers - 1
    job = Job("fitted", layer, directions, MEAN, site.means["fitted"])

    def change(stream: Tensor) -> Tensor:
        return replaced(job, stream, stream)

    return Decoding(_label(directions.kind), rows=tuple(numbers), change=change)


def _scored(
    study: Study,
    label: str,
    kind: str,
    directions: int,
    written: Generated,
    ends: tuple[Generated, Generated],
) -> AblatedText:
    window = study.sizes.window
    own = window_scores(written, window)
    sides = compared(window, *ends, written)
    mine, keep = together(own), together(*sides)
    kept = gain_share(*(values(side, "ttr", keep) for side in sides))
    return AblatedText(
        label=label,
        kind=kind,
        directions=directions,
        ttr=mean_of(values(own, "ttr", mine)),
        rep_4=mean_of(values(own, "rep_4", mine)),
        undone=_rest(kept),
        example=study.heldout.tokenizer.decode(written.rows[0]),
    )


def _rest(share: Measured) -> Measured:
    """One minus a share."""
    if share.value is None:
        return share
    ends = (None if end is None else 1 - end for end in (share.hi, share.lo))
    lo, hi = ends
    return replace(share, value=1 - share.value, lo=lo, hi=hi)
