"""C1: is the second model's greedy text more diverse than the first's?"""

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from hyperinterp.analyses.human import human_text
from hyperinterp.analyses.intervals import mean_of, pair_of
from hyperinterp.analyses.scoring import MIN_TOKENS, RULE, compared, together, values
from hyperinterp.claims.diversity.result import DiversityResult, Generation, SideBySide
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.generation import Generated
from hyperinterp.under_comparison import Study
from probes import (
    DiversityScores,
    NgramIndex,
    copied_spans,
    repeated_spans,
    self_bleu,
)

SCORES = ("ttr", "distinct_2", "distinct_3", "rep_2", "rep_3", "rep_4")
COPY_LENGTH = 8


def prepare(study: Study) -> None:
    """Orders the texts."""
    study.shared.texts.order_greedy("base", "fitted")


def measure(study: Study) -> DiversityResult:
    """Score the greedy text of both models on the held-out prompts."""
    written = {role: study.shared.texts.greedy(role) for role in ("base", "fitted")}
    with study.run.log.timed("diversity"):
        window = study.sizes.window
        scores = dict(zip(written, compared(window, *written.values()), strict=True))
        keep = together(*scores.values())
        pairs = {
            name: pair_of(*(values(scores[role], name, keep) for role in written))
            for name in SCORES
        }
        pairs["tokens"] = pair_of(
            *(np.array([len(row) for row in text.rows]) for text in written.values())
        )
        pairs["self_bleu"] = _self_bleus(study, written)
        if not keep.all():
            study.run.log.warnings.append(
                f"{int((~keep).sum())} of {len(keep)} prompts have a generation shorter than "
                f"{MIN_TOKENS} tokens and are left out of the diversity scores."
            )
        return DiversityResult(
            window=window,
            new_tokens=study.sizes.new_tokens,
            scores=pairs,
            prompts=_side_by_side(study, written, scores),
            rule=RULE.format(window=window),
            human=_human(study, written),
        )


def quantities(result: DiversityResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {name: result.scores[name].delta for name in ("ttr", "rep_4")}


def units(result: DiversityResult) -> dict[str, dict[str, float]]:
    """Return the differences of single prompts behind the quantities."""
    pairs = {
        "ttr": [(it.prompt_id, it.base_ttr, it.fitted_ttr) for it in result.prompts],
        "rep_4": [(it.prompt_id, it.base_rep_4, it.fitted_rep_4) for it in result.prompts],
    }
    return {
        name: {
            prompt: fitted - base
            for prompt, base, fitted in rows
            if base is not None and fitted is not None
        }
        for name, rows in pairs.items()
    }


def _human(study: Study, written: dict[str, Generated]) -> Measured:
    """Type-token ratio of the true continuations, each cut to the length of the generated texts.

    Where a passage ends before them it is left out: a shorter text repeats itself less.
    """
    human = human_text(study)
    longer = [
        number
        for number, rows in enumerate(zip(*(text.rows for text in written.values()), strict=True))
        if len(human.rows[number]) >= min(map(len, rows)) >= MIN_TOKENS
    ]
    if not longer:
        return missing("no passage goes on for as long as the texts")
    sides = [text.chosen(longer) for text in (human, *written.values())]
    score = compared(study.sizes.window, *sides)[0]
    return mean_of(values(score, "ttr", together(score)))


def _self_bleus(study: Study, written: dict[str, Generated]) -> Pair:
    """Self-BLEU of each model's texts; no interval, since every score depends on all texts."""
    figures = []
    for text in written.values():
        rows = [row for row in text.rows if row]
        if len(rows) < 2:
            figures.append(None)
            continue
        figures.append(self_bleu(rows, max_sample=64, seed=study.run.seed).mean)
    if None in figures:
        gap = missing("fewer than two texts")
        return Pair(gap, gap, gap)
    base, fitted = figures
    return Pair(Measured(base), Measured(fitted), Measured(fitted - base))


def _side_by_side(
    study: Study, written: dict[str, Generated], scores: dict[str, DiversityScores]
) -> tuple[SideBySide, ...]:
    training = study.training_rows
    index = None if training is None else NgramIndex(training.rows, n=COPY_LENGTH)
    found = []
    for row in range(len(study.heldout.prompts)):
        texts = {role: _generation(study, text, row, index) for role, text in written.items()}
        ttr = {role: _score(scores[role], "ttr", row) for role in written}
        rep = {role: _score(scores[role], "rep_4", row) for role in written}
        found.append(
            SideBySide(
                prompt_id=study.heldout.prompt_id(row),
                prompt=study.heldout.tokenizer.decode(study.heldout.prompts.rows[row]),
                base=texts["base"],
                fitted=texts["fitted"],
                base_ttr=ttr["base"],
                fitted_ttr=ttr["fitted"],
                base_rep_4=rep["base"],
                fitted_rep_4=rep["fitted"],
            )
        )
    return tuple(found)


def _score(scores: DiversityScores, name: str, row: int) -> float | None:
    return float(getattr(scores, name)[row]) if bool(scores.defined[row]) else None


def _generation(study: Study, written: Generated, row: int, index: NgramIndex | None) -> Generation:
    ids = written.rows[row]
    return Generation(
        text=study.heldout.tokenizer.decode(ids),
        pieces=pieces(study.heldout.tokenizer, ids),
        repeated=tuple(repeated_spans(ids)) if ids else (),
        copied=() if index is None or not ids else tuple(copied_spans(ids, index)),
        ended=written.ended[row],
    )


def pieces(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> tuple[str, ...]:
    """The text token by token: what each further token adds to the decoded text.

    Tokens that hold only a part of a character show nothing until the one that completes it.
    """
    found: list[str] = []
    pending = 0
    for stop in range(1, len(ids) + 1):
        # Decoding from a few tokens back keeps the spacing right and the work linear.
        start = max(0, stop - pending - 8)
        before = str(tokenizer.decode(list(ids[start : stop - pending - 1])))
        after = str(tokenizer.decode(list(ids[start:stop])))
        piece = after[len(before) :] if after.startswith(before) else after
        unfinished = piece.endswith("\ufffd") and pending < 4 and stop < len(ids)
        found.append("" if unfinished else piece)
        pending = pending + 1 if unfinished else 0
    return tuple(found)
