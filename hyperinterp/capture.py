"""Run two models side by side once and feed sinks; activations are never piled.

Memory is O(sites x d_model^2) for the moments, O(prompts x d_model) for the intervals, and one
batch of activations of the base model, whatever the number of tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hyperinterp.errors import NumericalFault
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site, SiteKind
from hyperinterp.text import TokenRows
from probes import CrossMoments, DriftSums, LeaveOneOut, Moments, PromptSpectra

Tick = Callable[[int], None]

OUTLIER_FACTOR = 10.0


@dataclass
class SiteSums:
    """Additive sums of one site, over positions 1 and later unless said otherwise.

    Attributes:
        moments: per name, moments of rows: "base" and "fitted" (the same positions); on the
            stream also "base first" and "fitted first" (position 0), "base outliers" and
            "fitted outliers" (rows whose norm is an outlier in either model), and, if asked
            for, "base unit" and "fitted unit" (rows scaled to length 1).
        cross: second moments across the two models.
        drift: distances and cosines of paired rows.
        outliers: rows counted as outliers, per model.
    """

    moments: dict[str, Moments]
    cross: CrossMoments
    drift: DriftSums
    outliers: dict[str, int]

    @staticmethod
    def empty(d_model: int) -> "SiteSums":
        """Sums of nothing."""
        return SiteSums({}, CrossMoments(d_model, d_model), DriftSums(), {"base": 0, "fitted": 0})

    def add(self, name: str, rows: Float[Tensor, "n d"]) -> None:
        """Add rows to the moments called `name`."""
        if name not in self.moments:
            self.moments[name] = Moments(rows.shape[-1], device=rows.device)
        self.moments[name].add(rows)

    def merge(self, other: "SiteSums") -> None:
        """Add another process's sums."""
        for name, moments in other.moments.items():
            if name in self.moments:
                self.moments[name].merge(moments)
            else:
                self.moments[name] = moments
        self.cross.merge(other.cross)
        self.drift.merge(other.drift)
        for role, count in other.outliers.items():
            self.outliers[role] += count


@dataclass(frozen=True)
class Contexts:
    """Next-token decisions of both models on the same contexts, before the unembedding.

    Attributes:
        base: final norm's output of the base, `[n, d_model]`.
        fitted: the same of the fitted model.
        row: which token row each context belongs to, `[n]`.
        position: position of the context's last token, `[n]`.
        target: the token that follows in the text, `[n]`.
    """

    base: Float[Tensor, "n d_model"]
    fitted: Float[Tensor, "n d_model"]
    row: Int[Tensor, " n"]
    position: Int[Tensor, " n"]
    target: Int[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.row)

    def where(self, keep: Bool[Tensor, " n"] | Int[Tensor, " m"]) -> "Contexts":
        """The contexts chosen by a mask or by indices."""
        return Contexts(
            self.base[keep],
            self.fitted[keep],
            self.row[keep],
            self.position[keep],
            self.target[keep],
        )

    def in_rows(self, rows: Sequence[int]) -> "Contexts":
        """The contexts of these token rows."""
        return self.where(torch.isin(self.row, torch.tensor(list(rows))))


@dataclass(frozen=True)
class PairRun:
    """What one run of both models over the rows left behind."""

    sites: dict[Site, SiteSums]
    contexts: Contexts
    rows: TokenRows


def chosen_positions(length: int, count: int | None) -> list[int]:
    """Positions whose next token is predicted: 1 to length-2, at most `count` of them, evenly."""
    every = list(range(1, length - 1)) or [0]
    if count is None or count >= len(every):
        return every
    step = len(every) / count
    return [every[int(index * step)] for index in range(count)]


def _norm_outliers(rows: Float[Tensor, "batch position d"]) -> Bool[Tensor, "batch position"]:
    """Rows longer than OUTLIER_FACTOR times the median length of their own prompt."""
    norms = rows.float().norm(dim=-1)
    return norms > OUTLIER_FACTOR * norms.median(dim=-1, keepdim=True).values


def _finite(model: HookedModel, site: Site, tensor: Tensor) -> None:
    if not bool(torch.isfinite(tensor.sum())) and not bool(torch.isfinite(tensor).all()):
        raise NumericalFault(
            f"{model.name}: expected finite activations, found NaN or infinity at {site.label}"
        )


def _flat(rows: Float[Tensor, "batch position d"]) -> Float[Tensor, "n d"]:
    return rearrange(rows, "batch position d -> (batch position) d")


