"""Counts of a reference model in texts: the sums that every quantity of C10 is a ratio of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hyperinterp.analyses.reference import Reading, Reference, Row
from hyperinterp.analyses.scoring import MIN_TOKENS
from hyperinterp.claims.quality.arms import HUMAN
from hyperinterp.generation import Generated
from hyperinterp.ticks import Tick
from probes import fresh_tokens, shocking_threshold


@dataclass(frozen=True)
class Written:
    """The texts of one source.

    Attributes:
        rows: number of the prompt of each text.
        texts: ids of each text, without the prompt.
    """

    rows: tuple[int, ...]
    texts: tuple[Row, ...]

    def by_row(self) -> dict[int, Row]:
        """Return the texts by the numbers of their prompts."""
        return dict(zip(self.rows, self.texts, strict=True))

    def cut(self, limits: Mapping[int, int]) -> "Written":
        """Return the texts of prompts that have a limit, none longer than it."""
        own = self.by_row()
        rows = tuple(row for row in self.rows if row in limits)
        return Written(rows, tuple(own[row][: limits[row]] for row in rows))


@dataclass(frozen=True, eq=False)
class Sums:
    """Counts in every text of a source, each `[n_texts]`.

    Attributes:
        rows: number of the prompt of each text.
        written: the texts.
        tokens: tokens of the reference.
        bytes: length in UTF-8.
        nats: surprisal of the tokens.
        gain: surprisal after another prompt minus `nats`.
        fresh: fresh tokens.
        fresh_nats: their surprisal.
        shocking: fresh tokens beyond the threshold.
        last: the last token's hidden state, `[n_texts, d_model]`; None where it was not kept.
    """

    rows: tuple[int, ...]
    written: Generated
    tokens: np.ndarray
    bytes: np.ndarray
    nats: np.ndarray
    gain: np.ndarray
    fresh: np.ndarray
    fresh_nats: np.ndarray
    shocking: np.ndarray
    last: torch.Tensor | None

    def at(self, rows: Sequence[int]) -> "Sums":
        """The same of the texts after these prompts."""
        place = {row: number for number, row in enumerate(self.rows)}
        chosen = [place[row] for row in rows]
        names = ("tokens", "bytes", "nats", "gain", "fresh", "fresh_nats", "shocking")
        picked = {name: getattr(self, name)[chosen] for name in names}
        last = None if self.last is None else self.last[chosen]
        return Sums(tuple(rows), self.written.chosen(chosen), **picked, last=last)

    def masked(self, rows: Sequence[int]) -> "Sums":
        """The same with nothing counted in the texts after other prompts."""
        inside = np.isin(self.rows, list(rows)).astype(np.float64)
        return replace(self, fresh=self.fresh * inside, fresh_nats=self.fresh_nats * inside)

    @property
    def bits(self) -> np.ndarray:
        """The surprisal of the tokens of every text in bits, `[n_texts]`."""
        return self.nats / np.log(2)

    @property
    def defined(self) -> np.ndarray:
        """Texts that are long enough for a mean of their own, `[n_texts]` bool."""
        long = np.array([len(row) >= MIN_TOKENS for row in self.written.rows], dtype=bool)
        return long & (self.tokens > 0)

    def means(self, keep: np.ndarray) -> np.ndarray:
        """Mean surprisal of each of these texts, nats per token."""
        return self.nats[keep] / self.tokens[keep]


def counted(
    reference: Reference,
    prompts: Sequence[Row],
    texts: Mapping[str, Written],
    keep_last: bool,
    tick: Tick | None,
) -> tuple[dict[str, Sums], float | None]:
    """Return the sums of every source, and the nats that 1 % of the human fresh tokens exceed.

    Args:
        reference: reads the texts.
        prompts: ids of every prompt.
        texts: by source, the human ones among them.
        keep_last: keep the hidden state of every last token.
        tick: told of the number of different texts read.
    """
    jobs = [(row, ids) for item in texts.values() for row, ids in item.by_row().items()]
    pairs = [(prompts[row], ids) for row, ids in jobs]
    pairs += [(prompts[(row + 1) % len(prompts)], ids) for row, ids in jobs]
    readings = reference.read(pairs, keep_last=keep_last, tick=tick)
    own, other = readings[: len(jobs)], readings[len(jobs) :]
    fresh = [fresh_tokens(item.prompt, item.ids).numpy() for item in own]
    parts: dict[str, slice] = {}
    start = 0
    for name, item in texts.items():
        parts[name] = slice(start, start + len(item.rows))
        start += len(item.rows)
    human = [
        item.nats.numpy()[flags]
        for item, flags in zip(own[parts[HUMAN]], fresh[parts[HUMAN]], strict=True)
    ]
    pool = np.concatenate([*human, np.zeros(0)])
    beyond = shocking_threshold(pool) if len(pool) else None
    sums = {
        name: _sums(
            texts[name],
            [reference.bytes_of(row) for row in texts[name].texts],
            own[part],
            other[part],
            fresh[part],
            beyond,
        )
        for name, part in parts.items()
    }
    return sums, beyond


def _sums(
    item: Written,
    lengths: Sequence[int],
    own: Sequence[Reading],
    other: Sequence[Reading],
    fresh: Sequence[np.ndarray],
    beyond: float | None,
) -> Sums:
    nats = [reading.nats.numpy() for reading in own]
    kept = [row[flags] for row, flags in zip(nats, fresh, strict=True)]
    totals = np.array([row.sum() for row in nats])
    away = np.array([reading.nats.numpy().sum() for reading in other])
    limit = np.inf if beyond is None else beyond
    vectors = [reading.last for reading in own if reading.last is not None]
    return Sums(
        rows=item.rows,
        written=Generated(item.texts, (False,) * len(item.texts)),
        tokens=np.array([float(len(row)) for row in nats]),
        bytes=np.array([float(length) for length in lengths]),
        nats=totals,
        gain=away - totals,
        fresh=np.array([float(len(row)) for row in kept]),
        fresh_nats=np.array([row.sum() for row in kept]),
        shocking=np.array([float((row > limit).sum()) for row in kept]),
        last=torch.stack(vectors) if vectors and len(vectors) == len(own) else None,
    )
