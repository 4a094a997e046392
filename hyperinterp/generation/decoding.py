"""Arms of a generation and the texts that they give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from hyperinterp.models import Stitch
from probes import NgramIndex


@dataclass(frozen=True, eq=False)
class Decoding:
    """A rule that turns logits into the next token.

    Attributes:
        name: label of the arm.
        temperature: divides the logits.
        seed: None for greedy, else the seed of the draw.
        bias: context-free shift of the logits `[vocab]`, or None.
        alpha: factor on `bias`.
        rows: numbers of the prompts that the arm continues; all of them when None.
        match_entropy: at every step, the temperature at which the model has the entropy that
            a second model has in the same context; `temperature` comes on top.
        top_p: draw from the likeliest tokens that together have this probability.
        min_p: draw from the tokens that have at least this share of the largest probability.
        repetition_penalty: divides positive logits of tokens that occurred, multiplies negative.
        no_repeat: no n-gram of this length occurs twice, the prompt counted.
        blocked: none of these n-grams is completed, the prompt counted; greedy texts only.
        change: what becomes of the stream that leaves the last block, `[row, 1, d_model]`, before
            it is read out; no key or value hangs on it.
    """

    name: str
    temperature: float = 1.0
    seed: int | None = None
    bias: Tensor | None = None
    alpha: float = 1.0
    rows: tuple[int, ...] | None = None
    match_entropy: bool = False
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    no_repeat: int | None = None
    blocked: NgramIndex | None = None
    change: Callable[[Tensor], Tensor] | None = None
    stitch: Stitch | None = None

    def numbers(self, prompts: int) -> Sequence[int]:
        """Numbers of the prompts, of so many, that the arm continues."""
        return range(prompts) if self.rows is None else self.rows


GREEDY = Decoding("greedy")


@dataclass(frozen=True)
class Generated:
    """Generations of one arm, one per prompt row, in the order of the rows.

    Attributes:
        rows: generated ids without prompt, end token and padding.
        ended: whether the model ended the text itself.
    """

    rows: tuple[tuple[int, ...], ...]
    ended: tuple[bool, ...]

    def chosen(self, rows: Sequence[int]) -> "Generated":
        """Only the generations with these numbers."""
        return Generated(
            tuple(self.rows[row] for row in rows), tuple(self.ended[row] for row in rows)
        )