def _feed(sums: SiteSums, rows: dict[str, Tensor], *, stream: bool, unit_norm: bool) -> None:
    if stream:
        for role, tensor in rows.items():
            sums.add(f"{role} first", tensor[:, 0])
    rows = {role: tensor[:, 1:] for role, tensor in rows.items()}
    flat = {role: _flat(tensor) for role, tensor in rows.items()}
    if len(flat["base"]) == 0:
        return
    for role, tensor in flat.items():
        sums.add(role, tensor)
        if unit_norm and stream:
            sums.add(f"{role} unit", torch.nn.functional.normalize(tensor.float(), dim=-1))
    sums.cross.add(flat["base"], flat["fitted"])
    sums.drift.add(flat["base"], flat["fitted"])
    outliers = {role: _norm_outliers(tensor) for role, tensor in rows.items()}
    either = outliers["base"] | outliers["fitted"]
    for role, tensor in rows.items():
        sums.outliers[role] += int(outliers[role].sum())
        if stream and bool(either.any()):
            sums.add(f"{role} outliers", tensor[either])


def run_pair(
    base: HookedModel,
    fitted: HookedModel,
    rows: TokenRows,
    *,
    sites: Sequence[Site] = (),
    unit_norm: bool = False,
    contexts_per_row: int | None = None,
    positions: Callable[[int], Sequence[int]] | None = None,
    batch_size: int = 8,
    tick: Tick | None = None,
) -> PairRun:
    """Run both models over the same rows once.

    Args:
        base: first model.
        fitted: second model.
        rows: token ids; rows of equal length run together.
        sites: where moments are taken.
        unit_norm: also take moments of rows scaled to length 1.
        contexts_per_row: at most this many next-token contexts per row, evenly spaced.
        positions: maps a row's length to its contexts' positions, instead of the above.
        batch_size: rows per batch.
        tick: called with the number of rows done.

    Raises:
        NumericalFault: an activation is not finite; names model and site.
    """
    sums = {site: SiteSums.empty(base.d_model) for site in sites}
    kept: list[Contexts] = []
    choose = positions or (lambda length: chosen_positions(length, contexts_per_row))
    for numbers, ids in rows.batches(batch_size):
        ours = _run_finite(base, ids, sites)

        def read(site: Site, theirs: Tensor, ours: dict[Site | None, Tensor] = ours) -> None:
            _finite(fitted, site, theirs)
            mine = ours.pop(site)
            _feed(
                sums[site],
                {"base": mine, "fitted": theirs.to(mine.device)},
                stream=site.kind not in (SiteKind.ATTN, SiteKind.MLP),
                unit_norm=unit_norm,
            )

        base_final = ours.pop(None)
        fitted_final = fitted.run(ids, sites, read)
        _finite(fitted, Site(SiteKind.FINAL_NORM), fitted_final)
        chosen = choose(ids.shape[1])
        if chosen:
            kept.append(_contexts(numbers, ids, (base_final, fitted_final), chosen))
        if tick is not None:
            tick(len(numbers))
    return PairRun(sums, _joined(kept), rows)


def _run_finite(
    model: HookedModel, ids: Tensor, sites: Sequence[Site]
) -> dict[Site | None, Tensor]:
    """Activations of one batch by site, and the final norm's output under None."""
    found: dict[Site | None, Tensor] = {}

    def read(site: Site, tensor: Tensor) -> None:
        _finite(model, site, tensor)
        # Cloned because some families add in place to what a part returned.
        found[site] = tensor.clone() if site.kind in (SiteKind.ATTN, SiteKind.MLP) else tensor

    found[None] = model.run(ids, sites, read)
    _finite(model, Site(SiteKind.FINAL_NORM), found[None])
    return found


def _contexts(
    numbers: Sequence[int],
    ids: Tensor,
    finals: tuple[Tensor, Tensor],
    positions: Sequence[int],
) -> Contexts:
    where = torch.tensor(list(positions), dtype=torch.long)
    base, fitted = (_flat(final[:, where.to(final.device)]).cpu() for final in finals)
    return Contexts(
        base=base,
        fitted=fitted,
        row=torch.tensor(numbers).repeat_interleave(len(where)),
        position=where.repeat(len(numbers)),
        target=ids[:, where + 1].reshape(-1),
    )


def _joined(parts: Sequence[Contexts]) -> Contexts:
    joined = Contexts(
        *(
            torch.cat([getattr(part, name) for part in parts])
            for name in ("base", "fitted", "row", "position", "target")
        )
    )
    order = torch.argsort(joined.row * 1_000_000 + joined.position, stable=True)
    return joined.where(order)


