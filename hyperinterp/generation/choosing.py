"""From a step's logits to its tokens: every row by the decoding of its own arm."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.errors import NumericalFault
from hyperinterp.generation.decoding import Decoding
from hyperinterp.generation.draws import Draws
from hyperinterp.generation.filters import Filters
from hyperinterp.generation.rowwise import Rows, parts
from hyperinterp.generation.stepping import Steps
from hyperinterp.models import check_logits
from probes import entropy, matched_temperature


class Chooser:
    """Chooses the next token of every row.

    Args:
        name: what to call the model that the logits come from.
        decodings: the arm of every row.
        prompts: the number of every row's prompt.
        steps: most tokens chosen per row.
        target: the steps of the second model, over the rows whose arm matches its entropy.
    """

    def __init__(
        self,
        name: str,
        decodings: Sequence[Decoding],
        prompts: Sequence[int],
        steps: int,
        target: Steps | None = None,
    ) -> None:
        self._name = name
        self._matched = [row for row, arm in enumerate(decodings) if arm.match_entropy]
        self._target = target
        self._shifts = _Shifts(decodings)
        self._filters = Filters(decodings)
        self._draws = Draws(decodings, prompts, steps)
        self._faulty: Tensor | None = None

    def choose(
        self, step: int, ids: Int[Tensor, "row position"], scores: Float[Tensor, "row vocab"]
    ) -> Int[Tensor, " row"]:
        """Return every row's next token.

        Args:
            step: number of the step.
            ids: all ids so far.
            scores: the model's logits of the next token; changed in place.
        """
        self._watch(scores)
        self._shifts.add_to(scores)
        if self._target is not None and self._matched:
            rows = self._matched
            check_logits(self._name, scores[rows])
            scores[rows] /= self._temperatures(self._target, ids[rows], scores[rows])[:, None]
        self._filters.apply(ids, scores)
        tokens = scores.argmax(-1)
        self._draws.choose(step, scores, tokens)
        return tokens

    def _watch(self, scores: Float[Tensor, "row vocab"]) -> None:
        """Note whether a row has NaN, plus infinity or no finite logit; nothing waits for it."""
        faulty = ~scores.amax(-1).isfinite().all()
        self._faulty = faulty if self._faulty is None else self._faulty | faulty

    def check(self) -> None:
        """Refuse what was seen since the last call.

        Raises:
            NumericalFault: NaN, plus infinity, or a context without a finite logit.
        """
        if self._faulty is not None and bool(self._faulty):
            raise NumericalFault(f"{self._name}: expected finite logits, found NaN or infinity")
        self._faulty = None

    @staticmethod
    def _temperatures(target: Steps, ids: Tensor, scores: Tensor) -> Float[Tensor, " row"]:
        """At which the scores have the entropy of the second model in the same contexts."""
        logits = target.next(ids[:, -1:])
        check_logits(target.model.name, logits)
        match = matched_temperature(scores, entropy(logits), per_context=True)
        return torch.as_tensor(match.temperature).to(scores)


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
