"""Type-token ratio, distinct-n, rep-n and repeated spans of one sequence of token ids."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probes._foreign import Ids, id_list

_LONGEST = 4


def generated_window(
    ids: Ids,
    window: int | None = 96,
    eos: int | Collection[int] | None = None,
    pad: int | None = None,
) -> list[int]:
    """The last `window` ids that a model really generated.

    The sequence ends before its first end-of-sequence id (the mark itself is not a word and does
    not count); ids equal to `pad` at the very end are dropped. What remains may be shorter than
    the window, or empty.

    Args:
        ids: What was generated after the prompt, [n].
        window: Ids to keep, 1 or more; None keeps all.
        eos: End-of-sequence id or ids.
        pad: Padding id, for sequences that stop without one.

    Returns:
        A list of ids.

    Raises:
        ValueError: for a window below 1, or ids that are not one sequence of non-negative ints.

    >>> generated_window([5, 6, 7, 2, 0, 0], window=2, eos=2)
    [6, 7]
    """
    if window is not None and window < 1:
        raise ValueError(f"window: expected 1 or more, found {window}")
    out = id_list(ids)
    ends = set() if eos is None else {eos} if isinstance(eos, int) else set(eos)
    stop = next((i for i, token in enumerate(out) if token in ends), len(out))
    while pad is not None and stop and out[stop - 1] == pad:
        stop -= 1
    return out[:stop] if window is None else out[:stop][-window:]


def _distinct(ids: list[int], n: int) -> float:
    total = len(ids) - n + 1
    return len({tuple(ids[i : i + n]) for i in range(total)}) / total


def distinct_n(ids: Ids, n: int) -> float:
    """Different n-grams over all n-grams of one sequence, in (0, 1]; 1 where none repeats.

    After Li et al. 2016, arXiv:1510.03055, but over the number of n-grams (not of tokens), so that
    it equals 1 - rep-n.

    Args:
        ids: One sequence.
        n: Length of the n-grams, 1 or more.

    Raises:
        ValueError: for n below 1 or a sequence shorter than n.

    >>> distinct_n([1, 2, 1, 2], 2)
    0.6666666666666666
    """
    tokens = id_list(ids)
    if n < 1 or len(tokens) < n:
        raise ValueError(f"ids: expected {max(n, 1)} ids or more for n = {n}, found {len(tokens)}")
    return _distinct(tokens, n)


def type_token_ratio(ids: Ids) -> float:
    """Different ids over all ids of one sequence, in (0, 1]. Falls with length: fix the window.

    Raises:
        ValueError: for an empty sequence.

    >>> type_token_ratio([1, 2, 1, 2])
    0.5
    """
    return distinct_n(ids, 1)


def rep_n(ids: Ids, n: int) -> float:
    """1 - different n-grams / n-grams of one sequence, in [0, 1); 0 where none repeats.

    Welleck et al. 2020, arXiv:1908.04319 (seq-rep-n).

    Args:
        ids: One sequence.
        n: Length of the n-grams, 1 or more.

    Raises:
        ValueError: for n below 1 or a sequence shorter than n.

    >>> round(rep_n([1, 2, 1, 2], 2), 3)
    0.333
    """
    return 1.0 - distinct_n(ids, n)


def diversity_product(ids: Ids) -> float:
    """Return the product of distinct-2, distinct-3 and distinct-4 of one sequence, in (0, 1].

    prod over n of (1 - rep-n), the "diversity" of Su et al. 2022, arXiv:2202.06417.

    Args:
        ids: One sequence of 4 ids or more.

    Raises:
        ValueError: for a shorter sequence.

    >>> diversity_product([1, 2, 3, 4, 5])
    1.0
    """
    return distinct_n(ids, 4) * distinct_n(ids, 3) * distinct_n(ids, 2)


def type_token_ratio_by_position(ids: Ids) -> Float[Tensor, " n"]:
    """Return the type-token ratio of the first k ids of one sequence, for every k.

    Args:
        ids: One sequence, not empty.

    Returns:
        Float64 of shape [n], in (0, 1]; the last one is `type_token_ratio`.

    Raises:
        ValueError: for an empty sequence.

    >>> type_token_ratio_by_position([7, 7, 8, 7]).tolist()
    [1.0, 0.5, 0.6666666666666666, 0.5]
    """
    tokens = id_list(ids)
    if not tokens:
        raise ValueError("ids: expected at least one id, found none")
    new: list[bool] = []
    seen: set[int] = set()
    for token in tokens:
        new.append(token not in seen)
        seen.add(token)
    types = torch.tensor(new, dtype=torch.float64).cumsum(0)
    return types / torch.arange(1, len(tokens) + 1)


@dataclass(frozen=True)
class DiversityScores:
    """Scores of n sequences, one per prompt; each tensor is [n], on the CPU.

    Attributes:
        lengths: Ids in each sequence.
        defined: Where the sequence is long enough; elsewhere every score holds 0 and must not be
            averaged: use `mean` or index with this mask.
        ttr: Type-token ratio.
        distinct_1: Distinct-1, the same number as `ttr`.
        distinct_2: Distinct-2.
        distinct_3: Distinct-3.
        distinct_4: Distinct-4.
        rep_2: 1 - distinct-2.
        rep_3: 1 - distinct-3.
        rep_4: 1 - distinct-4.
    """

    lengths: Int[Tensor, " n"]
    defined: Bool[Tensor, " n"]
    ttr: Float[Tensor, " n"]
    distinct_1: Float[Tensor, " n"]
    distinct_2: Float[Tensor, " n"]
    distinct_3: Float[Tensor, " n"]
    distinct_4: Float[Tensor, " n"]
    rep_2: Float[Tensor, " n"]
    rep_3: Float[Tensor, " n"]
    rep_4: Float[Tensor, " n"]

    def mean(self, score: str) -> float:
        """Mean of one score over the defined sequences, for example `mean("ttr")`.

        Raises:
            ValueError: where no sequence is defined.
        """
        if not bool(self.defined.any()):
            raise ValueError(f"{score}: expected a defined sequence, found none")
        return float(getattr(self, score)[self.defined].mean())


def diversity_scores(sequences: Sequence[Ids], min_length: int = _LONGEST) -> DiversityScores:
    """Score each sequence on its own, so that callers can resample prompts.

    A sequence shorter than `min_length` (an early end of sequence) is not defined: it has no
    4-gram, or too few ids to compare.

    Args:
        sequences: One sequence of ids per prompt, as `generated_window` gives it.
        min_length: Ids that a sequence must have, 4 or more.

    Returns:
        `DiversityScores` in float64.

    Raises:
        ValueError: for no sequences, or `min_length` below 4.

    >>> diversity_scores([[1, 2, 3, 1, 2], [7]]).defined
    tensor([ True, False])
    """
    if len(sequences) == 0:
        raise ValueError("sequences: expected at least one, found none")
    if min_length < _LONGEST:
        raise ValueError(f"min_length: expected {_LONGEST} or more, found {min_length}")
    lists = [id_list(ids, f"sequences[{i}]") for i, ids in enumerate(sequences)]
    lengths = torch.tensor([len(ids) for ids in lists])
    defined = lengths >= min_length
    table = torch.zeros(_LONGEST, len(lists), dtype=torch.float64)
    for column, (ids, ok) in enumerate(zip(lists, defined.tolist(), strict=True)):
        if ok:
            scores = [_distinct(ids, n) for n in range(1, _LONGEST + 1)]
            table[:, column] = torch.tensor(scores, dtype=torch.float64)
    repeats = torch.where(defined, 1.0 - table, 0.0)
    return DiversityScores(lengths, defined, table[0], *table, *repeats[1:])


def spans_of(marked: Sequence[bool]) -> list[tuple[int, int]]:
    """The runs of True as (start, stop).

    >>> spans_of([False, True, True, False, True])
    [(1, 3), (4, 5)]
    """
    edges = [
        i for i, (a, b) in enumerate(zip([False, *marked], [*marked, False], strict=True)) if a != b
    ]
    return list(zip(edges[::2], edges[1::2], strict=True))


def repeated_spans(ids: Ids, min_length: int = 4) -> list[tuple[int, int]]:
    """Parts of a sequence that occurred earlier in it, as (start, stop), ascending and apart.

    A position is marked when it lies in a run of `min_length` ids that also starts at an earlier
    position; the earlier occurrence may overlap, so a loop is marked from its second turn on.
    Spans that touch are merged.

    Args:
        ids: One sequence.
        min_length: Ids that a repeated run must have.

    Raises:
        ValueError: for `min_length` below 1, or ids that are not one sequence.

    >>> repeated_spans([1, 2, 3, 9, 1, 2, 3, 8], min_length=3)
    [(4, 7)]
    """
    if min_length < 1:
        raise ValueError(f"min_length: expected 1 or more, found {min_length}")
    tokens, seen = id_list(ids), set[tuple[int, ...]]()
    marked = [False] * len(tokens)
    for start in range(len(tokens) - min_length + 1):
        gram = tuple(tokens[start : start + min_length])
        if gram in seen:
            marked[start : start + min_length] = [True] * min_length
        seen.add(gram)
    return spans_of(marked)
