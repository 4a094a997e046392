"""C11: can the fitted model still do what the base could?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hyperinterp.analyses.answering import Answers, answers, over_tasks, questions
from hyperinterp.analyses.calibrating import calibration_pair
from hyperinterp.analyses.intervals import pair_of
from hyperinterp.analyses.predictions import Reading, pair_over_contexts, read
from hyperinterp.analyses.reference import Reference
from hyperinterp.capture import run_pair
from hyperinterp.claims.retention.picking import (
    CANDIDATES,
    CHANCE,
    TOKENS,
    Choice,
    by_passage,
    choices_of,
    right,
)
from hyperinterp.claims.retention.result import (
    PassagePicks,
    Reliability,
    RetentionResult,
    TaskScores,
    TextScores,
)
from hyperinterp.claims.spec import Measured, Pair, missing
from hyperinterp.errors import InputRefused
from hyperinterp.models import HookedModel
from hyperinterp.runs import HeldOut
from hyperinterp.text import Passages, builtin_passages
from hyperinterp.under_comparison import Study
from probes import Calibration, reliability

ROLE = "other-text"
TOO_FEW = f"fewer than {CANDIDATES} passages go on for {TOKENS} tokens after the prompt"


@dataclass(frozen=True)
class Kind:
    """Text of one kind, and what every model makes of it.

    Attributes:
        name: "held-out" or "other".
        heldout: the text.
        choices: what is picked from.
        picks: by model, the share of right picks by passage.
        readings: by model, its predictions.
    """

    name: str
    heldout: HeldOut
    choices: list[Choice]
    picks: dict[str, dict[int, float]]
    readings: dict[str, Reading]


def measure(study: Study) -> RetentionResult:
    """Let all models pick continuations and predict tokens in text of both kinds."""
    roles = ("base", "fitted", *(("control",) if study.given("control") else ()))
    other, left_out = _other(study)
    with study.run.log.timed("retention"):
        kinds = [_read(study, "held-out", study.heldout, roles)]
        if other is not None:
            kinds.append(_read(study, "other", other, roles))
        accuracy = {role: _accuracy(kinds, role) for role in roles[1:]}
        bins = {
            (kind.name, role): reliability(found.confidence, found.right)
            for kind in kinds
            for role, found in kind.readings.items()
        }
        answered = _answered(study, roles)
    return RetentionResult(
        candidates=CANDIDATES,
        tokens=TOKENS,
        change=_change(accuracy["fitted"]),
        accuracy=accuracy,
        texts=tuple(_scores(kind, role) for kind in kinds for role in roles[1:]),
        reliability=tuple(_told(*key, found) for key, found in bins.items()),
        tasks=tuple(
            _task(study, name, role, found)
            for name, found in answered.items()
            for role in roles[1:]
        ),
        on_tasks={
            role: over_tasks(
                [found["base"] for found in answered.values()],
                [found[role] for found in answered.values()],
            )
            for role in roles[1:]
            if answered
        },
        picks=tuple(line for kind in kinds for line in _lines(kind)),
        left_out=left_out,
    )


def quantities(result: RetentionResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    found = {"change": result.change}
    if result.on_tasks:
        found["tasks"] = result.on_tasks["fitted"].delta
    return found


def _other(study: Study) -> tuple[HeldOut | None, str]:
    """The text of another kind; None, with the reason, where the built-in one cannot be read."""
    given = study.text(ROLE)
    most = study.sizes.prompts
    passages = _spread(builtin_passages("other"), most) if given is None else given.head(most)
    found = HeldOut(passages, study.models, study.sizes, study.run, study.chat)
    try:
        return (found, "") if found.rows else (None, "")
    except InputRefused as refused:
        if given is not None:
            raise
        return None, f"The {passages.origin} was left out: {refused}"


def _spread(passages: Passages, most: int | None) -> Passages:
    """So many passages, taken evenly: those of one kind stand together."""
    whole = len(passages)
    if most is None or most >= whole:
        return passages
    step = whole / most
    items = tuple(passages.items[int(number * step)] for number in range(most))
    return Passages(items, f"{passages.origin}, {most} of {whole}")


def _read(study: Study, name: str, heldout: HeldOut, roles: tuple[str, ...]) -> Kind:
    starts = [len(prompt) for prompt in heldout.prompts.rows]
    choices = choices_of(heldout.rows.rows, starts, study.sizes.choices, study.run.seed)
    picks = {}
    for role in roles:
        model = study.models[role]
        task = f"{role} picks continuations of the {name} text"
        tick = study.run.log.ticker(task, CANDIDATES * len(choices))
        values = right(_reference(study, model), choices, tick) if choices else np.zeros(0)
        picks[role] = by_passage(values, choices)
        study.run.log.forwards[f"{role} over choices"] += 1
    return Kind(name, heldout, choices, picks, _readings(study, heldout, roles))


def _reference(study: Study, model: HookedModel) -> Reference:
    """A model that reads ids: all of these have the base's."""
    tokenizer = study.heldout.tokenizer if model.tokenizer is None else model.tokenizer
    return Reference(model, tokenizer, study.run.batch_size, study.run.processes)


