"""From texts by source to the result of C10; no text is made here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hyperinterp.analyses.intervals import mean_of, ratio_of, ratio_pair, resampled
from hyperinterp.analyses.reference import Reference, Row
from hyperinterp.analyses.scoring import MIN_TOKENS, compared, together, values
from hyperinterp.claims.quality.arms import BASE, FITTED, HALVES, HUMAN
from hyperinterp.claims.quality.counting import Sums, Written, counted
from hyperinterp.claims.quality.likeness import LEAST, likeness
from hyperinterp.claims.quality.result import PromptQuality, QualityResult, TextQuality
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.text import split_half
from hyperinterp.ticks import Tick
from probes import jackknife

KINDS = {HUMAN: "human", BASE: "base", FITTED: "fitted"}
NONE_LONG = f"no two passages go on for {MIN_TOKENS} tokens after the prompt"


def judged(
    reference: Reference,
    prompts: Sequence[Row],
    texts: Mapping[str, Written],
    *,
    window: int,
    seed: int = 0,
    prompt_ids: Sequence[str] | None = None,
    tick: Tick | None = None,
) -> QualityResult:
    """Hold texts against the human ones of the same passages, under one reference.

    Every text is cut to the length of the human one; prompts whose human text is shorter than 16
    tokens are left out. A text's other prompt is the next passage's, the same for every source.

    Args:
        reference: reads the texts.
        prompts: ids of every prompt.
        texts: by source: "human", "base greedy" and "fitted greedy" of all prompts, and others of
            any of them.
        window: last ids of a text that its type-token ratio is taken over.
        seed: splits the human texts in halves.
        prompt_ids: names of the prompts; their numbers by default.
        tick: told of the number of different texts read.
    """
    usable = [k for k, row in texts[HUMAN].by_row().items() if len(row) >= MIN_TOKENS]
    limits = {row: len(text) for row, text in texts[HUMAN].by_row().items() if row in set(usable)}
    cut = {name: item.cut(limits) for name, item in texts.items()}
    sums, beyond = counted(reference, prompts, cut, len(usable) >= LEAST, tick)
    human = sums[HUMAN]
    halves = [[usable[k] for k in half] for half in split_half(len(usable), seed)]
    base, fitted = sums[BASE].at(usable), sums[FITTED].at(usable)
    names = prompt_ids or [str(number) for number in range(len(prompts))]
    found = {
        name: _quality(name, item, human.at(item.rows), window, seed) for name, item in sums.items()
    }
    return QualityResult(
        reference=reference.model.name,
        judge="other",
        reads_text=not reference.reads_ids,
        shocking_beyond=beyond,
        window=window,
        texts=(
            found.pop(HUMAN),
            *(
                _half(name, human, rows, others, window, seed)
                for name, rows, others in zip(HALVES, halves, halves[::-1], strict=True)
            ),
            *found.values(),
        ),
        excess=_apart(human, fitted, "fresh_nats", "fresh"),
        shocking=_apart(human, fitted, "shocking", "fresh"),
        gain_share=_gain_share(human, fitted),
        distance=_closer(human, base, fitted),
        noise_floor=_apart(human.masked(halves[1]), human.masked(halves[0]), "fresh_nats", "fresh"),
        prompts=tuple(
            line for name, item in sums.items() for line in _by_prompt(name, item, names)
        ),
    )


def _apart(human: Sums, other: Sums, above: str, below: str) -> Measured:
    """A ratio of sums minus the human one, the same prompt left out of both."""
    if len(human.rows) < 2:
        return missing(NONE_LONG)
    sides = [(getattr(item, above), getattr(item, below)) for item in (human, other)]
    return ratio_pair(*sides).delta


def _ratio(sums: Sums, above: str, below: str) -> Measured:
    if not sums.rows:
        return missing(NONE_LONG)
    return ratio_of(getattr(sums, above), getattr(sums, below))


def _gain_share(human: Sums, fitted: Sums) -> Measured:
    """The fitted prompt gain over the human one; nothing where the human one is not above 0."""
    whole = _ratio(human, "gain", "tokens")
    part = _ratio(fitted, "gain", "tokens")
    for item in (whole, part):
        if item.value is None or item.lo is None:
            return missing(item.reason or "one prompt only: the gain has no interval")
    assert whole.lo is not None
    if whole.lo <= 0:
        return missing(
            f"the human texts have no prompt gain to share: {whole.inside()} nats per token"
        )
    full, left = (
        [item.gain.sum() / item.tokens.sum() for item in (fitted, human)],
        [_left(item.gain) / _left(item.tokens) for item in (fitted, human)],
    )
    if (left[1] <= 0).any():
        return missing("the human prompt gain comes from one passage alone")
    return resampled(jackknife, full[0] / full[1], left[0] / left[1])


def _left(sums: np.ndarray) -> np.ndarray:
    return sums.sum() - sums


def _distances(human: Sums, other: Sums, keep: np.ndarray) -> np.ndarray:
    return np.abs(other.means(keep) - human.means(keep))


def _closer(human: Sums, base: Sums, fitted: Sums) -> Measured:
    """Mean distance to the human surprisal, fitted minus base, text by text."""
    keep = human.defined & base.defined & fitted.defined
    return mean_of(_distances(human, fitted, keep) - _distances(human, base, keep))


def _quality(name: str, item: Sums, human: Sums, window: int, seed: int) -> TextQuality:
    keep = human.defined & item.defined
    excess = _apart(human, item, "fresh_nats", "fresh")
    if name == HUMAN and excess.value is not None:
        excess = replace(excess, method="the human texts against themselves")
    return TextQuality(
        source=name,
        kind=KINDS.get(name, "remedy"),
        fresh=_ratio(item, "fresh_nats", "fresh"),
        shocking=_ratio(item, "shocking", "fresh"),
        gain=_ratio(item, "gain", "tokens"),
        surprisal=_ratio(item, "nats", "tokens"),
        fresh_share=_ratio(item, "fresh", "tokens"),
        ttr=mean_of(_ttr(human, item, window)),
        excess=excess,
        distance=mean_of(_distances(human, item, keep)),
        mauve=likeness(human.last, item.last, len(item.rows), seed),
        bits_per_byte=_ratio(item, "bits", "bytes"),
    )


def _ttr(human: Sums, item: Sums, window: int) -> np.ndarray:
    """Type-token ratio of every text, cut to the length of the human one."""
    if not item.rows:
        return np.zeros(0)
    scores = compared(window, human.written, item.written)
    return values(scores[1], "ttr", together(*scores))


def _half(
    name: str, human: Sums, rows: list[int], others: list[int], window: int, seed: int
) -> TextQuality:
    """One half of the human texts; its excess is that over all of them."""
    own = human.at(rows)
    found = _quality(name, own, own, window, seed)
    full = _apart(human, human.masked(rows), "fresh_nats", "fresh")
    none = missing("a half has other passages than the other half")
    apart = likeness(human.at(others).last, own.last, len(human.rows), seed)
    return replace(found, kind="half", excess=full, distance=none, mauve=apart)


def _by_prompt(name: str, item: Sums, names: Sequence[str]) -> list[PromptQuality]:
    def over(above: np.ndarray, below: np.ndarray, number: int) -> float | None:
        return float(above[number] / below[number]) if below[number] else None

    return [
        PromptQuality(
            prompt_id=names[row],
            source=name,
            tokens=int(item.tokens[number]),
            fresh_tokens=int(item.fresh[number]),
            fresh=over(item.fresh_nats, item.fresh, number),
            shocking=over(item.shocking, item.fresh, number),
            gain=over(item.gain, item.tokens, number),
            surprisal=over(item.nats, item.tokens, number),
        )
        for number, row in enumerate(item.rows)
    ]
