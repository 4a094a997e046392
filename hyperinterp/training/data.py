"""Rows of tokens, in an order that depends on the seed and the epoch alone."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerBase

from hyperinterp.distributed import Processes
from hyperinterp.errors import InputRefused
from hyperinterp.text import PLAIN, Chat, Passages, TokenRows, tokenise

IGNORED = -100


@dataclass(frozen=True)
class DataSummary:
    """The data of a training run.

    Attributes:
        origin: where the passages came from, in words.
        sha256: digest of ids and texts in order.
        tokens_sha256: digest of the token ids in order, after cutting.
        passages: rows trained on.
        tokens: token ids in these rows.
        targets: predicted tokens per epoch (the first token of a row has no prediction).
        cut: passages longer than the sequence length.
        short: passages under 2 tokens, left out.
        duplicates: exact repetitions, left out.
        empty: texts without a letter or digit, left out.
        begins: texts that began with the begin token themselves, read with one.
        conversations: rows in the model's chat template.
        template_sha256: digest of that template; "" where no row is in it.
    """

    origin: str
    sha256: str
    tokens_sha256: str
    passages: int
    tokens: int
    targets: int
    cut: int
    short: int
    duplicates: int
    empty: int
    begins: int = 0
    conversations: int = 0
    template_sha256: str = ""


def prepare_rows(
    tokenizer: PreTrainedTokenizerBase, passages: Passages, seq_len: int, chat: Chat = PLAIN
) -> tuple[TokenRows, DataSummary]:
    """Tokenise passages: each is one row, cut to `seq_len` tokens; nothing is packed.

    Raises:
        InputRefused: no passage has two tokens.
    """
    longer = tokenise(tokenizer, passages, seq_len + 1, chat=chat)
    rows = replace(longer, rows=tuple(row[:seq_len] for row in longer.rows), length=seq_len)
    digest = hashlib.sha256(json.dumps(rows.rows).encode()).hexdigest()
    summary = DataSummary(
        origin=passages.origin,
        sha256=passages.sha256,
        tokens_sha256=digest,
        passages=len(rows),
        tokens=rows.n_tokens,
        targets=rows.n_tokens - len(rows),
        cut=sum(len(row) > seq_len for row in longer.rows),
        short=rows.short,
        duplicates=passages.duplicates,
        empty=passages.empty,
        begins=rows.begins,
        conversations=rows.conversations,
        template_sha256=chat.sha256 if rows.conversations else "",
    )
    return rows, summary


class RowDataset(Dataset[int]):
    """Row numbers; the collator fetches what belongs to them."""

    def __init__(self, rows: TokenRows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> int:
        return index


class EpochSampler(Sampler[int]):
    """A fresh order for each epoch, computed from (seed, epoch): any position can be resumed."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return iter(torch.randperm(self.size, generator=generator).tolist())


class ShareSampler(Sampler[list[int]]):
    """One process's share of every batch, so that N processes train on batches N times as large.

    Batch k is the next `batch_size * N` rows of the epoch's order, dealt out without padding or
    repetition; a process that is left without a row of the last batch gets an empty list.

    Args:
        rows: order of the rows, the same in every process.
        batch_size: rows per process.
        processes: who shares.
    """

    drop_last = False

    def __init__(self, rows: EpochSampler, batch_size: int, processes: Processes) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.processes = processes

    def __len__(self) -> int:
        return -(-len(self.rows) // (self.batch_size * self.processes.size))

    def __iter__(self) -> Iterator[list[int]]:
        order, together = list(self.rows), self.batch_size * self.processes.size
        for start in range(0, len(order), together):
            yield list(self.processes.share(order[start : start + together]))


def pad_rows(
    rows: Sequence[Sequence[int]],
) -> tuple[Int[Tensor, "batch position"], Int[Tensor, "batch position"]]:
    """Token ids and next-token labels, padded on the right.

    Attention is causal, so what stands to the right of a row's end cannot reach it; the
    padding's labels, and the label at each row's last token, are -100.

    Returns:
        ids and labels; `labels[b, t]` is the token that follows `ids[b, t]`.
    """
    if not rows:
        raise InputRefused("a batch: expected at least one row, found none; give a passage")
    width = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED, dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        labels[number, : len(row) - 1] = torch.tensor(row[1:])
    return ids, labels
