"""Texts of several models side by side, with marked spans."""

from dataclasses import dataclass, field

from hyperinterp.brief import Brief
from hyperinterp.drawing.chart import Explanation


@dataclass(frozen=True)
class Passage(Brief):
    """The text that one model generated after one prompt.

    Attributes:
        model: "base", "fitted", ...
        text: what it generated.
        pieces: the same, token by token.
        marks: [start, stop) token spans by kind: "rep" for repeated, "cop" for copied ones.
        told: what stands beside the model's name.
    """

    model: str
    text: str
    pieces: tuple[str, ...]
    marks: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row(Brief):
    """One prompt and what every model generated after it."""

    prompt_id: str
    prompt: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class Texts:
    """Texts to read.

    Attributes:
        section: id of the section that they stand in.
        rows: by prompt, in the order in which the prompts were given.
        explanation: how to read them.
        copied_note: what has to be known of the marks of copied text.
        note: how the text was made.
    """

    section: str
    rows: tuple[Row, ...]
    explanation: Explanation
    copied_note: str = ""
    note: str = ""
