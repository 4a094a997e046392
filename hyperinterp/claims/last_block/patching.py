"""Run patches and hold the stitched models against both models: the engine of C6.

Each batch of passages runs once through each model. Every stitched model then starts from the
recorded stream that enters the first block it changes, and only its chosen contexts reach the
vocabulary.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hyperinterp.analyses.readouts import KEPT_ENTRIES, predictions, stream_logits
from hyperinterp.analyses.replays import contexts_per_passage
from hyperinterp.capture import chosen_positions
from hyperinterp.claims.last_block.patches import (
    INTO_BASE,
    INTO_FITTED,
    Key,
    Patch,
    differing,
    movable,
    null_layers,
    passages,
    planned,
    reduced,
    reweighted,
    together,
)
from hyperinterp.claims.last_block.random_changes import Null, drawn, grouped
from hyperinterp.models import Component, ComponentKind, HookedModel, Recording, patched, perturbed
from hyperinterp.under_comparison import Study
from probes import logit_difference
from probes.ranks.tokens import top1_rows


@dataclass(frozen=True)
class Effects:
    """One stitched model on every context; each `[n]`.

    Attributes:
        kl_to_donor: KL(donor || stitched model), nats.
        kl_to_recipient: KL(recipient || stitched model), nats.
        agreement: whether the stitched model makes the donor's greedy choice.
        difference: the stitched model's logit of the donor's choice minus that of the recipient's.
    """

    kl_to_donor: Float[Tensor, " n"]
    kl_to_recipient: Float[Tensor, " n"]
    agreement: Bool[Tensor, " n"]
    difference: Float[Tensor, " n"]

    @staticmethod
    def joined(parts: Sequence["Effects"]) -> "Effects":
        """The effects of several batches, one after the other."""
        columns = ([getattr(part, item.name) for part in parts] for item in fields(Effects))
        return Effects(*(torch.cat(column) for column in columns))


@dataclass(frozen=True)
class Outcome:
    """Everything measured in one direction.

    Attributes:
        recipient: the unchanged recipient as if it were a stitched model.
        donor: the donor as if it were a stitched model.
        stitched: by the components that really differ.
        nulls: random changes, by block.
    """

    recipient: Effects
    donor: Effects
    stitched: dict[Key, Effects]
    nulls: dict[int, tuple[Effects, ...]]

    def add(self, nulls: Mapping[Null, Effects]) -> None:
        """Take in random changes, of each block in the order of its draws."""
        for (layer, _), found in nulls.items():
            self.nulls[layer] = (*self.nulls.get(layer, ()), found)

    @staticmethod
    def joined(parts: Sequence["Outcome"]) -> "Outcome":
        """The outcomes of several batches as one."""
        first = parts[0]
        return Outcome(
            recipient=Effects.joined([part.recipient for part in parts]),
            donor=Effects.joined([part.donor for part in parts]),
            stitched={
                key: Effects.joined([part.stitched[key] for part in parts])
                for key in first.stitched
            },
            nulls={
                layer: tuple(
                    Effects.joined(draws)
                    for draws in zip(*(part.nulls[layer] for part in parts), strict=True)
                )
                for layer in first.nulls
            },
        )


@dataclass(frozen=True)
class Patching:
    """All patches both ways on the same contexts.

    Attributes:
        row: passage of each context, `[n]`.
        patches: what was patched in either direction.
        differing: the components whose weights or settings differ.
        unequal: the blocks whose weights differ.
        outcomes: per direction.
        executed: blocks executed, counted per passage.
        naive: what one full forward per distinct stitched model would have executed.
    """

    row: Int[Tensor, " n"]
    patches: tuple[Patch, ...]
    differing: frozenset[Component]
    unequal: tuple[int, ...]
    outcomes: dict[str, Outcome]
    executed: int
    naive: int

    def effects(self, patch: Patch, direction: str) -> Effects:
        """Return the effects of a patch; one of equal components leaves the recipient as it is."""
        outcome, key = self.outcomes[direction], reduced(patch.components, self.differing)
        return outcome.stitched[key] if key else outcome.recipient


def patched_everywhere(study: Study) -> Patching:
    """Run every planned patch in both directions, and the random changes of the base."""
    base, fitted, sizes = study.base, study.fitted, study.sizes
    single = planned(base, inside=sizes.components)
    changed = differing(base, fitted, (one for item in single for one in item.components))
    moved = [one.layer for one in changed if one.kind is ComponentKind.BLOCK]
    patches = (*single, *together(base.n_layers, [it for it in moved if it is not None]))
    plan: dict[Key, str] = {}
    for item in patches:
        if key := reduced(item.components, changed):
            plan.setdefault(key, item.kind)
    unequal = reweighted(base, fitted)
    can = [layer for layer in unequal if movable(base, layer)]
    nulls = null_layers(can, base.n_layers, sizes.null_blocks)
    rows, per_passage = passages(study), contexts_per_passage(study)
    distinct = 2 * len(plan) + len(nulls) * sizes.null_draws
    tick = study.run.log.ticker("functions are patched", distinct * len(rows))
    longest = len(chosen_positions(max(map(len, rows.rows)), per_passage))
    size = max(1, min(study.run.batch_size, KEPT_ENTRIES // (longest * base.vocab_size)))
    (size,) = study.run.processes.rows_per_batch(size, [len(rows)])
    parts: dict[str, list[Outcome]] = {INTO_BASE: [], INTO_FITTED: []}
    row: list[Tensor] = []
    groups = grouped([(layer, draw) for layer in nulls for draw in range(sizes.null_draws)], study)
    with _counted(base, fitted) as count:
        for number, chosen in enumerate(groups):
            changed_at = drawn(base, fitted, chosen, study.run.seed)
            batches = study.run.processes.share(rows.batches(size))
            for index, (numbers, ids) in enumerate(batches):
                count.rows = len(numbers)
                where = torch.tensor(chosen_positions(ids.shape[1], per_passage))
                sides = [_Side(model, model.record(ids), where) for model in (base, fitted)]
                done = partial(tick, len(numbers) * study.run.processes.size)
                both = (sides, sides[::-1])
                if number == 0:
                    row.append(torch.tensor(numbers).repeat_interleave(len(where)))
                    for direction, (recipient, donor) in zip(parts, both, strict=True):
                        parts[direction].append(_Pair(recipient, donor, done).outcome(plan))
                into_base = _Pair(sides[0], sides[1], done)
                parts[INTO_BASE][index].add(into_base.nulls(changed_at))
    for role in ("base", "fitted"):
        study.run.log.forwards[f"{role} over the passages of the patches"] += len(groups)
    shared = study.run.processes
    executed = int(shared.summed(torch.tensor(count.executed)))
    row = shared.gathered(row)
    parts = {direction: shared.gathered(found) for direction, found in parts.items()}
    return Patching(
        row=torch.cat(row),
        patches=patches,
        differing=changed,
        unequal=unequal,
        outcomes={direction: Outcome.joined(found) for direction, found in parts.items()},
        executed=executed,
        naive=(distinct + 2) * base.n_layers * len(rows),
    )


@dataclass
class _Count:
    rows: int = 0
    executed: int = 0


@contextmanager
def _counted(*models: HookedModel) -> Iterator[_Count]:
    """Count the blocks that really run, once per passage; copies of a block count too."""
    count = _Count()

    def after(*_given: object) -> None:
        count.executed += count.rows

    with ExitStack() as stack:
        for block in {block for model in models for block in model.blocks}:
            stack.callback(block.register_forward_hook(after).remove)
        yield count


class _Side:
    """One unchanged model on one batch: its recording, and its predictions at the contexts."""

    def __init__(
        self, model: HookedModel, recording: Recording, where: Int[Tensor, " chosen"]
    ) -> None:
        self.model = model
        self.recording = recording
        self._where = where
        self.end = recording.inputs[model.n_layers]
        self.predictions = predictions(model, self.chosen(self.end))

    def chosen(self, stream: Float[Tensor, "row position d"]) -> Float[Tensor, "n d"]:
        """The stream at the contexts, row by row."""
        return stream[:, self._where.to(stream.device)].flatten(0, 1)


class _Pair:
    """One direction on one batch."""

    def __init__(self, recipient: _Side, donor: _Side, tick: Callable[[], None]) -> None:
        self._recipient = recipient
        self._donor = donor
        self._tick = tick

    def outcome(self, plan: dict[Key, str]) -> Outcome:
        """Every stitched model, and the two unchanged models."""
        recipient, donor = self._recipient, self._donor
        return Outcome(
            recipient=self._effects(recipient.model, recipient.end),
            donor=self._effects(donor.model, donor.end),
            stitched=dict(self._stitched(plan)),
            nulls={},
        )

    def nulls(self, changed: Mapping[Null, Mapping[str, nn.Module]]) -> dict[Null, Effects]:
        """The recipient with each random change of one block, of the same norm per weight."""
        model, found = self._recipient.model, {}
        for null, modules in changed.items():
            with perturbed(model, modules):
                stream = model.replay(self._recipient.recording, null[0])
                found[null] = self._effects(model, stream)
            self._tick()
        return found

    def _stitched(self, plan: dict[Key, str]) -> Iterator[tuple[Key, Effects]]:
        """Suffix replay; the first k blocks go on from where fewer blocks ended."""
        model, recording = self._recipient.model, self._recipient.recording
        reached: tuple[int, Tensor] | None = None
        for key, kind in plan.items():
            layers = [one.layer for one in key if one.layer is not None]
            start = min(layers, default=model.n_layers)
            with patched(model, self._donor.model, key):
                stream = recording.inputs[start]
                if kind == "first k":
                    start, stream = reached or (start, stream)
                    stop = max(layers) + 1
                    stream = model.replay(recording, start, stream, stop=stop)
                    start, stream = reached = (stop, stream)
                yield key, self._effects(model, model.replay(recording, start, stream))
            self._tick()

    def _effects(self, model: HookedModel, stream: Float[Tensor, "row position d"]) -> Effects:
        """Hold a stitched model's last stream against both models at the contexts."""
        sides = [side.predictions for side in (self._donor, self._recipient)]
        found = []
        called = f"{model.name} with patched components"
        for rows, logits in stream_logits(model, self._recipient.chosen(stream), called):
            choices = [side.choice[rows].to(logits.device) for side in sides]
            kl = [side.kl_from(rows, logits) for side in sides]
            agreement = top1_rows(logits) == choices[0]
            difference = logit_difference(logits, *choices)
            found.append(Effects(*(item.cpu() for item in (*kl, agreement, difference))))
        return Effects.joined(found)
