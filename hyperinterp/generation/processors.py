"""From a step's logits to its tokens: every row by the decoding of its own arm."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor

from hyperinterp.generation.decoding import Decoding
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
    ) -> None:
        self._name = name
        self._decodings = decodings
        self._matched = [row for row, arm in enumerate(decodings) if arm.match_entropy]
        self._match = None if target is None or not self._matched else _EntropyMatch(target)
        self._draws = [
            None if arm.seed is None else _generator(arm.seed, prompt)
            for arm, prompt in zip(decodings, prompts, strict=True)
        ]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores whose argmax is each row's next token.

        Args:
            input_ids: all ids so far, `[row, position]`.
            scores: the model's logits of the next token, `[row, vocab]`.
        """
        scores = scores.float().clone()
        check_logits(self._name, scores, masked=self._match is None)
        for row, arm in enumerate(self._decodings):
            if arm.bias is not None:
                scores[row] += arm.alpha * arm.bias.to(scores.device, scores.dtype)
        if self._match is not None:
            rows = self._matched
            scores[rows] /= self._match(input_ids[rows], scores[rows])[:, None]
        for row, (arm, draw) in enumerate(zip(self._decodings, self._draws, strict=True)):
            if draw is not None:
                scores[row] = _drawn(scores[row] / arm.temperature, draw)
        return scores


def _generator(seed: int, prompt: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + prompt) % (2**63))


def _drawn(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Scores whose argmax is one draw from softmax(logits), by inversion."""
    cumulative = torch.softmax(logits.double(), dim=-1).cumsum(-1)
    uniform = torch.rand((), generator=generator, dtype=torch.float64).to(logits.device)
    token = torch.searchsorted(cumulative, uniform * cumulative[-1], right=True)
    chosen = torch.full_like(logits, float("-inf"))
    chosen[token.clamp_max(logits.numel() - 1)] = 0.0
    return chosen


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
        logits = output.logits[:, -1].float()
        check_logits(self._target.name, logits)
        wanted = entropy(logits)
        match = matched_temperature(scores, wanted, per_context=True)
        return torch.as_tensor(match.temperature).to(scores)


def read_once(model: HookedModel, ids: Tensor) -> DynamicCache:
    """Keys and values of all but the last token of every row; equal rows are read once."""
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
