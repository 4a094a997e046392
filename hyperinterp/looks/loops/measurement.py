"""Loops of greedy text: how they hold on, and who leaves them."""

from collections.abc import Callable, Mapping, Sequence

import torch

from hyperinterp.analyses.human import human_text
from hyperinterp.analyses.intervals import mean_of, pair_of
from hyperinterp.capture import logit_chunks
from hyperinterp.drawing.escape import clip
from hyperinterp.generation import Generated, generate
from hyperinterp.looks.loops.result import Length, LoopsResult, Turn, WayOut
from hyperinterp.models import HookedModel
from hyperinterp.text import TokenRows
from hyperinterp.under_comparison import Study
from probes import Loop, final_loop, surprisal, type_token_ratio_by_position
from probes.ranks.tokens import top1_rows

SPAN = 16
"""Ids of the span that is copied."""
COPIES = (0, 1, 2, 3, 4, 6, 8)
"""Copies of the span that are looked behind."""
KEPT = 2
"""Turns of a loop that are kept before a model goes on."""
LONGER = 16 / 3
"""Long texts have so many times `new_tokens`: 512 ids where 96 are written."""
STEPS = 12
"""Lengths at which the type-token ratio is told, evenly spaced in proportion."""

PAIR = ("base", "fitted")

Row = tuple[int, ...]


def measure(study: Study) -> LoopsResult:
    """Measure how firmly both models repeat, and who leaves whose loops.

    Args:
        study: the pair, its prompts and sizes.
    """
    why: dict[str, str] = {}
    texts = {role: study.shared.texts.greedy(role) for role in PAIR}
    turns = repeated(study)
    if not turns:
        why["turns"] = f"no continuation has {SPAN} tokens (raise context_tokens)"
    lengths, count = long_texts(study)
    if not lengths:
        why["lengths"] = "no prompt is continued by both models, or their positions end before"
    loops = {role: endless(text) for role, text in texts.items()}
    looping = (
        [float(number in loops[role]) for number in range(len(texts[role].rows))] for role in PAIR
    )
    ways = tuple(way for role in PAIR for way in ways_out(study, role, texts[role], loops[role]))
    if not ways:
        why["ways"] = "no greedy text ends in a loop"
    return LoopsResult(
        span=SPAN,
        turns=turns,
        written=study.sizes.new_tokens,
        looping=pair_of(*looping),
        ways=ways,
        lengths=lengths,
        texts=count,
        why=why,
    )


# -- a span after copies of itself ---------------------------------------------------------------


def repeated(study: Study) -> tuple[Turn, ...]:
    """Return what both models make of a span of human text after copies of itself.

    Args:
        study: the pair and its prompts; those whose true continuation has `SPAN` ids count.
    """
    pairs = zip(study.heldout.prompts.rows, human_text(study).rows, strict=True)
    rows = [
        (*prompt, *text[:SPAN] * (max(COPIES) + 1)) for prompt, text in pairs if len(text) >= SPAN
    ]
    if not rows:
        return ()
    for model in (study.base, study.fitted):
        model.check_length(max(map(len, rows)), "prompt_tokens")
    tick = study.run.log.ticker("spans are repeated", 2 * len(rows))
    found = {role: _read(study, study.models[role], rows, tick) for role in PAIR}
    return tuple(
        Turn(
            copies=copies,
            probability=pair_of(*(found[role][0][:, copies] for role in PAIR)),
            chosen=pair_of(*(found[role][1][:, copies] for role in PAIR)),
        )
        for copies in COPIES
    )


