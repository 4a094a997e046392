"""Context-free shifts of the base's logits: means, rank gainers, and the best one there is."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperinterp.capture import CHUNK, Contexts, paired_logits
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.under_comparison import Study
from probes import BiasLoss, FittedBias, ScaleShiftAccumulator, centred_shift, fitted_bias
from probes.ranks.tokens import log_rank_rows, order_rows

FIT_CONTEXTS = 1024
FIT_BYTES = 1 << 29
HELD_EVERY = 4


def mean_shift(study: Study, contexts: Contexts) -> Float[Tensor, " v"]:
    """Mean centred logit shift over contexts, float32 on the CPU."""

    def each(ours: Tensor, theirs: Tensor) -> Tensor:
        return centred_shift(ours, theirs).sum(0).cpu().double()

    return (_total(study.shared.map_logits(contexts, each, CHUNK)) / len(contexts)).float()


def logit_map(study: Study, contexts: Contexts) -> tuple[float, Float[Tensor, " v"]]:
    """The scale and the shift that bring the base's logits nearest to the fitted ones.

    Returns:
        What `probes.scale_and_shift` returns, the shift in float32.
    """
    sums = study.shared.map_logits(contexts, ScaleShiftAccumulator.of, CHUNK)
    scale, shift = ScaleShiftAccumulator.joined(sums).result()
    return scale, shift.float()


def rank_gainers(study: Study, contexts: Contexts, count: int) -> Int[Tensor, " count"]:
    """The tokens whose rank improves most from base to fitted: largest mean fall of log rank.

    Measured on an even choice of at most `sizes.order_contexts` contexts; of equal falls the
    lowest id comes first.
    """
    chosen = contexts.evenly(study.sizes.order_contexts)

    def each(ours: Tensor, theirs: Tensor) -> Tensor:
        return (log_rank_rows(ours) - log_rank_rows(theirs)).sum(0, dtype=torch.float64).cpu()

    return order_rows(_total(study.shared.map_logits(chosen, each, CHUNK)))[:count]


@dataclass
class _SharedLoss(BiasLoss):
    """The loss over contexts whose logits are shared out over processes.

    The sums are over all, and what is decided by is the first process's: hardware may differ in
    the last bit.
    """

    processes: Processes = ALONE

    def sums(self, bias: Tensor) -> tuple[float, Tensor]:
        """The sums over all contexts."""
        return _together(self.processes, *super().sums(bias))

    def at(self, bias: Tensor) -> tuple[float, Tensor]:
        """The loss of the first process, and the mean predicted distribution."""
        loss, predicted = super().at(bias)
        return self.processes.everywhere(loss)[0], predicted


def fit_bias(study: Study, contexts: Contexts, shift: Tensor, steps: int) -> FittedBias:
    """The bias of least divergence on calibration contexts; see `probes.fitted_bias`.

    At most 1024 contexts (fewer when their logits would take more than 512 MB). Every fourth
    prompt is kept aside for early stopping.

    Args:
        study: the pair.
        contexts: calibration contexts.
        shift: mean shift over them.
        steps: most optimiser steps.
    """
    room = FIT_BYTES // (4 * study.base.vocab_size)
    fit, held = _losses(study, contexts.evenly(max(2, min(FIT_CONTEXTS, room))))
    everywhere = study.run.processes.everywhere
    found = fitted_bias(fit, held, shift, steps, lambda uphill: everywhere(uphill)[0])
    return replace(found, bias=everywhere(found.bias.float().cpu())[0])


def _losses(study: Study, contexts: Contexts) -> tuple[BiasLoss, BiasLoss]:
    """The loss that is fitted and the one kept aside; the same one below four prompts."""
    prompts = contexts.row.unique().tolist()
    aside = prompts[HELD_EVERY - 1 :: HELD_EVERY]
    if not aside:
        loss = _loss(study, contexts)
        return loss, loss
    fitted_to = [row for row in prompts if row not in aside]
    return _loss(study, contexts.in_rows(fitted_to)), _loss(study, contexts.in_rows(aside))


def _loss(study: Study, contexts: Contexts) -> BiasLoss:
    base, shared = study.base, study.run.processes
    pairs = paired_logits(base, study.fitted, contexts, CHUNK, shared)
    nothing = torch.zeros(base.vocab_size, device=base.home)
    own = BiasLoss.of(((ours, theirs) for _, ours, theirs in pairs), nothing)
    constant, wanted = _together(shared, own.constant, own.wanted)
    return _SharedLoss(own.logits, wanted, constant, len(contexts), shared)


def _together(processes: Processes, number: float, tensor: Tensor) -> tuple[float, Tensor]:
    """Both summed over all processes."""
    if processes.size == 1:
        return number, tensor
    both = torch.cat([torch.tensor([number], dtype=torch.float64), tensor.cpu().double()])
    both = processes.summed(both)
    return float(both[0]), both[1:].to(tensor)


def _total(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum(0)
