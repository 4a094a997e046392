"""The second run: what each prompt adds to known sums, for the intervals."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from hyperinterp.capture.accumulators import below
from hyperinterp.capture.apart import ordered
from hyperinterp.capture.contexts import Contexts
from hyperinterp.capture.resume import ResumeDirectory
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site
from hyperinterp.text import TokenRows, TokenStream
from hyperinterp.ticks import Tick
from probes import LeaveOneOut, Moments, PromptSpectra, Spectrum


def spectra_of(
    moments: Sequence[Moments],
    device: torch.device | str = "cpu",
    changes: Sequence[Callable[[Moments], Moments] | None] | None = None,
) -> list[Spectrum]:
    """The spectra of several moments, with eigenvectors.

    Args:
        moments: sums of rows.
        device: where the work is done.
        changes: for each, what makes other moments of the same rows from it, one at a time.

    Returns:
        One spectrum for each, where its sums lie.
    """
    found = []
    for item, change in zip(moments, changes or [None] * len(moments), strict=True):
        given = item if change is None else change(item)
        found.append(_moved(given.spectrum(vectors=True, device=device), item.mean.device))
    return found


def spectra_everywhere(mine: Mapping[str, Spectrum], processes: Processes) -> dict[str, Spectrum]:
    """Return the spectra that each process has solved for, in all of them.

    Every process feeds its own prompts to the accumulators of all sites, and needs their vectors.

    Args:
        mine: this process's, by names of their own.
        processes: who shares them.
    """
    if processes.size == 1:
        return dict(mine)
    tensors = {f"{key}/{name}": item for key, found in mine.items()
               for name, item in _tensors(found).items()}  # fmt: skip
    counts = processes.collected({key: found.n for key, found in mine.items()})
    every: dict[str, Tensor] = {}
    for part in processes.tensors_everywhere(tensors):
        every |= part
    return {
        key: Spectrum(n=n, **below(every, key))  # pyright: ignore[reportArgumentType]
        for key, n in counts.items()
    }


def _tensors(spectrum: Spectrum) -> dict[str, Tensor]:
    return {name: item for name, item in vars(spectrum).items() if isinstance(item, Tensor)}


def _moved(spectrum: Spectrum, device: torch.device | str) -> Spectrum:
    moved = {name: item.to(device) for name, item in _tensors(spectrum).items()}
    return replace(spectrum, **moved)


class PromptAccumulator:
    """Takes a prompt's rows in the second run and keeps what its interval needs.

    Args:
        spectrum: of the same rows (times `scale`) from the first run, with vectors.
        scale: multiply rows by this vector first (the standardised variant).
        unit_norm: scale rows to length 1 first.
        through: map rows by this matrix first (what the logits see of them).
        device: where the work is done; by default where the spectrum is.
    """

    def __init__(
        self,
        spectrum: Spectrum,
        *,
        scale: Float[Tensor, " d"] | None = None,
        unit_norm: bool = False,
        through: Float[Tensor, "d d"] | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._spectrum = spectrum if device is None else _moved(spectrum, device)
        self._scale = scale
        self._unit_norm = unit_norm
        self._through = through
        self._spectra = PromptSpectra(self._spectrum, scale=scale, through=through)

    def add(self, rows: Float[Tensor, "position d"], prompt: int) -> None:
        """Add the rows of one prompt."""
        given = torch.nn.functional.normalize(rows.float(), dim=-1) if self._unit_norm else rows
        self._spectra.add(given, prompt)

    def mark(self) -> bytes:
        """A digest of what the sums are about: mean, eigenvalues and eigenvectors."""
        found = hashlib.sha256()
        for tensor in _tensors(self._spectrum).values():
            found.update(tensor.contiguous().cpu().numpy().data)
        return found.digest()

    def state(self) -> dict[str, Tensor]:
        """Return all that was added, as plain tensors on the CPU."""
        return {name: tensor.cpu() for name, tensor in self._spectra.state().items()}

    def take(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Hold what these states, of the same spectrum, hold instead of one's own."""
        first, *others = (
            PromptSpectra.from_state(state, self._spectrum, self._scale, through=self._through)
            for state in states
        )
        for other in others:
            first.merge(other)
        self._spectra = first

    def leave_one_out(self) -> LeaveOneOut:
        """Every figure with all prompts and with each one left out."""
        return self._spectra.leave_one_out()


class ContextRows:
    """Keeps the rows of some contexts while a model reads the passages.

    Args:
        contexts: which rows, by prompt and position.
        d_model: width of a row.
    """

    def __init__(self, contexts: Contexts, d_model: int) -> None:
        self._contexts = contexts
        self._rows = torch.zeros(len(contexts), d_model)

    def add(self, rows: Float[Tensor, "position d"], prompt: int) -> None:
        """Keep what is wanted of one prompt's rows, position 0 among them."""
        mine = (self._contexts.row == prompt).nonzero().squeeze(-1)
        if len(mine):
            positions = self._contexts.position[mine].to(rows.device)
            self._rows[mine] = rows[positions].float().cpu()

    def everywhere(self, processes: Processes = ALONE) -> Float[Tensor, "n d"]:
        """The rows in the order of the contexts, with those that other processes kept."""
        # Every context was read by one process and is zero in the others.
        return self._rows if processes.size == 1 else processes.summed(self._rows).float()


