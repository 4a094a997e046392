"""Both models on the passages that are read: streams, choices, and what a changed stream does."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperinterp.analyses.readouts import Predictions, predictions, stream_logits
from hyperinterp.analyses.replays import CONTEXTS, contexts_per_passage, shortened
from hyperinterp.capture import chosen_positions
from hyperinterp.models import HookedModel, Recording
from hyperinterp.under_comparison import Study
from probes.ranks.tokens import top1_rows


@dataclass(frozen=True)
class Batch:
    """Both models on one batch of passages.

    Attributes:
        ids: token ids, `[row position]`.
        where: positions of the decisions.
        row: passage of each decision, `[n]`.
        recordings: by role.
        predicted: by role, at the decisions.
    """

    ids: Tensor
    where: Tensor
    row: Tensor
    recordings: dict[str, Recording]
    predicted: dict[str, Predictions]

    @property
    def over(self) -> Tensor:
        """The decisions in which the two models choose differently, `[n]` bool."""
        return (self.predicted["fitted"].choice != self.predicted["base"].choice).cpu()

    def chosen(self, stream: Tensor) -> Tensor:
        """A stream at the decisions, row by row, `[n d]`."""
        return stream[:, self.where.to(stream.device)].flatten(0, 1)

    def read(self, model: HookedModel, stream: Tensor) -> tuple[Tensor, Tensor]:
        """KL(fitted || model), and the model's choices, at the decisions.

        Args:
            model: reads the stream out.
            stream: after its last block.
        """
        kl, choice = [], []
        for rows, logits in stream_logits(model, self.chosen(stream)):
            kl.append(self.predicted["fitted"].kl_from(rows, logits).cpu())
            choice.append(top1_rows(logits).cpu())
        return torch.cat(kl), torch.cat(choice)


def batches(study: Study) -> Iterator[Batch]:
    """Yield both models on the passages that no direction was estimated on, batch by batch.

    Args:
        study: the pair and its passages.
    """
    numbers = range(len(study.heldout.rows))[1::2][: study.sizes.patch_prompts]
    rows, per_passage = shortened(study, numbers), contexts_per_passage(study) or CONTEXTS
    models = {"base": study.base, "fitted": study.fitted}
    for which, ids in rows.batches(study.run.batch_size):
        where = torch.tensor(chosen_positions(ids.shape[1], per_passage))
        recordings = {role: model.record(ids) for role, model in models.items()}
        ends = {
            role: recordings[role].inputs[model.n_layers][:, where.to(model.home)].flatten(0, 1)
            for role, model in models.items()
        }
        yield Batch(
            ids,
            where,
            torch.tensor(which).repeat_interleave(len(where)),
            recordings,
            {role: predictions(model, ends[role]) for role, model in models.items()},
        )
