"""Leading directions of new weights that have no counterpart in the old ones."""

from dataclasses import dataclass

from jaxtyping import Float64, Int
from torch import Tensor

from probes._foreign import Array, same_shape
from probes.weights.change import left_vectors, matrix


@dataclass(frozen=True, eq=False)
class Intruders:
    """The leading left singular vectors of the new weights beside all of the old ones.

    Attributes:
        similarity: The largest absolute cosine with an old singular vector, per leading new one,
            each in [0, 1], [top].
        intruders: Positions of those below the threshold, from 0 (the largest singular value).
        values: Singular values of the new weights, [top].
    """

    similarity: Float64[Tensor, " top"]
    intruders: Int[Tensor, " count"]
    values: Float64[Tensor, " top"]


def intruder_directions(
    before: Array, after: Array, *, top: int = 10, threshold: float = 0.5
) -> Intruders:
    """Return how alike the leading directions of the new weights are to any of the old ones.

    A leading left singular vector of the new matrix is an intruder where its cosine with every
    left singular vector of the old one is below the threshold. Directions of equal singular values
    have no own place in a matrix, so a near tie may look like an intruder that is none.

    Args:
        before: The old weights, [m n].
        after: The new weights, [m n].
        top: How many leading directions of the new weights are looked at, 1 or more.
        threshold: In (0, 1].

    Returns:
        `Intruders`, on the CPU; of min(top, m, n) directions.

    Raises:
        ValueError: for shapes that differ, NaN or infinity, `top` below 1, or a threshold outside
            (0, 1].

    Source: Shuttleworth et al. 2024, "LoRA vs full fine-tuning: an illusion of equivalence",
    arXiv:2410.21228, intruder dimensions.

    >>> import torch
    >>> old = torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    >>> new = torch.tensor([[0.0, 0.0], [0.0, 2.0], [5.0, 0.0]])
    >>> intruder_directions(old, new).intruders.tolist()
    [0]
    """
    old, new = matrix(before, "before"), matrix(after, "after")
    same_shape(old, new, "before", "after")
    if top < 1:
        raise ValueError(f"top: expected 1 or more, found {top}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: expected a number in (0, 1], found {threshold}")
    known, _ = left_vectors(old)
    leading, values = left_vectors(new)
    leading, values = leading[:, :top], values[:top]
    similarity = (known.mT @ leading).abs().amax(0).clamp_max(1.0).cpu()
    return Intruders(similarity, (similarity < threshold).nonzero().flatten(), values.cpu())
