"""The result of C11: what the models still do on text of the same and of another kind."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured, Pair
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class TextScores(Brief):
    """One model beside the base on text of one kind.

    Attributes:
        text: "held-out" or "other".
        origin: where the text comes from.
        model: "fitted" or "control"; what `Pair` calls fitted.
        passages: how many passages there are.
        choices: how many continuations were picked.
        accuracy: share of right picks.
        loss: held-out loss, nats per token.
        calibration_error: expected calibration error of the next-token predictions.
    """

    text: str
    origin: str
    model: str
    passages: int
    choices: int
    accuracy: Pair
    loss: Pair
    calibration_error: Pair


@dataclass(frozen=True)
class Reliability(Brief):
    """One model's confidence in its next tokens, and the share of them that came.

    Attributes:
        text: "held-out" or "other".
        model: "base", "fitted" or "control".
        confidence: mean probability of the likeliest token in each bin that is not empty.
        accuracy: share of likeliest tokens that came next.
        predictions: how many predictions each bin has.
    """

    text: str
    model: str
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    predictions: tuple[int, ...]


@dataclass(frozen=True)
class PassagePicks(Brief):
    """The picks of one passage.

    Attributes:
        prompt_id: name of the passage.
        text: "held-out" or "other".
        choices: how many continuations were picked.
        base: share of the base's picks that were right.
        fitted: the same of the fitted model.
    """

    prompt_id: str
    text: str
    choices: int
    base: float
    fitted: float


@dataclass(frozen=True)
class TaskScores(Brief):
    """One model beside the base on one task of lm-evaluation-harness.

    Attributes:
        task: its name.
        version: of the task, as the harness tells it.
        model: "fitted" or "control"; what `Pair` calls fitted.
        items: how many questions there are.
        accuracy: share of right answers; missing where there are fewer than two.
    """

    task: str
    version: str
    model: str
    items: int
    accuracy: Pair


@dataclass(frozen=True)
class RetentionResult(Result):
    """Picking a passage's own continuation, held-out loss and calibration.

    Attributes:
        candidates: continuations to pick from, one of which is the passage's own.
        tokens: length of each.
        change: accuracy over the passages of both kinds, fitted minus base.
        accuracy: the same accuracies by model ("fitted", "control"), each beside the base's.
        texts: by kind of text and model.
        reliability: by kind of text and model.
        tasks: by task and model; none without `--tasks`.
        on_tasks: accuracy over the tasks, each of the same weight, by model; none without them.
        picks: passage by passage.
        left_out: why a kind of text is not there; "" when both are.
    """

    candidates: int
    tokens: int
    change: Measured
    accuracy: dict[str, Pair]
    texts: tuple[TextScores, ...]
    reliability: tuple[Reliability, ...]
    tasks: tuple[TaskScores, ...]
    on_tasks: dict[str, Pair]
    picks: tuple[PassagePicks, ...]
    left_out: str
