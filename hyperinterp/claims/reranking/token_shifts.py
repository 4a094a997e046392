"""Tokens promoted to the top and demoted from it, and their frequencies."""

import torch
from torch import Tensor

from hyperinterp.analyses.intervals import context_mean
from hyperinterp.analyses.overriding import text_before
from hyperinterp.capture import Contexts
from hyperinterp.claims.reranking.result import TokenShift
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.under_comparison import Study
from probes import FREQUENCY_CLASSES, Overrides, TokenTable, frequency_class


def token_frequencies(study: Study) -> tuple[Tensor, str]:
    """Counts per token id, `[vocab]`, and where they came from.

    The user's table when there is one; else the tokens of the held-out passages and, where
    known, of the training passages.

    Raises:
        InputRefused: the table has not one count per id of the vocabulary.
    """
    size = study.base.vocab_size
    table = study.counts
    if table is not None:
        return torch.tensor(table.of_size(size, study.most_rows)), table.origin
    rows = [*study.heldout.rows.rows]
    source = "tokens of the held-out passages"
    if study.training_rows is not None:
        rows += study.training_rows.rows
        source += " and of the training passages"
    ids = torch.tensor([token for row in rows for token in row])
    return torch.bincount(ids, minlength=size), source


def token_classes(frequencies: Tensor) -> Tensor:
    """Class 0 (unseen) to 4 (frequent) of each token id; see `probes.frequency_class`."""
    return frequency_class(frequencies)


def frequency_shift(found: Overrides, contexts: Contexts, frequencies: Tensor) -> Measured:
    """Mean log2(count + 1) of promoted minus demoted tokens, over the overrides."""
    over = found.overridden
    if not bool(over.any()):
        return missing("no decision is overridden")
    weight = (frequencies.double() + 1).log2()
    change = weight[found.fitted_token[over]] - weight[found.base_token[over]]
    return context_mean(change, contexts.row[over])


def shift_table(
    study: Study,
    table: TokenTable,
    found: Overrides,
    contexts: Contexts,
    classes: Tensor,
    promoted: bool,
) -> tuple[TokenShift, ...]:
    """The tokens of a table, with their ranks in the other model, their class and an example.

    Args:
        study: gives the tokenizer, and the text before a decision.
        table: tokens and counts.
        found: the overrides.
        contexts: the decisions behind them.
        classes: frequency class of every token id.
        promoted: whether the table is of promoted tokens, or of demoted ones.
    """
    side = found.fitted_token if promoted else found.base_token
    ranks = found.base_rank if promoted else found.fitted_rank
    shifts = []
    for token, count in zip(table.tokens.tolist(), table.counts.tolist(), strict=True):
        where = found.overridden & (side == token)
        first = int(where.nonzero()[0])
        shifts.append(
            TokenShift(
                token=study.heldout.tokenizer.decode([token]),
                token_id=token,
                count=count,
                median_rank=float(ranks[where].double().quantile(0.5)),
                frequency_class=FREQUENCY_CLASSES[int(classes[token])],
                example=text_before(study, contexts, first)
                if study.shared.contexts is contexts
                else "",
            )
        )
    return tuple(shifts)
