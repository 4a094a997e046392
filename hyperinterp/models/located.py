"""A decoder and where its components are: blocks, norms, sizes, limits; nothing runs here."""

import copy
from collections.abc import Iterable
from typing import Any, TypeVar

from torch import Tensor, device, dtype, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperinterp.errors import InputRefused, UnsupportedModel
from hyperinterp.models.anatomy import Anatomy, locate
from hyperinterp.models.placement import check_reachable, device_of
from hyperinterp.models.positions import position_limit
from probes.devices import has_float64

Self = TypeVar("Self", bound="Located")  # beartype knows typing.Self in whole classes only


class Located:
    """A Hugging Face decoder whose components are found; `HookedModel` runs it."""

    def __init__(
        self,
        hf: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        name: str = "model",
        fingerprint: str = "",
        provenance: dict[str, Any] | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        check_reachable(hf)
        self.hf = hf.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.fingerprint = fingerprint
        self.provenance = dict(provenance or {})
        self.notes = tuple(notes)
        self.anatomy: Anatomy = locate(hf)
        self.backbone = _backbone(hf)
        self._tokens: int | None = None

    def on_tokens(self: Self, count: int, tokenizer: PreTrainedTokenizerBase | None = None) -> Self:
        """The same model, with logits of the first `count` token ids only.

        Args:
            count: how many ids; those from there on have no logit, and are never written.
            tokenizer: takes the place of the model's own where it is given.
        """
        limited = copy.copy(self)
        limited._tokens = count
        limited.tokenizer = self.tokenizer if tokenizer is None else tokenizer
        return limited

    def reading_with(self: Self, tokenizer: PreTrainedTokenizerBase) -> Self:
        """The same model with another tokenizer.

        Args:
            tokenizer: takes the place of the model's own.
        """
        other = copy.copy(self)
        other.tokenizer = tokenizer
        return other

    # -- components -----------------------------------------------------------------------------

    @property
    def blocks(self) -> nn.ModuleList:
        """The decoder blocks, in order."""
        return self.hf.get_submodule(self.anatomy.blocks)  # pyright: ignore[reportReturnType]

    @property
    def final_norm(self) -> nn.Module:
        """The norm between the last block and the unembedding."""
        return self.hf.get_submodule(self.anatomy.final_norm)

    @property
    def _embedding(self) -> Tensor:
        return self.hf.get_submodule(self.anatomy.embed).get_parameter("weight")

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks."""
        return len(self.blocks)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self._embedding.shape[-1])

    @property
    def position_limit(self) -> int | None:
        """Most tokens that the model's table of positions can take; None without such a table.

        Learned positions, sines that are kept as a table (GPT-J, CodeGen), or slopes that are
        made for a fixed length (MPT).
        """
        return position_limit(self.hf, self.anatomy.family)

    def check_length(self, tokens: int, fewer: str) -> None:
        """Refuse texts of more tokens than the model has positions.

        Args:
            tokens: length of the longest text, what is to be written included.
            fewer: what to ask for less of.

        Raises:
            InputRefused: names the limit and the need.
        """
        limit = self.position_limit
        if limit is not None and tokens > limit:
            raise InputRefused(
                f"{self.name}: expected texts of at most {limit} tokens (its table of positions), "
                f"found a need for {tokens}; choose fewer {fewer}"
            )

    @property
    def rows(self) -> int:
        """Token ids that both the embedding and the unembedding have a row for."""
        unembedding = self.hf.get_submodule(self.anatomy.unembed).get_parameter("weight")
        return min(int(unembedding.shape[0]), int(self._embedding.shape[0]))

    @property
    def vocab_size(self) -> int:
        """Number of token ids that have a logit: the rows, or the first of them (`on_tokens`)."""
        return self.rows if self._tokens is None else min(self.rows, self._tokens)

    @property
    def home(self) -> device:
        """Device where what leaves the model lies: the CPU where the model's own has no float64."""
        return self.device if has_float64(self.device) else device("cpu")

    def entering(self, stream: Tensor) -> Tensor:
        """Return a stream where the model runs, if leaving it took the stream elsewhere.

        Args:
            stream: what enters a block or the unembedding.
        """
        return stream if has_float64(self.device) else stream.to(self.device)

    @property
    def device(self) -> device:
        """Device where the embedding computes: token ids go there, and logits come from there."""
        return device_of(self.hf.get_submodule(self.anatomy.embed))

    @property
    def dtype(self) -> dtype:
        """Floating dtype of the weights."""
        return self._embedding.dtype


def _backbone(hf: PreTrainedModel) -> nn.Module:
    """The part of a causal LM that ends at the final norm."""
    decoder = hf.get_decoder()
    if decoder is hf or not isinstance(decoder, nn.Module):
        raise UnsupportedModel(
            f"{type(hf).__name__}: expected a decoder under a language-model head, found none"
        )
    return decoder