def _read(
    study: Study, model: HookedModel, rows: Sequence[Row], tick: Callable[[int], None]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean probability of the span's ids, and share of them chosen: both `[row, copies]`."""
    count = SPAN * (max(COPIES) + 1)
    probability = torch.zeros(len(rows), max(COPIES) + 1, dtype=torch.float64)
    chosen = torch.zeros_like(probability)
    for numbers, ids in _rows(rows).batches(study.run.batch_size):
        hidden = model.run(ids)[:, -count - 1 : -1].flatten(0, 1)
        target = ids[:, -count:].flatten()
        nats, choice = [], []
        for where, logits in logit_chunks(model, hidden):
            nats.append(surprisal(logits, target[where].to(logits.device)).cpu())
            choice.append(top1_rows(logits).cpu())
        shape = (len(numbers), -1, SPAN)
        probability[numbers] = (-torch.cat(nats)).exp().double().reshape(shape).mean(-1)
        chosen[numbers] = (torch.cat(choice) == target).double().reshape(shape).mean(-1)
        tick(len(numbers))
    return probability, chosen


# -- out of a loop -------------------------------------------------------------------------------


def endless(text: Generated) -> dict[int, Loop]:
    """Return the loops in which texts end that their model did not end, by number of the text.

    Args:
        text: the texts.
    """
    found = {number: final_loop(row) for number, row in enumerate(text.rows) if row}
    return {n: loop for n, loop in found.items() if loop is not None and not text.ended[n]}


def ways_out(
    study: Study, of: str, text: Generated, loops: Mapping[int, Loop]
) -> tuple[WayOut, ...]:
    """Return how often each model breaks the loops in which one model's greedy texts end.

    Args:
        study: the pair.
        of: role of the model that wrote.
        text: its greedy texts after all prompts.
        loops: by number of the text.
    """
    if not loops:
        return ()
    cut, turns = [], []
    for number, loop in loops.items():
        row = text.rows[number]
        cut.append((*study.heldout.prompts.rows[number], *row[: loop.start + KEPT * loop.period]))
        turns.append(row[loop.start : loop.start + loop.period])
    return tuple(_way(study, of, by, _rows(cut), turns) for by in PAIR)


def _way(study: Study, of: str, by: str, rows: TokenRows, turns: Sequence[Row]) -> WayOut:
    written = study.sizes.new_tokens
    found = generate(
        study.models[by], rows, new_tokens=written, batch_size=study.run.batch_size,
        stops=study.shared.texts.stops, processes=study.run.processes,
        tick=study.run.log.ticker(f"{by} goes on in loops of {of}", len(rows)),
    )["greedy"]  # fmt: skip
    left, free = [], []
    for row, new, turn in zip(rows.rows, found.rows, turns, strict=True):
        on = (turn * (written // len(turn) + 1))[:written]
        left.append(float(new != on))
        free.append(float(final_loop((*row[-KEPT * len(turn) :], *new)) is None))
    decode = study.heldout.tokenizer.decode
    first = next((n for n, out in enumerate(left) if out), 0)
    ends = (str(decode(list(turns[first]))), str(decode(list(found.rows[first]))))
    return WayOut(
        of=of,
        by=by,
        prompts=len(turns),
        left=mean_of(left),
        free=mean_of(free),
        example=" | ".join(clip(part, 160) for part in ends),
    )


# -- long texts ----------------------------------------------------------------------------------


def long_texts(study: Study) -> tuple[tuple[Length, ...], int]:
    """Return the type-token ratio by length of long greedy texts, and how many there are.

    Args:
        study: the pair; the prompts of control arms are continued, as far as both models' tables
            of positions reach.
    """
    prompts = study.heldout.prompts.chosen(study.heldout.control_rows)
    longest = max(map(len, prompts.rows), default=0)
    limits = (model.position_limit for model in (study.base, study.fitted))
    room = [limit - longest for limit in limits if limit is not None]
    most = min([round(LONGER * study.sizes.new_tokens), *room])
    if most < 1:
        return (), 0
    texts = {
        role: generate(
            study.models[role], prompts, new_tokens=most, batch_size=study.run.batch_size,
            stops=study.shared.texts.stops, processes=study.run.processes,
            tick=study.run.log.ticker(f"{role} writes long texts", len(prompts)),
        )["greedy"].rows
        for role in PAIR
    }  # fmt: skip
    return by_length(texts, most), len(prompts)


def by_length(texts: Mapping[str, Sequence[Row]], most: int) -> tuple[Length, ...]:
    """Return the type-token ratio of the first ids of both models' texts, at growing lengths.

    Args:
        texts: by role, texts of the same prompts.
        most: the longest length.
    """
    curves = {
        role: [type_token_ratio_by_position(row) if row else torch.zeros(0) for row in rows]
        for role, rows in texts.items()
    }
    found = []
    for tokens in sorted({max(1, round(most ** (n / STEPS))) for n in range(1, STEPS + 1)}):
        both = [
            (float(one[tokens - 1]), float(other[tokens - 1]))
            for one, other in zip(*(curves[role] for role in PAIR), strict=True)
            if min(len(one), len(other)) >= tokens
        ]
        if both:
            found.append(Length(tokens, pair_of(*zip(*both, strict=True))))
    return tuple(found)


def _rows(rows: Sequence[Row]) -> TokenRows:
    longest = max(map(len, rows), default=0)
    return TokenRows(tuple(rows), tuple(range(len(rows))), longest, 0)
