"""The change of the weights, and what lies on the way from base to fitted."""

from hyperinterp.looks.weights.matrices import changed_matrices, differing_weights
from hyperinterp.looks.weights.points import points
from hyperinterp.looks.weights.result import WeightsResult
from hyperinterp.under_comparison import Study


def measure(study: Study) -> WeightsResult:
    """Compare every matrix of the pair, and walk from base to fitted.

    Args:
        study: the pair, its prompts and sizes.

    Raises:
        InputRefused: weights that are packed, held apart, or not all on one device.
    """
    base, fitted = study.base, study.fitted
    pairs = {name: (old, new) for name, old, new in differing_weights(base, fitted)}
    tick = study.run.log.ticker("matrices are compared", max(1, len(pairs)))
    matrices, others = changed_matrices(base, fitted, tick)
    every = sum(weight.ndim == 2 for weight in base.hf.parameters())
    return WeightsResult(
        matrices=matrices,
        same=max(0, every - len(matrices)),
        others=others,
        points=points(study, pairs) if pairs else (),
    )
