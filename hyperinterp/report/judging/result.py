"""Preferences of human judges."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.result import Result


@dataclass(frozen=True)
class JudgedPair(Brief):
    """The answers to one pair.

    Attributes:
        number: of the pair on the sheet.
        prompt_id: of the passage whose beginning was the prompt.
        fitted: judges who preferred the fitted model's text.
        base: judges who preferred the base's.
        same: judges who preferred neither.
    """

    number: int
    prompt_id: str
    fitted: int
    base: int
    same: int

    @property
    def preference(self) -> float:
        """Share of its judges for the fitted model's text; neither counts as a half."""
        return (self.fitted + self.same / 2) / (self.fitted + self.base + self.same)


@dataclass(frozen=True)
class Judgement(Result):
    """Preferences of human judges who did not know which model wrote what.

    Attributes:
        sheet: identifier of the sheet.
        base: name of the model before.
        fitted: name of the model after.
        judges: number of files of answers.
        unanswered: pairs of the sheet without any answer.
        preference: mean over pairs of the share of judges for the fitted model's text, 0.5 where
            neither is better; the interval is over pairs, however many judged each.
        first: share of decided answers that name the text that stood first: 0.5 where the place
            did not matter.
        pairs: every pair that was answered.
    """

    sheet: str
    base: str
    fitted: str
    judges: int
    unanswered: int
    preference: Measured
    first: Measured
    pairs: tuple[JudgedPair, ...]
