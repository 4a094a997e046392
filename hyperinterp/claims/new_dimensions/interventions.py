"""Read text with the component in some directions replaced: the engine of C12.

Each batch runs once through each model, and once alone through the blocks that both have in common
at the start. An intervention starts from the recorded stream, so that only the blocks above it run
again: at the last block the final norm and the unembedding alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.analyses.readouts import KEPT_ENTRIES, predictions, stream_logits
from hyperinterp.analyses.replays import contexts_per_passage
from hyperinterp.capture import chosen_positions
from hyperinterp.claims.new_dimensions.directions import Directions
from hyperinterp.models import HookedModel, recorded_together, shared_start
from hyperinterp.text import TokenRows
from hyperinterp.under_comparison import Study
from probes import interchange_component, replace_component
from probes.ranks.tokens import rank_rows, top1_rows

COMPONENT, MEAN = "other model's component", "mean"


@dataclass(frozen=True, eq=False)
class Job:
    """One intervention.

    Attributes:
        recipient: role of the model that reads; the other one is the donor.
        layer: the block whose output is changed.
        directions: where.
        given: `COMPONENT`, of the donor on the same context, or `MEAN`, the recipient's own.
        mean: of the recipient's rows, for `MEAN`.
    """

    recipient: str
    layer: int
    directions: Directions
    given: str = COMPONENT
    mean: Tensor | None = None

    @property
    def donor(self) -> str:
        """Role of the other model."""
        return "base" if self.recipient == "fitted" else "fitted"


@dataclass(frozen=True)
class Effect:
    """A model's predictions at every context.

    Attributes:
        choice: the greedy choice, `[n]`.
        kl: KL(donor || model), nats, `[n]`.
    """

    choice: Int[Tensor, " n"]
    kl: Float[Tensor, " n"]

    @staticmethod
    def joined(parts: Sequence["Effect"]) -> "Effect":
        """The effects of several batches, one after the other."""
        return Effect(torch.cat([p.choice for p in parts]), torch.cat([p.kl for p in parts]))


@dataclass(frozen=True)
class Intervened:
    """All interventions on the same contexts.

    Attributes:
        row: passage of each context, `[n]`.
        unchanged: each model as it is, by role; `kl` from the other one.
        base_rank: the base's rank of the fitted model's choice, from 1, `[n]`.
        effects: of every job, in order.
        executed: blocks that ran, counted per passage.
    """

    row: Int[Tensor, " n"]
    unchanged: dict[str, Effect]
    base_rank: Int[Tensor, " n"]
    effects: tuple[Effect, ...]
    executed: int


def replaced(
    job: Job, stream: Float[Tensor, "*n d"], donor: Float[Tensor, "*n d"]
) -> Float[Tensor, "*n d"]:
    """Return the recipient's stream with its component replaced, computed in float64.

    Args:
        job: what is replaced by what.
        stream: the recipient's.
        donor: the other model's on the same contexts.
    """
    basis = job.directions.basis.to(stream.device)
    if not basis.shape[1]:
        return stream
    wide = stream.double()
    if job.given == MEAN:
        changed = replace_component(wide, basis, job.mean)
    else:
        changed = interchange_component(wide, donor.to(wide), basis)
    return changed.to(stream.dtype)


def contexts_per_row(study: Study) -> int | None:
    """Half as many decisions of each passage as C6 looks at, on twice as many passages."""
    count = contexts_per_passage(study)
    return count and max(1, count // 2)


def intervened(study: Study, rows: TokenRows, jobs: Sequence[Job], task: str) -> Intervened:
    """Run every job on the same rows.

    Args:
        study: the pair and how it runs.
        rows: token ids.
        jobs: the interventions.
        task: what it is called while it runs.
    """
    models = {"base": study.base, "fitted": study.fitted}
    per_passage, shared = contexts_per_row(study), study.run.processes
    tick = study.run.log.ticker(task, (len(jobs) + 2) * len(rows))
    longest = len(chosen_positions(max(map(len, rows.rows)), per_passage))
    size = max(1, min(study.run.batch_size, KEPT_ENTRIES // (longest * study.base.vocab_size)))
    (size,) = shared.rows_per_batch(size, [len(rows)])
    start = shared_start(study.base, study.fitted)
    row: list[Tensor] = []
    found: list[list[Effect]] = []
    ranks: list[Tensor] = []
    executed = 0
    for numbers, ids in shared.share(rows.batches(size)):
        where = torch.tensor(chosen_positions(ids.shape[1], per_passage))
        row.append(torch.tensor(numbers).repeat_interleave(len(where)))
        batch = _Batch(models, ids, where, {job.layer + 1 for job in jobs}, start)
        ranks.append(batch.base_rank())
        effects = [batch.unchanged(role) for role in models]
        tick(2 * len(numbers) * shared.size)
        for job in jobs:
            effects.append(batch.after(job))
            tick(len(numbers) * shared.size)
        found.append(effects)
        above = sum(study.base.n_layers - job.layer - 1 for job in jobs)
        executed += len(numbers) * (2 * study.base.n_layers - start + above)
    every = [Effect.joined(parts) for parts in zip(*shared.gathered(found), strict=True)]
    return Intervened(
        row=torch.cat(shared.gathered(row)),
        unchanged=dict(zip(models, every[:2], strict=True)),
        base_rank=torch.cat(shared.gathered(ranks)),
        effects=tuple(every[2:]),
        executed=int(shared.summed(torch.tensor(executed))),
    )


class _Batch:
    """Both models on one batch: their recordings, and their predictions at the contexts."""

    def __init__(
        self,
        models: dict[str, HookedModel],
        ids: Int[Tensor, "batch position"],
        where: Int[Tensor, " chosen"],
        keep: set[int],
        start: int,
    ) -> None:
        self._models = models
        self._where = where
        self._end = models["base"].n_layers
        pair = recorded_together(models["base"], models["fitted"], ids, keep | {self._end}, start)
        self._recordings = dict(zip(models, pair, strict=True))
        self._predicted = {
            role: predictions(model, self._chosen(self._recordings[role].inputs[self._end]))
            for role, model in models.items()
        }

    def base_rank(self) -> Int[Tensor, " n"]:
        """The base's rank of the fitted model's choice."""
        weights, choice = self._predicted["base"].weights, self._predicted["fitted"].choice
        return rank_rows(weights, choice[:, None].to(weights.device)).cpu()

    def unchanged(self, role: str) -> Effect:
        """A model as it is."""
        donor = "base" if role == "fitted" else "fitted"
        stream = self._chosen(self._recordings[role].inputs[self._end])
        return self._read(role, donor, stream)

    def after(self, job: Job) -> Effect:
        """The recipient after an intervention; position 0, an attention sink, stays as it is."""
        model, recording = self._models[job.recipient], self._recordings[job.recipient]
        start = job.layer + 1
        ours = recording.inputs[start]
        theirs = self._recordings[job.donor].inputs[start]
        if start == self._end:
            stream = replaced(job, self._chosen(ours), self._chosen(theirs))
        else:
            changed = replaced(job, ours[:, 1:], theirs[:, 1:])
            whole = torch.cat([ours[:, :1], changed], dim=1)
            stream = self._chosen(model.replay(recording, start, whole))
        return self._read(job.recipient, job.donor, stream)

    def _chosen(self, stream: Float[Tensor, "row position d"]) -> Float[Tensor, "n d"]:
        """The stream at the contexts, row by row."""
        return stream[:, self._where.to(stream.device)].flatten(0, 1)

    def _read(self, role: str, donor: str, stream: Float[Tensor, "n d"]) -> Effect:
        model, found = self._models[role], []
        for rows, logits in stream_logits(model, stream, f"{model.name} without directions"):
            kl = self._predicted[donor].kl_from(rows, logits)
            found.append(Effect(top1_rows(logits).cpu(), kl.cpu()))
        return Effect.joined(found)