def _readings(study: Study, heldout: HeldOut, roles: tuple[str, ...]) -> dict[str, Reading]:
    """Predictions of every model at the same positions of a text."""
    found: dict[str, Reading] = {}
    for role in roles[1:]:
        if heldout is study.heldout and role == "fitted":
            contexts = study.shared.contexts
        else:
            contexts = run_pair(
                study.base,
                study.models[role],
                heldout.rows,
                contexts_per_row=study.sizes.contexts_per_prompt,
                batch_size=study.run.batch_size,
                tick=study.run.log.ticker(f"base and {role} read a text", len(heldout.rows)),
                processes=study.run.processes,
            ).contexts
            for name in ("base", role):
                study.run.log.forwards[f"{name} over text of C11"] += 1
        hidden = {"base": contexts.base, role: contexts.fitted}
        for name in hidden.keys() - found.keys():
            found[name] = read(
                study.models[name],
                hidden[name],
                contexts.target,
                contexts.row,
                study.run.processes,
            )
    return {role: found[role] for role in roles}


def _answered(study: Study, roles: tuple[str, ...]) -> dict[str, dict[str, Answers]]:
    """Answers of every model to every task that was named, all read with one tokenizer."""
    loaded = {} if study.tasks is None else study.tasks.loaded
    found: dict[str, dict[str, Answers]] = {name: {} for name in loaded}
    for name, task in loaded.items():
        for role in roles:
            model = study.models[role].reading_with(study.heldout.tokenizer)
            reader = _reference(study, model)
            tick = study.run.log.ticker(f"{role} answers {name}", len(questions(task)))
            found[name][role] = answers(task, reader, tick)
            study.run.log.forwards[f"{role} over tasks"] += 1
    return found


def _task(study: Study, name: str, role: str, found: Mapping[str, Answers]) -> TaskScores:
    assert study.tasks is not None
    pair = over_tasks([found["base"]], [found[role]])
    version = str(getattr(study.tasks.loaded[name], "VERSION", ""))
    return TaskScores(name, version, role, len(found["base"].right), pair)


def _accuracy(kinds: list[Kind], role: str) -> Pair:
    """Accuracy of the base and of another model over the passages of all kinds."""
    sides = [
        np.array([value for kind in kinds for value in kind.picks[name].values()])
        for name in ("base", role)
    ]
    return _paired(*sides)


def _paired(base: np.ndarray, other: np.ndarray) -> Pair:
    if not len(base):
        return Pair(missing(TOO_FEW), missing(TOO_FEW), missing(TOO_FEW))
    return pair_of(base, other, unit="passage")


def _change(accuracy: Pair) -> Measured:
    """The difference, where the base picks better than chance: else there is nothing to keep."""
    base = accuracy.base
    if base.value is None or base.lo is None:
        return missing(base.reason or "one passage only: the accuracy has no interval")
    if base.lo <= CHANCE:
        return missing(
            f"the base picks no better than chance ({base.inside()} against {CHANCE:g}), so there "
            "is nothing to keep"
        )
    return accuracy.delta


def _scores(kind: Kind, role: str) -> TextScores:
    base, other = kind.readings["base"], kind.readings[role]
    ours, theirs = (np.array(list(kind.picks[name].values())) for name in ("base", role))
    return TextScores(
        text=kind.name,
        origin=kind.heldout.passages.origin,
        model=role,
        passages=len(kind.heldout.rows),
        choices=len(kind.choices),
        accuracy=_paired(ours, theirs),
        loss=pair_over_contexts(base.loss, other.loss, base.row),
        calibration_error=calibration_pair(base, other),
    )


def _told(text: str, role: str, found: Calibration) -> Reliability:
    filled = found.counts > 0
    return Reliability(
        text,
        role,
        tuple(found.confidence[filled].tolist()),
        tuple(found.accuracy[filled].tolist()),
        tuple(found.counts[filled].tolist()),
    )


def _lines(kind: Kind) -> list[PassagePicks]:
    counts: Mapping[int, int] = {
        number: sum(item.passage == number for item in kind.choices)
        for number in kind.picks["base"]
    }
    return [
        PassagePicks(
            kind.heldout.prompt_id(number),
            kind.name,
            counts[number],
            kind.picks["base"][number],
            kind.picks["fitted"][number],
        )
        for number in counts
    ]
