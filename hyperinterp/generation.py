"""Generate continuations: one batch for all arms that differ only in logit processing.

Every row's sampling depends only on its prompt and seed, so neither the batch size nor the
other rows of a batch change what is drawn.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, LogitsProcessorList

from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import InputRefused
from hyperinterp.models import HookedModel, check_logits
from hyperinterp.ranges import check_seed
from hyperinterp.text import TokenRows
from probes import entropy, matched_temperature

Tick = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Decoding:
    """How to turn logits into the next token.

    Attributes:
        name: label of the arm.
        temperature: divides the logits.
        seed: None for greedy, else the seed of the draw.
        bias: context-free shift of the logits `[vocab]`, or None.
        alpha: factor on `bias`.
        rows: numbers of the prompts that the arm continues; all of them when None.
        match_entropy: at every step, the temperature at which the model has the entropy that
            a second model has in the same context; `temperature` comes on top.
    """

    name: str
    temperature: float = 1.0
    seed: int | None = None
    bias: Tensor | None = None
    alpha: float = 1.0
    rows: tuple[int, ...] | None = None
    match_entropy: bool = False

    def numbers(self, prompts: int) -> Sequence[int]:
        """Numbers of the prompts, of so many, that the arm continues."""
        return range(prompts) if self.rows is None else self.rows


GREEDY = Decoding("greedy")


@dataclass(frozen=True)
class Generated:
    """Continuations of one arm, one per prompt row, in the order of the rows.

    Attributes:
        rows: generated ids without prompt, end token and padding.
        ended: whether the model ended the text itself.
    """

    rows: tuple[tuple[int, ...], ...]
    ended: tuple[bool, ...]

    def chosen(self, rows: Sequence[int]) -> "Generated":
        """Only the continuations with these numbers."""
        return Generated(
            tuple(self.rows[row] for row in rows), tuple(self.ended[row] for row in rows)
        )


class _ArmProcessor(LogitsProcessor):
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
                self._cache = _read_once(self._target, ids)
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


def stop_tokens(model: HookedModel) -> tuple[int, ...]:
    """The ids that end a text, from the generation config, the config or the tokenizer."""
    for holder in (model.hf.generation_config, model.hf.config, model.tokenizer):
        found = getattr(holder, "eos_token_id", None)
        if found is not None:
            return (found,) if isinstance(found, int) else tuple(found)
    return ()


@contextmanager
def _plain_decoding(model: HookedModel) -> Iterator[None]:
    """Forget the checkpoint's own decoding defaults (penalties, sampling) for a while."""
    kept = model.hf.generation_config
    model.hf.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.hf.generation_config = kept


def _config(stops: tuple[int, ...], new_tokens: int) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=new_tokens,
        do_sample=False,
        num_beams=1,
        eos_token_id=list(stops) or None,
        pad_token_id=stops[0] if stops else 0,
        use_cache=True,
    )


