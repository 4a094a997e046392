"""Several processes as one: work is dealt out by rank, and its results come back to all, in order.

Every process makes the same calls in the same order on the same inputs. Work is dealt without
padding or repetition, and sums are added up in the order of the ranks on every process, so that
all of them hold the same figures; rank 0 writes. Results travel over gloo as objects on the CPU,
whatever devices the models are on.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from hyperinterp.errors import InputRefused

T = TypeVar("T")
S = TypeVar("S")
K = TypeVar("K")

PATIENCE = timedelta(hours=24)  # a dead process closes its connections, which ends the wait


@dataclass(frozen=True)
class Processes:
    """The processes that share one job.

    Attributes:
        rank: number of this one, from 0 on.
        size: how many there are.
        group: the torch process group that they talk over; None when there is one only.
    """

    rank: int = 0
    size: int = 1
    group: Any = None

    @property
    def first(self) -> bool:
        """Return whether this is the process that writes."""
        return self.rank == 0

    def share(self, items: Iterable[T]) -> Iterator[T]:
        """This process's share: item `rank`, then every `size`-th."""
        return islice(items, self.rank, None, self.size)

    def everywhere(self, mine: T) -> list[T]:
        """Return the value of every process, by rank; tensors must be on the CPU."""
        if self.size == 1:
            return [mine]
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, mine, group=self.group)
        return parts

    def tensors_everywhere(self, mine: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """The named tensors of each process, by rank, on the CPU; sent as they are, not pickled."""
        if self.size == 1:
            return [dict(mine)]
        heads = self.everywhere(_head(mine))
        found: list[dict[str, Tensor]] = [{} for _ in heads]
        for rank, head in enumerate(heads):
            for name, shape, dtype in head:
                tensor = mine[name] if rank == self.rank else torch.empty(shape, dtype=dtype)
                found[rank][name] = tensor = tensor.detach().cpu().contiguous()
                if tensor.numel():
                    dist.broadcast(_bytes(tensor), src=rank, group=self.group)
        return found

    def tensors_dealt(
        self,
        items: Sequence[Callable[[], Mapping[str, Tensor]]],
        given: Callable[[int], object] = lambda number: None,
    ) -> Iterator[list[dict[str, Tensor]]]:
        """For every item of this process's share, the named tensors that each process has of it.

        Nobody but an item's owner gets them.

        Args:
            items: give the tensors of this process, of all items in all processes; called twice,
                for the shapes and for the tensors, so that those of one item are there at a time.
            given: called with the number of an item that was handed over, which this process
                needs no longer.
        """
        if self.size == 1:
            yield from ([dict(item())] for item in items)
            return
        heads = self.everywhere([_head(item()) for item in items])
        for index, item in enumerate(items):
            owner, mine = index % self.size, dict(item())
            if owner != self.rank:
                for tensor in mine.values():
                    self._pass(tensor.detach().cpu().contiguous(), self.rank, owner)
                given(index)
                continue
            found = [mine if rank == owner else {} for rank in range(self.size)]
            for rank, head in enumerate(heads):
                for name, shape, dtype in head[index] if rank != owner else ():
                    found[rank][name] = tensor = torch.empty(shape, dtype=dtype)
                    self._pass(tensor, rank, owner)
            yield found

    def _pass(self, tensor: Tensor, sender: int, owner: int) -> None:
        """Hand a tensor's bytes over; both processes make this call."""
        if not tensor.numel():
            return
        if self.rank == sender:
            dist.send(_bytes(tensor), dst=owner, group=self.group)
        else:
            dist.recv(_bytes(tensor), src=sender, group=self.group)

    def gathered(self, mine: Sequence[T]) -> list[T]:
        """The results of all shares in the order of the items that `share` dealt out."""
        parts = self.everywhere(list(mine))
        count = sum(map(len, parts))
        return [parts[index % self.size][index // self.size] for index in range(count)]

    def collected(self, mine: Mapping[K, T]) -> dict[K, T]:
        """Return what all processes have, each under names of its own, by rank."""
        return {name: item for part in self.everywhere(dict(mine)) for name, item in part.items()}

    def mapped(self, each: Callable[[S], T], items: Iterable[S]) -> list[T]:
        """`each` of every item, in order; every process computes its share."""
        return self.gathered([each(item) for item in self.share(items)])

    def summed(self, mine: Tensor) -> Tensor:
        """The sum of a tensor over all processes, the same on all, in float64 on the CPU."""
        return torch.stack(self.everywhere(mine.detach().cpu().double())).sum(0)

    def by_first(self, work: Callable[[], T]) -> T:
        """Return to all what `work` returns in the process that writes; no other calls it.

        Raises:
            Exception: what `work` raised, in every process.
        """
        if self.size == 1:
            return work()
        result: tuple[Any, Exception | None] = (None, None)
        if self.first:
            try:
                result = (work(), None)
            except Exception as error:
                result = (None, error)
        found: Any
        found, failed = self.everywhere(result)[0]
        if failed is not None:
            raise failed
        return found

    def dealt(self, items: Sequence[T], weight: Callable[[T], float]) -> list[T]:
        """This process's part of items that cost differently, in their order.

        The heaviest is dealt first, each to the process that has least.
        """
        loads, mine = [0.0] * self.size, []
        for index in sorted(range(len(items)), key=lambda i: (-weight(items[i]), i)):
            rank = loads.index(min(loads))
            loads[rank] += weight(items[index])
            if rank == self.rank:
                mine.append(index)
        return [items[index] for index in sorted(mine)]

    def rows_per_batch(self, most: int, rows: Sequence[int]) -> list[int]:
        """Rows per batch of several tasks, such that every process gets as many batches.

        A task is cut no finer than that takes.

        Args:
            most: most rows per batch.
            rows: rows of every task.
        """
        batches = [-(-max(count, 1) // max(most, 1)) for count in rows]
        while sum(batches) % self.size:
            sizes = [-(-count // cut) for count, cut in zip(rows, batches, strict=True)]
            if max(sizes) <= 1:
                break
            batches[sizes.index(max(sizes))] += 1
        return [max(1, -(-count // cut)) for count, cut in zip(rows, batches, strict=True)]


def _head(tensors: Mapping[str, Tensor]) -> list[tuple[str, torch.Size, torch.dtype]]:
    return [(name, tensor.shape, tensor.dtype) for name, tensor in tensors.items()]


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.view(-1).view(torch.uint8)


ALONE = Processes()


def launched() -> tuple[int, int]:
    """Rank and number of the processes that a launcher started; 0 and 1 without one.

    Raises:
        InputRefused: RANK and WORLD_SIZE are there but make no sense.
    """
    world, rank = os.environ.get("WORLD_SIZE", "1"), os.environ.get("RANK", "0")
    whole = all(re.fullmatch("[0-9]{1,9}", number) for number in (world, rank))
    if not whole or int(rank) >= max(1, int(world)):
        raise InputRefused(
            f"RANK and WORLD_SIZE: expected a rank below the number of processes, found "
            f"{rank!r} and {world!r}"
        )
    return int(rank), max(1, int(world))


def join() -> Processes:
    """The processes that a launcher (torchrun, accelerate) started this one among.

    Reads RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as both of them set them; alone when
    they are not set. A process with a CUDA device of its own takes number LOCAL_RANK.

    Raises:
        InputRefused: the variables are there but make no sense, or the processes cannot meet.
    """
    rank, world = launched()
    if world == 1:
        return ALONE
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        if not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, timeout=PATIENCE)
        group = dist.new_group(backend="gloo", timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise InputRefused(
            f"processes: expected {world} started by one launcher (torchrun, accelerate), found "
            f"{' '.join(str(error).split())}; start all of them anew with that launcher"
        ) from error
    return Processes(rank, world, group)


def leave(processes: Processes) -> None:
    """Part from the other processes when all is done."""
    if processes.size > 1 and dist.is_initialized():
        dist.destroy_process_group()