@dataclass(frozen=True)
class ModelRun:
    """What one run of one model over the rows left behind, to be held beside that of another.

    Attributes:
        moments: per site, moments of the rows at positions 1 and later.
        hidden: final norm's output at the contexts, `[n, d_model]`.
        row: token row of each context, `[n]`.
        position: position of the context's last token, `[n]`.
        target: the token that follows in the text, `[n]`.
        rows: the token rows.
    """

    moments: dict[Site, Moments]
    hidden: Float[Tensor, "n d_model"]
    row: Int[Tensor, " n"]
    position: Int[Tensor, " n"]
    target: Int[Tensor, " n"]
    rows: TokenRows

    def beside(self, fitted: "ModelRun") -> Contexts:
        """The contexts of this model, as the base, and of another run over the same rows."""
        return Contexts(self.hidden, fitted.hidden, self.row, self.position, self.target)


def run_one(
    model: HookedModel,
    rows: TokenRows,
    *,
    sites: Sequence[Site] = (),
    contexts_per_row: int | None = None,
    batch_size: int = 8,
    tick: Tick | None = None,
) -> ModelRun:
    """Run one model over the rows once; the arguments are those of `run_pair`.

    Raises:
        NumericalFault: an activation is not finite; names model and site.
    """
    moments: dict[Site, Moments] = {}

    def read(site: Site, tensor: Tensor) -> None:
        _finite(model, site, tensor)
        if site not in moments:
            moments[site] = Moments(tensor.shape[-1], device=tensor.device)
        moments[site].add(_flat(tensor[:, 1:]))

    kept: list[Contexts] = []
    for numbers, ids in rows.batches(batch_size):
        final = model.run(ids, sites, read)
        _finite(model, Site(SiteKind.FINAL_NORM), final)
        chosen = chosen_positions(ids.shape[1], contexts_per_row)
        kept.append(_contexts(numbers, ids, (final, final), chosen))
        if tick is not None:
            tick(len(numbers))
    found = _joined(kept)
    return ModelRun(moments, found.base, found.row, found.position, found.target, rows)


class PromptSink:
    """Takes a prompt's rows in the second run and keeps what its interval needs.

    Args:
        moments: moments of the same rows from the first run.
        scale: multiply rows by this vector first (the standardised variant).
        unit_norm: scale rows to length 1 first.
    """

    def __init__(
        self,
        moments: Moments,
        *,
        scale: Float[Tensor, " d"] | None = None,
        unit_norm: bool = False,
    ) -> None:
        scaled = moments if scale is None else moments.scaled(scale)
        self._spectra = PromptSpectra(scaled.spectrum(vectors=True), scale=scale)
        self._unit_norm = unit_norm

    def add(self, rows: Float[Tensor, "position d"], prompt: int) -> None:
        """Add the rows of one prompt."""
        given = torch.nn.functional.normalize(rows.float(), dim=-1) if self._unit_norm else rows
        self._spectra.add(given, prompt)

    def leave_one_out(self) -> LeaveOneOut:
        """Every figure with all prompts and with each one left out."""
        return self._spectra.leave_one_out()


def rows_of_prompts(
    model: HookedModel,
    rows: TokenRows,
    sites: Sequence[Site],
    sinks: dict[Site, list[PromptSink]],
    *,
    batch_size: int = 8,
    tick: Tick | None = None,
) -> None:
    """Second run of one model: feed each site's rows (position 1 on), prompt by prompt, to sinks.

    Args:
        model: the model.
        rows: the same token rows as in the first run.
        sites: where to read.
        sinks: per site, the sinks that were made from the first run's moments.
        batch_size: rows per batch.
        tick: called with the number of rows done.
    """
    for numbers, ids in rows.batches(batch_size):

        def read(site: Site, tensor: Tensor, numbers: list[int] = numbers) -> None:
            for index, number in enumerate(numbers):
                for sink in sinks[site]:
                    sink.add(tensor[index, 1:], number)

        model.run(ids, sites, read)
        if tick is not None:
            tick(len(numbers))


def logit_chunks(
    model: HookedModel, hidden: Float[Tensor, "n d_model"], size: int = 256
) -> Iterator[Float[Tensor, "chunk vocab"]]:
    """Float32 logits of final-norm outputs, `size` contexts at a time."""
    for start in range(0, len(hidden), size):
        # Never across the yield: two interleaved generators would leave gradients off for good.
        with torch.no_grad():
            logits = model.readout(hidden[start : start + size].to(model.device)).float()
        yield logits


def paired_logits(
    base: HookedModel, fitted: HookedModel, contexts: Contexts, size: int = 256
) -> Iterator[tuple[slice, Float[Tensor, "chunk vocab"], Float[Tensor, "chunk vocab"]]]:
    """Both models' float32 logits on the same contexts, as (which, base, fitted) chunks."""
    ours = logit_chunks(base, contexts.base, size)
    theirs = logit_chunks(fitted, contexts.fitted, size)
    for index, (first, second) in enumerate(zip(ours, theirs, strict=True)):
        start = index * size
        yield slice(start, start + len(first)), first, second.to(first.device)
