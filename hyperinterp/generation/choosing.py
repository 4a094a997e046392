"""From a step's logits to its tokens: every row by the decoding of its own arm."""

from collections import defaultdict
from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.generation.decoding import Decoding
from hyperinterp.generation.draws import Draws
from hyperinterp.generation.filters import Filters
from hyperinterp.generation.matching import entropies, temperatures_at
from hyperinterp.generation.rowwise import Rows, parts, where
from hyperinterp.generation.watching import Watch
from probes.ranks.tokens import top1_rows


class Chooser:
    """Chooses the next token of every row.

    Args:
        name: what to call the model that the logits come from.
        decodings: the arm of every row.
        prompts: the number of every row's prompt.
        steps: most tokens chosen per row.
        target: what to call the second model, whose entropies arms match.

    Attributes:
        matched: numbers of the rows whose arm matches an entropy.
        places: the same, as an index.
    """

    def __init__(
        self,
        name: str,
        decodings: Sequence[Decoding],
        prompts: Sequence[int],
        steps: int,
        target: str = "",
    ) -> None:
        self.matched = [row for row, arm in enumerate(decodings) if arm.match_entropy]
        self.places = where(self.matched)
        self._seen = Watch(name)
        self._pair = Watch(name, masked=False), Watch(target, masked=False)
        self._shifts = _Shifts(decodings)
        self._filters = Filters(decodings)
        self._draws = Draws(decodings, prompts, steps)

    def choose(
        self,
        step: int,
        ids: Int[Tensor, "row position"],
        scores: Float[Tensor, "row vocab"],
        wanted: Float[Tensor, "matched other"] | None = None,
    ) -> Int[Tensor, " row"]:
        """Return every row's next token.

        Args:
            step: number of the step.
            ids: all ids so far.
            scores: the model's logits of the next token; changed in place.
            wanted: the second model's logits in the rows `matched`, where there are any.
        """
        self._seen.see(scores)
        self._shifts.add_to(scores)
        if wanted is not None:
            rows = self.places
            for watch, logits in zip(self._pair, (scores[rows], wanted), strict=True):
                watch.see(logits)
            found = temperatures_at(scores[rows], entropies(wanted)).to(scores)
            scores[rows] /= found[:, None]
        self._filters.apply(ids, scores)
        tokens = top1_rows(scores)
        self._draws.choose(step, scores, tokens)
        return tokens

    def check(self) -> None:
        """Refuse logits that were seen since the last call, and no choice is defined on.

        Raises:
            NumericalFault: NaN, plus infinity, or a context without a finite logit.
            UnsupportedModel: minus infinity for single token ids in a row that matches entropies.
        """
        for watch in (self._seen, *self._pair):
            watch.check()


class _Shifts:
    """The biases of all rows, each distinct one once on the device of the logits."""

    def __init__(self, decodings: Sequence[Decoding]) -> None:
        self._rows: dict[tuple[int, float], list[int]] = defaultdict(list)
        self._biases: dict[tuple[int, float], Tensor] = {}
        for row, arm in enumerate(decodings):
            if arm.bias is not None:
                key = (id(arm.bias), arm.alpha)
                self._rows[key].append(row)
                self._biases[key] = arm.bias
        self._placed: list[tuple[Tensor, Rows]] | None = None

    def add_to(self, scores: Float[Tensor, "row vocab"]) -> None:
        """Shift every row of an arm with a bias, in place."""
        if self._placed is None:
            self._placed = []
            for key, bias in self._biases.items():
                shift = key[1] * bias.to(scores)
                self._placed += [(shift, part) for part, _ in parts(self._rows[key], scores)]
        for shift, part in self._placed:
            scores[part] += shift
