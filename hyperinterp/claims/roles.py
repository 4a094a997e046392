"""Checkpoints and texts beside the pair, as claims declare them."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of input that a role takes; the value is the command line's name for it."""

    CHECKPOINT = "CKPT"
    """A checkpoint of the base's architecture, limited to the tokens that all of them share."""
    READER = "READER"
    """A checkpoint of any architecture and vocabulary, with its own tokenizer."""
    PASSAGES = "TEXT"
    """Passages, whole in memory."""
    CORPUS = "CORPUS"
    """Text of any length, streamed."""
    COUNTS = "FILE"
    """Token counts, as `hyperinterp.read_frequencies` reads them."""
    TASKS = "TASKS"
    """Names of tasks of lm-evaluation-harness, separated by commas."""


class Twin(StrEnum):
    """The twin of a study that stands in a role: the study fills it, without knowing the claim."""

    STOPPED = "the same run at its least validation loss"
    LAST = "for a twin of all blocks, those of the last blocks"
    ELSEWHERE = "for a twin of the last blocks, those of as many other blocks"


@dataclass(frozen=True)
class Role:
    """A checkpoint or text beside the pair that a claim needs, or takes where it is given.

    The option of the command line and the argument of `hyperinterp.compare` are made from it.

    Attributes:
        name: in lower case with hyphens, e.g. "judge": `--judge` on the command line, `judge=` in
            Python, and what a report calls it.
        words: what it is, for the help of the option.
        kind: what can stand in it.
        several: more than one may be given; the option may be repeated.
        optional: the claim can be tested without.
        twin: which twin of a study stands in it; None where a study has none.
    """

    name: str
    words: str
    kind: Kind = Kind.CHECKPOINT
    several: bool = False
    optional: bool = False
    twin: Twin | None = None

    @property
    def keyword(self) -> str:
        """Its argument in Python."""
        return self.name.replace("-", "_")

    @property
    def option(self) -> str:
        """Its option on the command line."""
        return f"--{self.name}"


TRAINING = Role("train-data", "Passages FITTED was trained on", Kind.PASSAGES)
"""The text that the fitted model was trained on: taken from what the checkpoint says of itself
where it is not given."""
