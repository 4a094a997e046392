"""Self-BLEU: how much the texts of one model look like each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from probes._foreign import Ids, id_list


@dataclass(frozen=True)
class SelfBleu:
    """Self-BLEU of a sample of texts.

    Attributes:
        scores: BLEU of each sampled text against the others, in [0, 1], float64 of shape [m].
        sampled: Which texts were scored, ascending indices of shape [m].
        mean: Mean of `scores`; high is uniform, low is diverse.
    """

    scores: Float[Tensor, " m"]
    sampled: Int[Tensor, " m"]
    mean: float


def self_bleu(
    texts_or_ids: Sequence[str] | Sequence[Ids],
    max_sample: int = 64,
    seed: int = 0,
    max_order: int = 4,
) -> SelfBleu:
    """Mean sentence BLEU of each text against all the others (Zhu et al. 2018, arXiv:1802.01886).

    Through sacrebleu: BLEU-4 with the others as references, exponential smoothing and effective
    order. Texts are split by its `13a` tokenizer, ids are taken as words. Cost is quadratic, so at
    most `max_sample` texts are drawn, without replacement; the drawn ones are also the references.
    Empty texts cannot be scored and are left out.

    Args:
        texts_or_ids: Texts, or sequences of token ids.
        max_sample: Most texts to draw, 2 or more.
        seed: Of the draw.
        max_order: Longest n-gram.

    Returns:
        A `SelfBleu`; a score belongs to the prompt in `sampled`, but it depends on all of them, so
        resample prompts with care.

    Raises:
        ValueError: for fewer than two texts that are not empty, or `max_sample` below 2.

    >>> self_bleu([[1, 2, 3, 4], [1, 2, 3, 4]]).mean
    1.0
    """
    from sacrebleu.metrics.bleu import BLEU

    if max_sample < 2:
        raise ValueError(f"max_sample: expected 2 or more, found {max_sample}")
    words = [
        x if isinstance(x, str) else " ".join(map(str, id_list(x, f"texts_or_ids[{i}]")))
        for i, x in enumerate(texts_or_ids)
    ]
    kinds = {isinstance(x, str) for x in texts_or_ids}
    full = torch.tensor([i for i, text in enumerate(words) if text.strip()], dtype=torch.int64)
    if len(full) < 2 or len(kinds) != 1:
        raise ValueError(
            "texts_or_ids: expected 2 or more of one kind that are not empty, "
            f"found {len(full)} of {len(kinds)} kinds"
        )
    draw = torch.randperm(len(full), generator=Generator().manual_seed(seed))[:max_sample]
    sampled = full[draw.sort().values]
    bleu = BLEU(
        tokenize="13a" if kinds == {True} else "none",
        max_ngram_order=max_order,
        smooth_method="exp",
        effective_order=True,
    )
    chosen = [words[i] for i in sampled.tolist()]
    scores = [
        bleu.sentence_score(text, chosen[:i] + chosen[i + 1 :]).score / 100.0
        for i, text in enumerate(chosen)
    ]
    out = torch.tensor(scores, dtype=torch.float64).clamp(0.0, 1.0)
    return SelfBleu(out, sampled, float(out.mean()))
