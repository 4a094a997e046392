"""Overlap of generated ids with a corpus: shared n-grams and the longest copied span.

The corpus is held as a suffix array: all its suffixes in lexicographic order, built with numpy by
prefix doubling (Manber and Myers 1993) in O(N log N) per doubling, N at most 2^31. Looking up a
sequence is a binary search from each of its positions at once; nothing is hashed, so there
are no collisions. A span never runs from one source sequence into the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probes._foreign import Ids, id_list, integers
from probes.diversity.repetition import spans_of

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class CopiedSpan:
    """The longest run of ids that also occurs in a corpus.

    Attributes:
        length: Ids in the run; 0 where no id of the sequence occurs in the corpus.
        start: Its first position in the sequence (the first of several runs of this length).
        source_index: Which corpus sequence holds it first; None where `length` is 0.
        source_start: Its first position there; None where `length` is 0.
    """

    length: int
    start: int
    source_index: int | None
    source_start: int | None


class NgramIndex:
    """All n-grams of a corpus, for exact look-ups of n-grams and of the longest copied span.

    Args:
        sequences: Token ids of each source; empty ones are allowed.
        n: Length of the n-grams that `copied_share` and `copied_spans` look up.

    Memory: 24 bytes per token when built, about twice that while building.

    >>> index = NgramIndex([[1, 2, 3, 4], [9, 9]], n=2)
    >>> index.contains([2, 3, 9]).tolist()
    [True, False]
    """

    def __init__(self, sequences: Sequence[Ids], n: int = 8) -> None:
        if n < 1:
            raise ValueError(f"n: expected 1 or more, found {n}")
        parts = [_checked(ids, f"sequences[{i}]") for i, ids in enumerate(sequences)]
        lengths = np.array([len(part) for part in parts], dtype=np.int64)
        if lengths.sum() == 0:
            raise ValueError("sequences: expected at least one token, found none")
        self.n = n
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self._text = np.concatenate(parts)
        self._stops = np.repeat(self._starts[1:], lengths)
        self._order = _suffix_order(self._text, self._stops)

    @property
    def tokens(self) -> int:
        """Tokens in the corpus."""
        return len(self._text)

    def contains(self, ids: Ids) -> NDArray[np.bool_]:
        """Mark the n-grams of `ids` that occur within a source; shape [max(0, len - n + 1)]."""
        query = _checked(ids, "ids")
        grams = len(query) - self.n + 1
        if grams < 1:
            return np.zeros(0, dtype=np.bool_)
        return self._matches(query)[0][:grams] >= self.n

    def longest(self, ids: Ids) -> CopiedSpan:
        """The longest run of `ids` that occurs within a source."""
        query = _checked(ids, "ids")
        if len(query) == 0:
            return CopiedSpan(0, 0, None, None)
        lengths, places = self._matches(query)
        start = int(lengths.argmax())
        length = int(lengths[start])
        if length == 0:
            return CopiedSpan(0, 0, None, None)
        at = self._first(query[start : start + length], int(places[start]))
        source = int(np.searchsorted(self._starts, at, side="right")) - 1
        return CopiedSpan(length, start, source, at - int(self._starts[source]))

    def _matches(self, query: IntArray) -> tuple[IntArray, IntArray]:
        """Longest match that starts at each position of the query, and its place in the order."""
        place = self._search(query)
        before = np.maximum(place - 1, 0)
        after = np.minimum(place, len(self._order) - 1)
        starts = np.arange(len(query))
        left = self._shared(query, starts, self._order[before])
        right = self._shared(query, starts, self._order[after])
        return np.maximum(left, right), np.where(left >= right, before, after)

    def _search(self, query: IntArray) -> IntArray:
        """First place in the order whose suffix is not less than each suffix of the query."""
        starts = np.arange(len(query))
        low = np.zeros(len(query), dtype=np.int64)
        high = np.full(len(query), len(self._order), dtype=np.int64)
        while bool((low < high).any()):
            middle = np.minimum((low + high) // 2, len(self._order) - 1)
            at = self._order[middle]
            shared = self._shared(query, starts, at)
            less = self._after(at, shared, self._stops[at]) < _token(query, starts + shared)
            open_ = low < high
            low, high = (
                np.where(open_ & less, middle + 1, low),
                np.where(open_ & ~less, middle, high),
            )
        return low

    def _after(self, at: IntArray, shared: IntArray, stops: IntArray) -> IntArray:
        """The corpus token behind a match of `shared` ids at `at`; -1 at the end of its source."""
        end = at + shared
        return np.where(end < stops, self._text[np.minimum(end, len(self._text) - 1)], -1)

    def _shared(self, query: IntArray, starts: IntArray, at: IntArray) -> IntArray:
        """Length of the common prefix of query[starts:] and the corpus suffixes at `at`."""
        room = np.minimum(len(query) - starts, self._stops[at] - at)
        out = np.zeros(len(starts), dtype=np.int64)
        going = room > 0
        while bool(going.any()):
            rows = np.flatnonzero(going)
            equal = query[starts[rows] + out[rows]] == self._text[at[rows] + out[rows]]
            out[rows] += equal
            going[rows] = equal & (out[rows] < room[rows])
        return out

    def _first(self, match: IntArray, place: int) -> int:
        """Earliest corpus position at which `match` occurs, given one place of it in the order."""
        edges: list[int] = []
        for side in (-1, 1):
            # Places that hold the match are contiguous: gallop outwards, then halve.
            inside, step = place, 1
            while step:
                probe = inside + side * step
                if self._holds(match, probe):
                    inside, step = probe, step * 2
                else:
                    step //= 2
            edges.append(inside)
        return int(self._order[edges[0] : edges[1] + 1].min())

    def _holds(self, match: IntArray, place: int) -> bool:
        if not 0 <= place < len(self._order):
            return False
        at = int(self._order[place])
        stop = at + len(match)
        return stop <= int(self._stops[at]) and bool((self._text[at:stop] == match).all())


def _checked(ids: Ids, name: str) -> IntArray:
    tensor = integers(ids, name)
    if tensor.ndim != 1:
        raise ValueError(f"{name}: expected one sequence [n], found shape {list(tensor.shape)}")
    out: IntArray = tensor.cpu().numpy()
    if len(out) and int(out.min()) < 0:
        raise ValueError(f"{name}: expected token ids of 0 or more, found {int(out.min())}")
    return out


def _token(query: IntArray, at: IntArray) -> IntArray:
    """The query token at each position; -1 past its end."""
    return np.where(at < len(query), query[np.minimum(at, len(query) - 1)], -1)


def _suffix_order(text: IntArray, stops: IntArray) -> IntArray:
    """Positions of the corpus in the lexicographic order of their suffixes, cut at each source.

    Each round sorts by (rank of the first h ids, rank of the next h ids), then doubles h; it ends
    when all ranks differ or h covers the longest source.
    """
    rank = np.unique(text, return_inverse=True)[1].astype(np.int64) + 1
    where = np.arange(len(text))
    longest = int((stops - where).max())
    order = np.argsort(rank, kind="stable")
    h = 1
    while h < longest and int(rank.max()) < len(text):
        ahead = where + h
        inside = ahead < stops
        key = rank * (len(text) + 1)
        key[inside] += rank[ahead[inside]]
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        rank = np.empty_like(rank)
        rank[order] = np.cumsum(fresh)
        h *= 2
    return order


def copied_share(ids: Ids, index: NgramIndex) -> float:
    """Share of the n-grams of one sequence that occur in the corpus, in [0, 1]; n is the index's.

    Args:
        ids: One sequence.
        index: Of the corpus.

    Raises:
        ValueError: for a sequence shorter than n.

    >>> copied_share([2, 3, 9], NgramIndex([[1, 2, 3, 4]], n=2))
    0.5
    """
    found = index.contains(ids)
    if len(found) == 0:
        raise ValueError(f"ids: expected {index.n} ids or more, found {len(id_list(ids))}")
    return float(found.mean())


def longest_copied_span(ids: Ids, corpus: NgramIndex | Sequence[Ids]) -> CopiedSpan:
    """The longest run of ids that occurs within one sequence of a corpus.

    Args:
        ids: One sequence.
        corpus: An `NgramIndex` (any n: build it once for many look-ups), or the sequences.

    Returns:
        A `CopiedSpan`; of several of one length the first in `ids`, at its first source. Of length
        0 where no id occurs in the corpus.

    Raises:
        ValueError: for ids that are no sequence of integers of 0 or more, or a corpus without ids.

    >>> longest_copied_span([7, 2, 3, 9], [[1, 2, 3, 4]])
    CopiedSpan(length=2, start=1, source_index=0, source_start=1)
    """
    index = corpus if isinstance(corpus, NgramIndex) else NgramIndex(corpus, n=1)
    return index.longest(ids)


def copied_spans(ids: Ids, index: NgramIndex) -> list[tuple[int, int]]:
    """Parts of a sequence covered by n-grams of the corpus, as (start, stop), for marking.

    Spans that touch or overlap are merged, so a span may join two sources.

    Args:
        ids: One sequence.
        index: Of the corpus; its n is the least length of a span.

    Returns:
        Pairs of the first position and the one after the last, in order; none for a sequence
        shorter than n.

    Raises:
        ValueError: for ids that are no sequence of integers of 0 or more.

    >>> copied_spans([7, 2, 3, 9], NgramIndex([[1, 2, 3, 4]], n=2))
    [(1, 3)]
    """
    tokens = id_list(ids)
    marked = np.zeros(len(tokens), dtype=np.bool_)
    for start in np.flatnonzero(index.contains(tokens)):
        marked[start : start + index.n] = True
    return spans_of(marked.tolist())
