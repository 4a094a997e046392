"""One fixed vector added to the base's stream, block by block."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperinterp.analyses.intervals import grouped, ratio_of, remaining_share
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.looks.causes.reading import Batch
from hyperinterp.looks.causes.result import StaticShift
from hyperinterp.sites import Site
from hyperinterp.under_comparison import Study


def static_shifts(study: Study, every: Sequence[Batch]) -> tuple[StaticShift, ...]:
    """Return what the mean stream difference does to the base at each block.

    The mean is over the other half of the passages; position 0, an attention sink, stays.

    Args:
        study: the pair.
        every: both models on the passages.
    """
    found = []
    for site, moments in study.shared.half.items():
        shift = moments["fitted"].mean - moments["base"].mean
        size = float(moments["base"].second_moment().trace()) ** 0.5
        found.append(_shifted(study, every, site, shift, size))
    return tuple(found)


def _shifted(
    study: Study, every: Sequence[Batch], site: Site, shift: Tensor, size: float
) -> StaticShift:
    model, start = study.base, (site.layer or 0) + 1
    kls, befores, made, over, rows = [], [], [], [], []
    for batch in every:
        recording = batch.recordings["base"]
        stream = recording.inputs[start].clone()
        stream[:, 1:] += shift.to(stream)
        kl, choice = batch.read(model, model.replay(recording, start, stream))
        before, _ = batch.read(model, recording.inputs[model.n_layers])
        kls.append(kl)
        befores.append(before)
        made.append(batch.over & (choice == batch.predicted["fitted"].choice.cpu()))
        over.append(batch.over)
        rows.append(batch.row)
    row, before = torch.cat(rows), torch.cat(befores)
    return StaticShift(
        layer=site.layer or 0,
        norm=float(shift.norm()) / size if size > 0 else 0.0,
        recovered_kl=remaining_share(before - torch.cat(kls), before, row),
        made=share(torch.cat(made), torch.cat(over), row),
    )


def share(part: Tensor, whole: Tensor, row: Tensor) -> Measured:
    """Return the sum of a part over the sum of the whole, by passage; missing where that is 0.

    Args:
        part: `[n]`.
        whole: `[n]`.
        row: passage of each, `[n]`.
    """
    wholes = grouped(whole.double(), row)
    if wholes.sum() <= 0:
        return missing("the models choose alike everywhere")
    return ratio_of(grouped(part.double(), row), wholes)
