"""Activations of one model over some texts, by site."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperinterp.activations.names import SiteName, known_site, site_of
from hyperinterp.activations.writing import write_cache
from hyperinterp.errors import InputRefused, NumericalFault
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site, SiteKind
from probes import Moments

Chosen = slice | int | Sequence[int] | None
"""Which of several: a slice, one number or several; None for all."""


@dataclass(frozen=True)
class Origin:
    """The model and the text behind activations.

    Attributes:
        model: name of the model; "" when not known.
        fingerprint: digest of its weights; "" when not known.
        text_sha256: digest of the token ids that it read; "" when not known.
        n_layers: number of its blocks; None when not known.
    """

    model: str = ""
    fingerprint: str = ""
    text_sha256: str = ""
    n_layers: int | None = None


@dataclass(frozen=True, eq=False)
class ActivationCache(Mapping[Site, Tensor]):
    """A mapping from site to activations of shape `[prompt position d_model]`.

    Texts of fewer tokens end in NaN, so that nothing computes with what was not there: `rows`,
    `moments` and `valid` leave it out. Keys are sites; names of transformer-lens and nnterp and
    block indices are understood wherever a site is asked for (`cache["blocks.5.hook_out"]`,
    `cache["resid_post", 5]`, `cache["layers_output[5]"]`, `cache[5]`).

    Attributes:
        tensors: by site.
        lengths: tokens of every prompt.
        origin: where they came from.
        positions: the position in the text of every column.
        prompts: the number of every row's prompt in the text that was read.
        model: the model, where it is at hand, for `lens`; never saved.

    Raises:
        InputRefused: no tensor, or shapes that do not agree.
    """

    tensors: Mapping[Site, Tensor]
    lengths: tuple[int, ...]
    origin: Origin = Origin()
    positions: tuple[int, ...] = ()
    prompts: tuple[int, ...] = ()
    model: HookedModel | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shapes = {tensor.shape[:2] for tensor in self.tensors.values() if tensor.ndim == 3}
        if len(shapes) != 1 or any(tensor.ndim != 3 for tensor in self.tensors.values()):
            found = [list(tensor.shape) for tensor in self.tensors.values()][:4]
            raise InputRefused(
                "activations: expected tensors of one shape [prompt position d_model], found "
                f"{found}; give the sites of one batch"
            )
        prompts, columns = shapes.pop()
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        object.__setattr__(self, "positions", self.positions or tuple(range(columns)))
        object.__setattr__(self, "prompts", self.prompts or tuple(range(prompts)))
        counts = len(self.lengths), len(self.prompts), len(self.positions)
        if counts != (prompts, prompts, columns):
            raise InputRefused(
                f"activations: expected {prompts} lengths, {prompts} prompts and {columns} "
                f"positions, found {counts}; give one of each"
            )

    def __getitem__(self, name: SiteName) -> Float[Tensor, "prompt position d_model"]:
        site = site_of(name, self.origin.n_layers)
        if site not in self.tensors:
            raise InputRefused(
                f"site: {site.label} is not in this cache; it holds "
                f"{', '.join(site.key for site in self.tensors)}: name one of these"
            )
        return self.tensors[site]

    def __contains__(self, name: object) -> bool:
        try:
            return known_site(name, self.origin.n_layers) in self.tensors
        except InputRefused:
            return False

    def __iter__(self) -> Iterator[Site]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __repr__(self) -> str:
        prompts, columns = len(self.prompts), len(self.positions)
        return (
            f"ActivationCache({len(self)} sites of {self.origin.model or 'an unnamed model'}: "
            f"{prompts} prompts, {columns} positions, {self.dtype})"
        )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the activations."""
        return next(iter(self.tensors.values())).dtype

    @property
    def valid(self) -> Bool[Tensor, "prompt position"]:
        """True where a row is an activation: the others lie behind the end of their text."""
        return torch.tensor(self.positions)[None] < torch.tensor(self.lengths)[:, None]

    # -- choosing --------------------------------------------------------------------------

    def to(self, *where: torch.device | torch.dtype | str) -> "ActivationCache":
        """Return the same on another device, in another dtype, or both."""
        moved = {site: tensor.to(*where) for site, tensor in self.tensors.items()}  # type: ignore
        return replace(self, tensors=moved)

    def at(
        self, *, prompts: Chosen = None, positions: Chosen = None, layers: Chosen = None
    ) -> "ActivationCache":
        """Return some prompts, positions or blocks; the tensors are views where they can be.

        Args:
            prompts: rows, by their number in this cache.
            positions: columns, by their number in this cache.
            layers: blocks; the embedding and the final norm are left out where some are chosen.

        Raises:
            InputRefused: a number that is not there, or nothing is left.
        """
        rows = _numbers("prompts", prompts, len(self.prompts))
        columns = _numbers("positions", positions, len(self.positions))
        tensors = dict(self.tensors)
        if layers is not None:
            count = self.origin.n_layers or 1 + max((s.layer or 0 for s in tensors), default=0)
            kept = set(_numbers("layers", layers, count))
            tensors = {site: tensor for site, tensor in tensors.items() if site.layer in kept}
        if not tensors or not rows or not columns:
            raise InputRefused("cache: expected something to be left, found nothing; choose more")
        return replace(
            self,
            tensors={site: _taken(tensor, rows, columns) for site, tensor in tensors.items()},
            lengths=tuple(self.lengths[row] for row in rows),
            prompts=tuple(self.prompts[row] for row in rows),
            positions=tuple(self.positions[column] for column in columns),
        )

    def stack(
        self, kind: SiteKind | str = SiteKind.RESID
    ) -> Float[Tensor, "layer prompt position d_model"]:
        """Return the sites of one kind, in the order of their blocks, as one tensor.

        Raises:
            InputRefused: there is none of that kind.
        """
        found = sorted(
            (site for site in self.tensors if site.kind == kind), key=lambda site: site.layer or 0
        )
        if not found:
            kinds = sorted({site.kind.value for site in self.tensors})
            raise InputRefused(f"kind: expected one of {kinds}, found {kind!r}")
        return torch.stack([self.tensors[site] for site in found])

    # -- measuring -------------------------------------------------------------------------

    def rows(self, name: SiteName, *, first: bool = False) -> Float[Tensor, "n d_model"]:
        """Return the activations of a site as rows, what lies behind the texts left out.

        Args:
            name: the site.
            first: also position 0, which most models use as an attention sink.

        Raises:
            InputRefused: the site is not there, or no row is.
            NumericalFault: one of them is not finite.
        """
        tensor, keep = self[name], self.valid
        if not first:
            keep = keep & (torch.tensor(self.positions) > 0)[None]
        found = tensor[keep.to(tensor.device)]
        if not len(found):
            raise InputRefused(
                "rows: expected a position after the first, found none; use first=True"
            )
        if not bool(torch.isfinite(found).all()):
            site = site_of(name, self.origin.n_layers)
            raise NumericalFault(
                f"{self.origin.model or 'cache'}: expected finite activations, found NaN or "
                f"infinity at {site.label}"
            )
        return found

    def moments(self, *, first: bool = False) -> dict[Site, Moments]:
        """Return the moments of the rows of every site, for `probes`; see `rows`."""
        return {site: Moments.from_rows(self.rows(site, first=first)) for site in self.tensors}

    def lens(
        self, name: SiteName, model: HookedModel | None = None
    ) -> Float[Tensor, "prompt position vocab"]:
        """Return what the final norm and the unembedding read at a site (logit lens).

        Args:
            name: the site; at the final norm's output, what the model itself reads.
            model: the model; the one that the activations were taken from where it is at hand.

        Raises:
            InputRefused: no model is at hand, it is another one, or the site is not of the stream.
        """
        reader = model or self.model
        site = site_of(name, self.origin.n_layers)
        if reader is None:
            raise InputRefused(
                "lens: expected a model, found none; pass model=hyperinterp.load(...)"
            )
        marks = {self.origin.fingerprint, reader.fingerprint} - {""}
        if len(marks) > 1:
            raise InputRefused(
                f"lens: expected {self.origin.model}, whose activations these are, found "
                f"{reader.name} with other weights; load the same checkpoint"
            )
        if site.kind in (SiteKind.ATTN, SiteKind.MLP):
            raise InputRefused(
                f"lens: expected a site of the stream, found {site.label}; name a block"
            )
        stream = self[site].to(reader.device, reader.dtype)
        with torch.no_grad():
            return reader.readout(stream) if not site.pre_norm else reader.lens(stream)

    def save(self, out: str | Path, *, force: bool = False) -> Path:
        """Write one safetensors file with a JSON header; `read_cache` maps it into memory.

        Args:
            out: the file.
            force: replace one that is there.

        Raises:
            InputRefused: it exists, or cannot be written.
            OutOfResources: the disk is full; nothing is left behind.
        """
        facts = {
            "lengths": self.lengths,
            "positions": self.positions,
            "prompts": self.prompts,
            **asdict(self.origin),
        }
        return write_cache(self.tensors, facts, out, force=force)


def _numbers(name: str, chosen: Chosen, count: int) -> list[int]:
    """The numbers that were chosen among `count`.

    Raises:
        InputRefused: one is not there.
    """
    if chosen is None or isinstance(chosen, slice):
        return list(range(count))[chosen or slice(None)]
    wanted = [chosen] if isinstance(chosen, int) else list(chosen)
    for number in wanted:
        if not isinstance(number, int) or not -count <= number < count:
            raise InputRefused(
                f"{name}: expected numbers below {count}, found {number!r}; give smaller ones"
            )
    return [number % count for number in wanted]


def _taken(tensor: Tensor, rows: list[int], columns: list[int]) -> Tensor:
    for axis, numbers in enumerate((rows, columns)):
        steps = {after - before for before, after in pairwise(numbers)}
        if steps <= {1}:
            tensor = tensor.narrow(axis, numbers[0], len(numbers))
        else:
            tensor = tensor.index_select(axis, torch.tensor(numbers, device=tensor.device))
    return tensor
