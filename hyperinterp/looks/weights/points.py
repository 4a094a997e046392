"""The base with a part of the change: what it chooses, how wide it is, what it writes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyperinterp.analyses.intervals import context_mean, mean_of, ratio_of
from hyperinterp.analyses.readouts import stream_logits
from hyperinterp.analyses.replays import contexts_per_passage, shortened
from hyperinterp.analyses.scoring import together, values, window_scores
from hyperinterp.capture import chosen_positions, logit_chunks
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.generation import GREEDY, Generated
from hyperinterp.looks.weights.result import PathPoint
from hyperinterp.models import HookedModel, reweighted
from hyperinterp.under_comparison import Study
from probes import Moments, surprisal, truncated_change
from probes.devices import home
from probes.ranks.tokens import top1_rows

ALPHAS = (0.25, 0.5, 0.75, 1.0, 1.25)
"""Parts of the change; 0 is the base, and 1 the fitted model."""
RANKS = (1, 4, 16)
"""Directions kept of every matrix's change."""

Pairs = Mapping[str, tuple[Tensor, Tensor]]
"""Old and new numbers by the name of a parameter."""


@dataclass(frozen=True)
class Read:
    """A model on the passages.

    Attributes:
        choice: its greedy choice at every context, `[n]`.
        row: passage of each context, `[n]`.
        dimension: participation ratio of the last block's output, position 0 left out.
    """

    choice: Tensor
    row: Tensor
    dimension: float


def along(pairs: Pairs, alpha: float) -> dict[str, Tensor]:
    """Return base + alpha * change; at 1 the fitted weights to the bit.

    Args:
        pairs: old and new numbers by name.
        alpha: part of the change.
    """
    return {
        name: (home(old).double() + alpha * (home(new).double() - home(old).double())).to(old)
        for name, (old, new) in pairs.items()
    }


def truncated(pairs: Pairs, rank: int) -> dict[str, Tensor]:
    """Return base + each matrix's change cut to a rank; what is no matrix is as in the fitted.

    Args:
        pairs: old and new numbers by name.
        rank: directions kept.
    """
    return {
        name: (home(old).double() + truncated_change(old, new, rank).to(home(old).device)).to(old)
        if old.ndim == 2
        else new
        for name, (old, new) in pairs.items()
    }


def points(study: Study, pairs: Pairs) -> tuple[PathPoint, ...]:
    """Return the points on both paths, the base first.

    Args:
        study: the pair and its prompts.
        pairs: old and new numbers of every parameter that differs.
    """
    numbers = range(len(study.heldout.rows))[: study.sizes.patch_prompts]
    base, fitted = (_read(study, model, numbers) for model in (study.base, study.fitted))
    tick = study.run.log.ticker("models on the way are read", len(ALPHAS) + len(RANKS))
    text = study.shared.texts.greedy("base").chosen(study.heldout.control_rows)
    found = [_point(study, "alpha", 0.0, base, text, (base, fitted))]
    for path, value, weights in _steps(pairs):
        with reweighted(study.base, weights) as model:
            read = _read(study, model, numbers)
            text = _written(study, model, f"{path} {value:g} writes")
        found.append(_point(study, path, value, read, text, (base, fitted)))
        tick(1)
    return tuple(found)


def _steps(pairs: Pairs) -> Iterator[tuple[str, float, dict[str, Tensor]]]:
    for alpha in ALPHAS:
        yield "alpha", alpha, along(pairs, alpha)
    for rank in RANKS:
        yield "rank", float(rank), truncated(pairs, rank)


def _read(study: Study, model: HookedModel, numbers: Sequence[int]) -> Read:
    rows, per_passage = shortened(study, numbers), contexts_per_passage(study)
    moments = Moments(model.d_model, device=model.home)
    choice: list[Tensor] = []
    row: list[Tensor] = []
    for which, ids in rows.batches(study.run.batch_size):
        where = torch.tensor(chosen_positions(ids.shape[1], per_passage))
        stream = model.record(ids, keep=(model.n_layers,)).inputs[model.n_layers]
        moments.add(stream[:, 1:].flatten(0, 1))
        chosen = stream[:, where.to(stream.device)].flatten(0, 1)
        choice += [top1_rows(logits).cpu() for _, logits in stream_logits(model, chosen)]
        row.append(torch.tensor(which).repeat_interleave(len(where)))
    return Read(torch.cat(choice), torch.cat(row), moments.spectrum().participation_ratio)


def _written(study: Study, model: HookedModel, task: str) -> Generated:
    arm = replace(GREEDY, rows=study.heldout.control_rows)
    return study.shared.texts.write(model, [arm], task=task)[GREEDY.name]


def _point(
    study: Study, path: str, value: float, read: Read, text: Generated, ends: tuple[Read, Read]
) -> PathPoint:
    base, fitted = ends
    scores = window_scores(text, study.sizes.window)
    return PathPoint(
        path=path,
        value=value,
        overrides=context_mean((read.choice != base.choice).float(), read.row),
        agreement=context_mean((read.choice == fitted.choice).float(), read.row),
        dimension=read.dimension,
        growth=read.dimension - base.dimension,
        ttr=mean_of(values(scores, "ttr", together(scores))),
        surprisal=surprise(study, text),
        example=study.heldout.tokenizer.decode(text.rows[0]),
    )


def surprise(study: Study, text: Generated) -> Measured:
    """Return the surprisal of a text under the base, given its prompt, in nats per token.

    Args:
        study: the base and the prompts.
        text: of the control prompts.
    """
    base, nats, tokens = study.base, [], []
    for number, written in zip(study.heldout.control_rows, text.rows, strict=True):
        prompt = study.heldout.prompts.rows[number]
        if not written:
            continue
        ids = torch.tensor([[*prompt, *written]])
        hidden = base.run(ids)[0, len(prompt) - 1 : -1]
        each = [
            surprisal(logits.cpu(), torch.tensor(written)[rows])
            for rows, logits in logit_chunks(base, hidden)
        ]
        nats.append(float(torch.cat(each).sum()))
        tokens.append(float(len(written)))
    if not tokens:
        return missing("no text has a token")
    return ratio_of(torch.tensor(nats).numpy(), torch.tensor(tokens).numpy())
