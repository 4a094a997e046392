"""Classes of tokens by how often they occur in a corpus."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from probes._foreign import Ids, integers
from probes.devices import home

FREQUENCY_CLASSES = ("unseen", "rare", "mid", "frequent", "top")
"""Names of the classes that `frequency_class` gives with its default edges."""

_DEFAULT_EDGES = (0.5, 0.8, 0.95)


def frequency_class(counts: Ids, edges: Sequence[float] | None = None) -> Int[Tensor, " v"]:
    """Class of each token by the share of all text that more frequent tokens cover.

    0 is a token that never occurs. For the others let m be the share of the total count held by
    tokens that are strictly more frequent; with the default edges the class is 4 ("top") for
    m < 0.5, 3 ("frequent") for m < 0.8, 2 ("mid") for m < 0.95 and 1 ("rare") beyond. Tokens with
    the same count get the same class, and a greater count never a lower one.

    Args:
        counts: Occurrences of each token, shape [v].
        edges: Other shares, ascending in (0, 1); e edges make classes 0 to e + 1.

    Returns:
        int64 of shape [v].

    Raises:
        ValueError: for no counts, negative counts, counts that are all 0, or bad edges.

    >>> [FREQUENCY_CLASSES[i] for i in frequency_class([60, 25, 10, 5, 0])]
    ['top', 'frequent', 'mid', 'rare', 'unseen']
    """
    tally = home(integers(counts, "counts"))
    if tally.ndim != 1 or len(tally) == 0:
        raise ValueError(f"counts: expected shape [v], found {list(tally.shape)}")
    if int(tally.min()) < 0 or int(tally.max()) == 0:
        raise ValueError("counts: expected counts of 0 or more, not all 0")
    cuts = tuple(_DEFAULT_EDGES if edges is None else edges)
    if not cuts or not all(a < b for a, b in zip((0.0, *cuts), (*cuts, 1.0), strict=True)):
        raise ValueError(f"edges: expected ascending shares in (0, 1), found {cuts}")
    ordered = tally.sort(descending=True).values
    covered = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    # Entries strictly greater than a count come before its first place in the descending order.
    ahead = covered[torch.searchsorted(-ordered, -tally)]
    share = ahead.double() / covered[-1]
    edge = torch.tensor(cuts, dtype=torch.float64, device=tally.device)
    above = torch.bucketize(share, edge, right=True)
    return torch.where(tally > 0, len(cuts) + 1 - above, 0)
