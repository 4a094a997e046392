"""The loop that writes a batch of texts, one token of every text at a time."""

from collections.abc import Sequence

import torch

from hyperinterp.generation.choosing import Chooser
from hyperinterp.generation.keys import Row
from hyperinterp.generation.stepping import Steps

_UNSEEN = 16
"""Steps between two looks at a device that works on its own."""


@torch.no_grad()
def written_by(
    steps: Steps, rows: Sequence[Row], chooser: Chooser, new_tokens: int, stops: Sequence[int]
) -> list[list[int]]:
    """Return the ids that come after each prompt, until all texts have ended.

    Args:
        steps: give the logits.
        rows: the prompts, of one length.
        chooser: gives the tokens.
        new_tokens: most tokens written.
        stops: ids that end a text; what follows one in a row means nothing.

    Raises:
        NumericalFault: a logit is NaN or infinite.
    """
    device = steps.model.device
    ids = torch.zeros((len(rows), len(rows[0]) + new_tokens), dtype=torch.long)
    end = start = len(rows[0])
    ids[:, :start] = torch.tensor(rows)
    ids = ids.to(device)
    ending = torch.tensor(stops, dtype=torch.long, device=device)
    padding = next((token for token in stops if token < steps.model.vocab_size), 0)
    ended = torch.zeros(len(rows), dtype=torch.bool, device=device)
    every = 1 if device.type == "cpu" else _UNSEEN
    for step in range(new_tokens):
        tokens = chooser.choose(step, ids[:, :end], steps.next(ids[:, end - 1 : end]))
        ids[:, end] = tokens.to(device).masked_fill(ended, padding)
        ended |= torch.isin(ids[:, end], ending)
        end += 1
        if end - start == new_tokens or (step + 1) % every == 0:
            chooser.check()
            if bool(ended.all()):
                break
    return ids[:, start:end].tolist()
