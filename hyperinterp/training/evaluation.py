"""A small evaluation during training: validation loss, entropy, and greedy diversity."""

from dataclasses import dataclass

import torch

from hyperinterp.generation import generate
from hyperinterp.models import HookedModel
from hyperinterp.text import TokenRows
from hyperinterp.training.data import pad_rows
from hyperinterp.training.module import LossModule
from hyperinterp.training.prefix import PrefixCache
from hyperinterp.training.trainer import collator
from probes import diversity_scores, entropy, generated_window

PROMPT_TOKENS, NEW_TOKENS = 32, 96
PROMPTS, ENTROPY_ROWS = 8, 8


@dataclass(frozen=True)
class Evaluation:
    """Figures on held-out text; None where no row was long enough to be measured.

    Attributes:
        heldout_loss: validation loss, nats per predicted token over all held-out rows.
        entropy: mean entropy in nats at the teacher-forced positions of the first rows.
        ttr: mean type-token ratio of greedy generations (96 new tokens after 32).
        rep_4: mean repeated share of their 4-grams.
    """

    heldout_loss: float
    entropy: float | None = None
    ttr: float | None = None
    rep_4: float | None = None


class Evaluator:
    """Evaluates a module in training on the same held-out rows every time.

    Args:
        module: what is being trained.
        rows: held-out token rows.
        prefix: cached stream of these rows, or None.
        batch_size: rows per pass.
        bf16: compute under bf16 autocast, as in training.
    """

    def __init__(
        self,
        module: LossModule,
        rows: TokenRows,
        prefix: PrefixCache | None,
        batch_size: int,
        *,
        bf16: bool,
    ) -> None:
        self._module = module
        self._rows = rows
        self._collate = collator(rows, prefix)
        self._batch_size = batch_size
        self._bf16 = bf16
        prompts = tuple(row[:PROMPT_TOKENS] for row in rows.rows if len(row) >= PROMPT_TOKENS)
        prompts = prompts[:PROMPTS]
        self._prompts = TokenRows(prompts, tuple(range(len(prompts))), PROMPT_TOKENS, 0)

    @torch.no_grad()
    def loss(self) -> float:
        """Validation loss in nats per predicted token."""
        total, targets = 0.0, 0
        device = self._module.model.device
        for start in range(0, len(self._rows), self._batch_size):
            stop = min(start + self._batch_size, len(self._rows))
            batch = self._collate(range(start, stop))
            moved = {name: tensor.to(device) for name, tensor in batch.items()}
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._bf16):
                found = self._module(**moved)
            total += float(found["loss_sum"])
            targets += int(found["targets"])
        return total / max(targets, 1)

    def __call__(self) -> Evaluation:
        """All figures; a few seconds for a small model."""
        model, loss = self._module.model, self.loss()
        if not len(self._prompts):
            return Evaluation(loss, _entropy(model, self._rows))
        written = generate(model, self._prompts, new_tokens=NEW_TOKENS, batch_size=PROMPTS)
        (rows,) = (arm.rows for arm in written.values())
        scores = diversity_scores([generated_window(row, NEW_TOKENS) for row in rows])
        kept = scores.defined
        if not kept.any():
            return Evaluation(loss, _entropy(model, self._rows))
        return Evaluation(
            heldout_loss=loss,
            entropy=_entropy(model, self._rows),
            ttr=float(scores.ttr[kept].mean()),
            rep_4=float(scores.rep_4[kept].mean()),
        )


@torch.no_grad()
def _entropy(model: HookedModel, rows: TokenRows) -> float:
    """Mean entropy at the predicted positions of the first rows, one row's logits at a time."""
    total, count = 0.0, 0
    for row in rows.rows[:ENTROPY_ROWS]:
        ids, _ = pad_rows([row])
        hidden = model.run(ids)[0, :-1]
        found = entropy(model.readout(hidden).float())
        total += float(found.sum())
        count += found.numel()
    return total / max(count, 1)
