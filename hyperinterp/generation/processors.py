"""From a step's logits to its tokens: every row by the decoding of its own arm."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor

from hyperinterp.generation.decoding import Decoding
from hyperinterp.generation.filters import Filters
from hyperinterp.models import HookedModel, check_logits
from probes import entropy, matched_temperature


class ArmProcessor(LogitsProcessor):
    """Applies each row's own decoding; the result is taken greedily."""

    def __init__(
        self,
        name: str,
        decodings: Sequence[Decoding],
        prompts: Sequence[int],
        target: HookedModel | None = None,
        *,
        vocabulary: int | None = None,
    ) -> None:
        self._name = name
        self._vocabulary = vocabulary
        self._decodings = decodings
        self._matched = [row for row, arm in enumerate(decodings) if arm.match_entropy]
        self._match = None if target is None or not self._matched else _EntropyMatch(target)
        self._shifts = _Shifts(decodings)
        self._filters = Filters(decodings)
        self._draws = _Draws(decodings, prompts)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores whose argmax is each row's next token.

        Args:
            input_ids: all ids so far, `[row, position]`.
            scores: the model's logits of the next token, `[row, vocab]`; ids beyond the
                vocabulary that was given are left out, and so are never chosen.
        """
        scores = scores[:, : self._vocabulary].float().clone()
        check_logits(self._name, scores, masked=self._match is None)
        self._shifts.add_to(scores)
        if self._match is not None:
            rows = self._matched
            scores[rows] /= self._match(input_ids[rows], scores[rows])[:, None]
        self._filters.apply(input_ids, scores)
        self._draws.choose_in(scores)
        return scores


Rows = slice | Tensor
"""Rows of the scores: a view where they follow one another, else their numbers."""


def _parts(rows: Sequence[int], scores: Float[Tensor, "row vocab"]) -> list[Rows]:
    """Ascending rows in parts that are worked on at once: few on a CPU, whose cache is small."""
    budget = 1 << (16 if scores.device.type == "cpu" else 25)
    size = max(1, budget // scores.shape[-1])
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [
        slice(part[0], part[-1] + 1)
        if part[-1] - part[0] + 1 == len(part)
        else torch.tensor(part, device=scores.device)
        for part in parts
    ]


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
        self._placed: list[tuple[Tensor, list[Rows]]] | None = None

    def add_to(self, scores: Float[Tensor, "row vocab"]) -> None:
        """Shift every row of an arm with a bias, in place."""
        if self._placed is None:
            self._placed = [
                (key[1] * bias.to(scores), _parts(self._rows[key], scores))
                for key, bias in self._biases.items()
            ]
        for shift, parts in self._placed:
            for part in parts:
                scores[part] += shift


class _Draws:
    """One draw per step for every row of a sampled arm, from a generator of the row's own."""

    def __init__(self, decodings: Sequence[Decoding], prompts: Sequence[int]) -> None:
        self._rows: list[int] = []
        self._temperatures: list[float] = []
        self._generators: list[torch.Generator] = []
        for row, (arm, prompt) in enumerate(zip(decodings, prompts, strict=True)):
            if arm.seed is not None:
                self._rows.append(row)
                self._temperatures.append(arm.temperature)
                self._generators.append(_generator(arm.seed, prompt))
        self._placed: tuple[list[Rows], Tensor, Tensor] | None = None

    def choose_in(self, scores: Float[Tensor, "row vocab"]) -> None:
        """Leave each such row one finite score: that of a draw from its softmax, by inversion."""
        if not self._rows:
            return
        if self._placed is None:
            self._placed = (
                _parts(self._rows, scores),
                torch.tensor(self._rows, device=scores.device),
                torch.tensor(self._temperatures, dtype=scores.dtype, device=scores.device),
            )
        parts, rows, temperatures = self._placed
        uniform = self._uniform().to(scores.device)
        tokens, done = torch.empty_like(rows), 0
        for part in parts:
            logits = scores[part]
            own = slice(done, done + len(logits))
            cumulative = torch.softmax((logits / temperatures[own, None]).double(), -1).cumsum(-1)
            reached = uniform[own, None] * cumulative[:, -1:]
            tokens[own] = torch.searchsorted(cumulative, reached, right=True)[:, 0]
            scores[part] = float("-inf")
            done += len(logits)
        scores[rows, tokens.clamp_max(scores.shape[-1] - 1)] = 0.0

    def _uniform(self) -> Tensor:
        """A number in [0, 1) per row, drawn on the CPU: the same on every device."""
        draws = [torch.rand(1, generator=own, dtype=torch.float64) for own in self._generators]
        return torch.cat(draws)


def _generator(seed: int, prompt: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + prompt) % (2**63))


class _EntropyMatch:
    """Per-row temperature at which the model's entropy equals a second model's, in lockstep."""

    def __init__(self, target: HookedModel) -> None:
        self._target = target
        self._cache: DynamicCache | None = None

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        with torch.no_grad():
            if self._cache is None:
                self._cache = read_once(self._target, ids)
            output = self._target.hf(
                input_ids=ids[:, -1:].to(self._target.device),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        logits = output.logits[:, -1, : self._target.vocab_size].float()
        check_logits(self._target.name, logits)
        wanted = entropy(logits)
        match = matched_temperature(scores, wanted, per_context=True)
        return torch.as_tensor(match.temperature).to(scores)


def read_once(model: HookedModel, ids: Tensor) -> DynamicCache:
    """Keys and values of all but the last token of every row; equal rows are read once."""
    model.forget_lengths()
    cache = DynamicCache(config=model.hf.config)
    if ids.shape[1] == 1:
        return cache
    distinct, places = ids[:, :-1].unique(dim=0, return_inverse=True)
    model.hf(
        input_ids=distinct.to(model.device),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    cache.batch_select_indices(places.cpu())  # layers of a spread model lie on several devices
    return cache
