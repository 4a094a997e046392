"""Run one model once."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.capture.accumulators import check_finite, flat
from hyperinterp.capture.contexts import Contexts, chosen_positions, contexts_of, joined
from hyperinterp.models import HookedModel
from hyperinterp.sites import Site, SiteKind
from hyperinterp.text import TokenRows
from hyperinterp.ticks import Tick
from probes import Moments


@dataclass(frozen=True)
class ModelRun:
    """The accumulators of one run of one model over the rows, to be held beside another's.

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
        check_finite(model, site, tensor)
        if site not in moments:
            moments[site] = Moments(tensor.shape[-1], device=tensor.device)
            first = Moments.from_rows(tensor[0, 1:]).reference if tensor.shape[1] > 1 else None
            if first is not None:  # as `run_pair` does: the same sums to the last bit
                moments[site].rebase(first)
        moments[site].add(flat(tensor[:, 1:]))
        moments[site].flush()

    kept: list[Contexts] = []
    for numbers, ids in rows.batches(batch_size):
        final = model.run(ids, sites, read)
        check_finite(model, Site(SiteKind.FINAL_NORM), final)
        chosen = chosen_positions(ids.shape[1], contexts_per_row)
        kept.append(contexts_of(numbers, ids, (final, final), [chosen] * len(numbers)))
        if tick is not None:
            tick(len(numbers))
    contexts = joined(kept, model.d_model)
    return ModelRun(moments, contexts.base, contexts.row, contexts.position, contexts.target, rows)