def generate(
    model: HookedModel,
    prompts: TokenRows,
    arms: Sequence[Decoding] = (GREEDY,),
    *,
    new_tokens: int = 96,
    batch_size: int = 64,
    stops: Sequence[int] | None = None,
    match_entropy_of: HookedModel | None = None,
    tick: Tick | None = None,
    processes: Processes = ALONE,
) -> dict[str, Generated]:
    """Continue the prompts under every arm, each arm those that it asks for.

    Args:
        model: the model that writes.
        prompts: token ids; rows of equal length run together.
        arms: decodings with distinct names.
        new_tokens: most tokens generated per prompt.
        batch_size: most rows at once, whatever their arm.
        stops: ids that end a text; by default those that the model names.
        match_entropy_of: the second model of the arms with `match_entropy`.
        tick: called with the number of rows done.
        processes: the processes that share the texts; all of them get every text.

    Returns:
        Per arm name, the continuations in the order of its prompts.

    Raises:
        ValueError: two arms of one name, or an arm that matches a model that was not given.
        NumericalFault: a logit is NaN or infinite; names the model.
        UnsupportedModel: an arm matches entropies, and a model rules token ids out by minus
            infinity.
    """
    if len({arm.name for arm in arms}) != len(arms):
        raise ValueError(f"arms: expected distinct names, found {[arm.name for arm in arms]}")
    if match_entropy_of is None and any(arm.match_entropy for arm in arms):
        raise ValueError("match_entropy_of: expected the model to match, found none")
    ends = stop_tokens(model) if stops is None else tuple(stops)
    jobs = [(arm, number) for arm in arms for number in arm.numbers(len(prompts))]
    jobs.sort(key=lambda job: job[1])  # equal prompts in one batch are read once
    texts: dict[int, tuple[tuple[int, ...], bool]] = {}
    rows = prompts.chosen(number for _, number in jobs)
    size = processes.rows_per_batch(batch_size, len(jobs))
    for chosen, ids in processes.share(rows.batches(size)):
        decodings, numbers = zip(*(jobs[job] for job in chosen), strict=True)
        processor = _ArmProcessor(model.name, decodings, numbers, match_entropy_of)
        with _plain_decoding(model), torch.no_grad():
            output = model.hf.generate(  # pyright: ignore[reportCallIssue]
                input_ids=ids.to(model.device),
                attention_mask=torch.ones_like(ids).to(model.device),
                past_key_values=_read_once(model, ids),
                generation_config=_config(ends, new_tokens),
                logits_processor=LogitsProcessorList([processor]),
            )
        sequences = output[:, ids.shape[1] :].tolist()  # pyright: ignore
        texts |= {
            job: _cut(sequence, ends) for job, sequence in zip(chosen, sequences, strict=True)
        }
        if tick is not None:
            tick(len(chosen) * processes.size)
    texts = {job: text for part in processes.everywhere(texts) for job, text in part.items()}
    found = {(arm.name, number): texts[job] for job, (arm, number) in enumerate(jobs)}
    written = {}
    for arm in arms:
        own = [found[arm.name, number] for number in arm.numbers(len(prompts))]
        written[arm.name] = Generated(
            tuple(ids for ids, _ in own), tuple(ended for _, ended in own)
        )
    return written


def _read_once(model: HookedModel, ids: Tensor) -> DynamicCache:
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


def continue_text(
    model: HookedModel,
    texts: str | Sequence[str],
    *,
    new_tokens: int = 96,
    temperature: float | None = None,
    seed: int = 0,
) -> list[str]:
    """What a model writes after each text, as text; greedy unless a temperature is given.

    Args:
        model: the model that writes; needs a tokenizer.
        texts: one prompt or several, taken whole.
        new_tokens: most tokens generated per prompt.
        temperature: sample at this temperature (above 0) instead.
        seed: of the sampling, 0 to 4294967295; a text's draw depends on nothing but its number
            and this.

    Returns:
        One continuation per text, without the prompt.

    Raises:
        InputRefused: no tokenizer, no text, a text without tokens, or a temperature, number of
            tokens or seed out of range.
    """
    given = [texts] if isinstance(texts, str) else list(texts)
    if model.tokenizer is None:
        raise InputRefused(f"{model.name}: expected a tokenizer, found none")
    if temperature is not None and not (math.isfinite(temperature) and temperature > 0):
        raise InputRefused(f"temperature: expected a number above 0, found {temperature}")
    if new_tokens < 1:
        raise InputRefused(f"new_tokens: expected at least 1, found {new_tokens}")
    check_seed(seed)
    ids = (
        [tuple(row) for row in model.tokenizer(given, verbose=False)["input_ids"]] if given else []
    )
    if not ids or not all(ids):
        raise InputRefused("texts: expected at least one text, each with a token, found none")
    prompts = TokenRows(tuple(ids), tuple(range(len(ids))), max(map(len, ids)), 0)
    arm = GREEDY if temperature is None else Decoding("sampled", temperature, seed)
    rows = generate(model, prompts, (arm,), new_tokens=new_tokens)[arm.name].rows
    return [str(model.tokenizer.decode(list(row))) for row in rows]


def _cut(sequence: Sequence[int], stops: tuple[int, ...]) -> tuple[tuple[int, ...], bool]:
    for position, token in enumerate(sequence):
        if token in stops:
            return tuple(sequence[:position]), True
    return tuple(sequence), False