def leave_one_out(
    accumulators: Sequence[PromptAccumulator], processes: Processes = ALONE
) -> list[LeaveOneOut]:
    """The figures of several accumulators, with the prompts that every process added to its own."""
    if processes.size == 1:
        return [accumulator.leave_one_out() for accumulator in accumulators]
    found = []
    dealt = processes.tensors_dealt([accumulator.state for accumulator in accumulators])
    for accumulator, states in zip(processes.share(accumulators), dealt, strict=True):
        accumulator.take(states)
        found.append(accumulator.leave_one_out())
    return processes.gathered(found)


def rows_of_prompts(
    model: HookedModel,
    rows: TokenRows | TokenStream,
    sites: Sequence[Site],
    accumulators: Mapping[Site, Sequence[PromptAccumulator]],
    *,
    batch_size: int = 8,
    tick: Tick | None = None,
    processes: Processes = ALONE,
    resume: tuple[ResumeDirectory, str] | None = None,
    keepers: Mapping[Site, ContextRows] | None = None,
    early: Sequence[int] | None = None,
) -> None:
    """Second run of one model: feed each site's rows (position 1 on), prompt by prompt.

    Args:
        model: the model.
        rows: the same token rows as in the first run.
        sites: where to read.
        accumulators: per site, the accumulators that were made from the first run's moments.
        batch_size: rows per batch.
        tick: called with the number of rows done.
        processes: the processes that share the batches; each feeds its own accumulators.
        resume: keeps the accumulators on disk under this name, and has those of a run that was
            cut short, as long as they rest on the very same spectra.
        keepers: per site, what keeps rows of some contexts on the way; not with `resume`, which
            has no place for them.
        early: numbers of the rows that are read first, in batches of their own, as in the first
            run; see `Half`.
    """
    kept = keepers or {}
    mark = "" if resume is None else _mark(accumulators)
    done = 0 if resume is None else _restore(*resume, mark, accumulators)
    batches = ((numbers, ids) for _, numbers, ids in ordered(rows, batch_size, early))
    for index, (numbers, ids) in enumerate(processes.share(batches)):
        if tick is not None:
            tick(len(numbers) * processes.size)
        if index < done:
            continue

        def read(site: Site, tensor: Tensor, numbers: list[int] = numbers) -> None:
            feed_prompts(tensor, numbers, accumulators.get(site, ()), kept.get(site))

        model.run(ids, sites, read)
        if resume is not None:
            done = index + 1
            resume[0].save(resume[1], done, _state_of(accumulators), mark=mark)
    if resume is not None:
        resume[0].save(resume[1], done, _state_of(accumulators), mark=mark, now=True)


def feed_prompts(
    tensor: Float[Tensor, "batch position d"],
    numbers: Sequence[int],
    accumulators: Sequence[PromptAccumulator],
    keeper: ContextRows | None = None,
) -> None:
    """Give one batch of one site to its accumulators (position 1 on) and to what keeps rows of it.

    Args:
        tensor: the activations.
        numbers: prompt of each row of the batch.
        accumulators: those of the site.
        keeper: keeps rows of some contexts.
    """
    for accumulator in accumulators:  # one after the other: its eigenvectors stay cached
        for place, number in enumerate(numbers):
            accumulator.add(tensor[place, 1:], number)
    if keeper is not None:
        for place, number in enumerate(numbers):
            keeper.add(tensor[place], number)


def _state_of(
    accumulators: Mapping[Site, Sequence[PromptAccumulator]],
) -> Callable[[], dict[str, Tensor]]:
    return lambda: {
        f"{site.key}/{number}/{name}": tensor
        for site, named in accumulators.items()
        for number, accumulator in enumerate(named)
        for name, tensor in accumulator.state().items()
    }


def _mark(accumulators: Mapping[Site, Sequence[PromptAccumulator]]) -> str:
    """A digest of all spectra: sums in two bases of eigenvectors never meet."""
    marks = b"".join(accumulator.mark() for named in accumulators.values() for accumulator in named)
    return hashlib.sha256(marks).hexdigest()


def _restore(
    resume: ResumeDirectory,
    name: str,
    mark: str,
    accumulators: Mapping[Site, Sequence[PromptAccumulator]],
) -> int:
    done, tensors = resume.restored(name, mark)
    if done:
        for site, named in accumulators.items():
            for number, accumulator in enumerate(named):
                accumulator.take([below(tensors, f"{site.key}/{number}")])
    return done
