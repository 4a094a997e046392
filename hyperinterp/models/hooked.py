"""A Hugging Face decoder with hooks at named sites: run, read, replay, read out."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import BaseModelOutputWithPast

from hyperinterp.errors import InputRefused, UnsupportedModel
from hyperinterp.models.anatomy import Anatomy, locate
from hyperinterp.models.placement import check_reachable, device_of
from hyperinterp.sites import Site, SiteKind

SiteReader = Callable[[Site, Tensor], None]


def stream_of(output: Any) -> Tensor:
    """The residual stream in what a block returned: a bare tensor or a tuple's first item."""
    return output if isinstance(output, Tensor) else output[0]


class _GivenOutput(BaseModelOutputWithPast):
    """A backbone output whose family-specific extra fields all read as absent."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class Stop(Exception):
    """Ends a forward pass early; never leaves this package."""


class Call(NamedTuple):
    """What a block is called with beside the stream: masks, rotary embeddings, ..."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """What every block was called with in one forward pass.

    Attributes:
        ids: the token ids that were read, `[batch, position]`.
        inputs: stream entering block 0, 1, ..., then the stream leaving the last block;
            each `[batch, position, d_model]`. Holds only the blocks that were asked for.
        calls: what each block was called with beside the stream.
        others: the same of models whose parts were put in, as far as it was asked for.
    """

    ids: Tensor
    inputs: dict[int, Tensor]
    calls: list[Call]
    others: dict[int, Sequence[Call]] = field(default_factory=dict, repr=False, compare=False)


class Carries(Protocol):
    """What gives another model's parts their own masks and positions in a replay."""

    def replaying(self, recording: Recording) -> AbstractContextManager[None]:
        """Give them for the tokens of a recording, for the time of the context."""
        ...


@dataclass(frozen=True)
class SelfCheck:
    """Largest relative differences found by `self_check` (0 is exact).

    Attributes:
        causal: logits before the last token against those with another last token.
        final_norm: final norm's hook against the backbone's own output.
        readout: unembedding of that output against the model's logits.
        lens: final norm and unembedding of the last block's output against the logits.
        replay: last block's output after replaying all blocks, against the recorded one.
        residual: stream + attention + MLP against the next stream; the worst block.
        parts: how attention and MLP are read: "module" outputs or stream "difference".
    """

    causal: float
    final_norm: float
    readout: float
    lens: float
    replay: float
    residual: float
    parts: str


class HookedModel:
    """A causal language model whose parts can be read, replayed and exchanged.

    The wrapped model stays a plain Hugging Face model in evaluation mode: nothing is renamed,
    folded or copied, and every hook is removed when the call that set it returns. `load` runs the
    self-check of a model; one that was wrapped in memory is checked by the first comparison that
    takes it, or by `checked`, and reads attention and MLP as that finds them.

    Args:
        hf: the model.
        tokenizer: its tokenizer; None when only token ids are used.
        name: what the user called it.
        fingerprint: digest of its stored weights, "" when unknown.
        provenance: where it came from, JSON-serialisable.
        notes: sentences for the reader of its figures, e.g. what its files said that was left out;
            a comparison repeats them in its report.

    Raises:
        InputRefused: the weights are on a device of type mps, which has no float64.
        UnsupportedModel: the family is unknown or lacks a part, or the weights are on several
            devices and nothing moves what passes between them.
    """

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
        self.parts_by_difference = False
        self.self_check: SelfCheck | None = None
        self.carriers: list[Carries] = []
        self._tokens: int | None = None

    def on_tokens(
        self, count: int, tokenizer: PreTrainedTokenizerBase | None = None
    ) -> "HookedModel":
        """The same model, with logits of the first `count` token ids only.

        Args:
            count: how many ids; those from there on have no logit, and are never written.
            tokenizer: takes the place of the model's own where it is given.
        """
        limited = copy.copy(self)
        limited._tokens = count
        limited.tokenizer = self.tokenizer if tokenizer is None else tokenizer
        return limited

    def reading_with(self, tokenizer: PreTrainedTokenizerBase) -> "HookedModel":
        """The same model with another tokenizer.

        Args:
            tokenizer: takes the place of the model's own.
        """
        other = copy.copy(self)
        other.tokenizer = tokenizer
        return other

    # -- parts -----------------------------------------------------------------------------

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
        config = self.hf.config
        if self.anatomy.family == "mpt":
            return int(config.max_seq_len)
        limit = getattr(config, "max_position_embeddings", None)
        if not isinstance(limit, int):
            return None
        tables = [
            module.num_embeddings
            for module in self.hf.modules()
            if isinstance(module, nn.Embedding) and module is not self.hf.get_input_embeddings()
        ]
        tables += [
            len(table)
            for name, table in self.hf.named_buffers()
            if name.rpartition(".")[2] == "embed_positions"
        ]
        return limit if any(limit <= rows <= limit + 2 for rows in tables) else None

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

    @cached_property
    def bare_blocks(self) -> bool:
        """Whether a block returns the stream itself rather than a tuple that begins with it."""
        bare: list[bool] = []

        def after(_module: nn.Module, _given: Any, output: Any) -> None:
            bare.append(isinstance(output, Tensor))

        handle = self.blocks[0].register_forward_hook(after)
        try:
            with torch.no_grad():
                self._forward(torch.zeros((1, 1), dtype=torch.long))
        finally:
            handle.remove()
        return bare[0]

    @property
    def device(self) -> torch.device:
        """Device where the embedding computes: token ids go there, and logits come from there."""
        return device_of(self.hf.get_submodule(self.anatomy.embed))

    @property
    def dtype(self) -> torch.dtype:
        """Floating dtype of the weights."""
        return self._embedding.dtype

    # -- running ---------------------------------------------------------------------------

    def forget_lengths(self) -> None:
        """Put rotary tables that grow with the longest text so far (dynamic scaling) back.

        transformers keeps them grown while texts stay long, so that a text's logits would depend
        on the texts before it.
        """
        for module in self._growing:
            for prefix, kind in rope_types(module).items():
                if kind == "dynamic":
                    original = getattr(module, f"{prefix}original_inv_freq")
                    table = getattr(module, f"{prefix}inv_freq")
                    setattr(module, f"{prefix}inv_freq", original.to(table.device))
                    setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)

    @cached_property
    def _growing(self) -> list[Any]:
        return [item for item in self.hf.modules() if "dynamic" in rope_types(item).values()]

    def _forward(self, ids: Int[Tensor, "batch position"]) -> Tensor:
        self.forget_lengths()
        output = self.backbone(input_ids=ids.to(self.device), use_cache=False)
        return stream_of(output if isinstance(output, tuple) else output.last_hidden_state)

    @torch.no_grad()
    def run(
        self,
        ids: Int[Tensor, "batch position"],
        sites: Iterable[Site] = (),
        read: SiteReader | None = None,
    ) -> Float[Tensor, "batch position d_model"]:
        """One pass through the backbone; no logits are computed.

        Args:
            ids: token ids of equal-length rows, so that no padding is needed.
            sites: where to read.
            read: called with each site and its `[batch, position, d_model]` tensor as soon as
                it exists; the tensor is not kept afterwards.

        Returns:
            The final norm's output (what the unembedding is applied to).
        """
        with ExitStack() as stack:
            if read is not None:
                for site in sites:
                    stack.enter_context(self._reading(site, read))
            return self._forward(ids)

    @torch.no_grad()
    def activations(
        self, ids: Int[Tensor, "batch position"], sites: Sequence[Site]
    ) -> dict[Site, Tensor]:
        """The tensors at `sites` for one batch, each of shape `[batch, position, d_model]`.

        Args:
            ids: token ids of equal-length rows, shape `[batch, position]`.
            sites: where to read.

        Returns:
            A copy of the tensor at each site.

        Raises:
            IndexError: a site of a block that is not there, or (on a CPU) a token id outside the
                vocabulary.
        """
        found: dict[Site, Tensor] = {}
        # Cloned because some families add in place to what a part returned.
        self.run(ids, sites, lambda site, tensor: found.__setitem__(site, tensor.clone()))
        return found

    def logits(self, ids: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position vocab"]:
        """Next-token logits at every position, as the model itself computes them.

        Args:
            ids: token ids of equal-length rows, shape `[batch, position]`.

        Returns:
            Logits of shape `[batch, position, vocab]`. They are not checked for NaN.

        Raises:
            IndexError: on a CPU, a token id outside the vocabulary.
        """
        self.forget_lengths()
        with torch.no_grad():
            logits = self.hf(input_ids=ids.to(self.device), use_cache=False).logits
        return logits[..., : self.vocab_size]

    def readout(self, hidden: Float[Tensor, "*n d_model"]) -> Float[Tensor, "*n vocab"]:
        """Logits from the final norm's output, with every scale, cap and bias of the family.

        The causal-LM head of the family runs as it is, on a backbone that is replaced for the
        call by one that returns `hidden`.

        Args:
            hidden: the final norm's output, any leading axes, then `d_model`.

        Returns:
            Logits with the same leading axes, then `vocab`.

        Raises:
            RuntimeError: the last axis is not `d_model` wide.
        """
        flat = hidden.reshape(1, -1, hidden.shape[-1])

        def given(*_args: Any, **_kwargs: Any) -> BaseModelOutputWithPast:
            return _GivenOutput(last_hidden_state=flat)  # pyright: ignore[reportArgumentType]

        logits = self.headed(given).logits
        return logits[..., : self.vocab_size].reshape(*hidden.shape[:-1], -1)

    def headed(self, backbone: Callable[..., Any], **kept: Any) -> Any:
        """What the whole model returns where its backbone gives a certain output.

        Args:
            backbone: stands in for the backbone; its arguments mean nothing.
            kept: passed on to the model.
        """
        with swapped_forward(self.backbone, backbone):
            dummy = torch.zeros((1, 1), dtype=torch.long, device=self.device)
            return self.hf(input_ids=dummy, use_cache=False, **kept)

    def lens(self, stream: Float[Tensor, "*n d_model"]) -> Float[Tensor, "*n vocab"]:
        """Logit lens: the final norm and the unembedding applied to a block's output.

        Args:
            stream: the residual stream after a block, any leading axes, then `d_model`.

        Returns:
            Logits with the same leading axes, then `vocab`.

        Raises:
            RuntimeError: the last axis is not `d_model` wide.

        Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
        """
        return self.readout(self.normalise(stream))

    def normalise(self, stream: Float[Tensor, "*n d_model"]) -> Float[Tensor, "*n d_model"]:
        """The final norm applied to the residual stream.

        Args:
            stream: any leading axes, then `d_model`.

        Returns:
            A tensor of the same shape, in the model's dtype and on its device.
        """
        return self.final_norm(stream.to(self.device, self.dtype))

    # -- replay ----------------------------------------------------------------------------

    @torch.no_grad()
    def record(
        self,
        ids: Int[Tensor, "batch position"],
        keep: Iterable[int] | None = None,
        stop_at: int | None = None,
    ) -> Recording:
        """Run once and remember each block's input and keyword arguments.

        Args:
            ids: token ids of equal-length rows.
            keep: indices of the blocks whose input is kept (`n_layers` means the stream after
                the last block); all of them by default.
            stop_at: leave the forward pass when this block is reached; its input is kept.

        Returns:
            The recording; `replay` continues from any kept input.
        """
        wanted = set(range(self.n_layers + 1) if keep is None else keep)
        inputs: dict[int, Tensor] = {}
        calls: list[Call] = []

        def before(index: int) -> Callable[..., None]:
            def hook(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
                rest = dict(named)
                stream = given[0] if given else rest.pop("hidden_states")
                if index in wanted or index == stop_at:
                    inputs[index] = stream
                calls.append(Call(tuple(given[1:]), rest))
                if index == stop_at:
                    raise Stop

            return hook

        def last(_module: nn.Module, _given: Any, output: Any) -> None:
            if self.n_layers in wanted:
                inputs[self.n_layers] = stream_of(output)

        with ExitStack() as stack:
            for index, block in enumerate(self.blocks):
                handle = block.register_forward_pre_hook(before(index), with_kwargs=True)
                stack.callback(handle.remove)
            stack.callback(self.blocks[-1].register_forward_hook(last).remove)
            with suppress(Stop):
                self._forward(ids)
        return Recording(ids, inputs, calls)

    def replay(
        self,
        recording: Recording,
        start: int,
        stream: Float[Tensor, "batch position d_model"] | None = None,
        *,
        stop: int | None = None,
    ) -> Float[Tensor, "batch position d_model"]:
        """Run blocks `start` to `stop` (default: the end) from a recorded or given stream.

        Only these blocks are executed, each called as the recording says; one of a donor with other
        settings (`transplanted`) as the donor's backbone would call it.

        Args:
            recording: what `record` remembered of the same rows.
            start: index of the first block to run.
            stream: what enters it, shape `[batch, position, d_model]`; what was recorded by
                default.
            stop: index of the first block that does not run.

        Returns:
            The stream after block `stop - 1`, before the final norm, in the same shape.

        Raises:
            KeyError: no stream is given, and the recording did not keep that block's input.
        """
        current = recording.inputs[start] if stream is None else stream
        indices = range(start, self.n_layers if stop is None else stop)
        with ExitStack() as stack:
            for carrier in self.carriers if indices else ():
                stack.enter_context(carrier.replaying(recording))
            for index in indices:
                call = recording.calls[index]
                current = stream_of(self.blocks[index](current, *call.args, **call.kwargs))
        return current

    # -- hooks -----------------------------------------------------------------------------

    @contextmanager
    def _reading(self, site: Site, read: SiteReader) -> Iterator[None]:
        with ExitStack() as stack:
            for handle in self._hooks(site, read):
                stack.callback(handle.remove)
            yield

    def _hooks(self, site: Site, read: SiteReader) -> list[Any]:
        def after(_module: nn.Module, _given: Any, output: Any) -> None:
            read(site, stream_of(output))

        def entering(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            read(site, given[0] if given else named["hidden_states"])

        match site.kind:
            case SiteKind.EMBED:
                return [self.blocks[0].register_forward_pre_hook(entering, with_kwargs=True)]
            case SiteKind.FINAL_NORM:
                return [self.final_norm.register_forward_hook(after)]
            case SiteKind.RESID:
                return [self.blocks[site.layer or 0].register_forward_hook(after)]
        block = self.blocks[site.layer or 0]
        if self.parts_by_difference:
            return self._difference_hooks(block, site, read)
        paths = self.anatomy.block
        path = paths.attn_added if site.kind is SiteKind.ATTN else paths.mlp_added
        return [block.get_submodule(path).register_forward_hook(after)]

    def _difference_hooks(self, block: nn.Module, site: Site, read: SiteReader) -> list[Any]:
        """Contributions as differences of the stream, for families that add inside a part."""
        middle = block.get_submodule(str(self.anatomy.block.mid_norm))
        seen: dict[str, Tensor] = {}

        def entering(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            seen["in"] = given[0] if given else named["hidden_states"]

        def between(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            middle_stream = given[0] if given else named["hidden_states"]
            seen["mid"] = middle_stream.reshape(seen["in"].shape)
            if site.kind is SiteKind.ATTN:
                read(site, seen["mid"] - seen["in"].to(middle_stream.device))

        def leaving(_module: nn.Module, _given: Any, output: Any) -> None:
            if site.kind is SiteKind.MLP:
                read(site, stream_of(output) - seen["mid"])

        return [
            block.register_forward_pre_hook(entering, with_kwargs=True),
            middle.register_forward_pre_hook(between, with_kwargs=True),
            block.register_forward_hook(leaving),
        ]


def rope_types(module: nn.Module) -> dict[str, str]:
    """Kinds of rotary scaling of a rotary module, by the prefix of their tables; else empty."""
    kinds = getattr(module, "rope_type", None)
    if isinstance(kinds, str):
        return {"": kinds}
    return {f"{layer}_": kind for layer, kind in kinds.items()} if isinstance(kinds, dict) else {}


@contextmanager
def swapped_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Replace one module's `forward` for the time of the context."""
    had = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if had is None:
            del module.__dict__["forward"]
        else:
            module.forward = had


def _backbone(hf: PreTrainedModel) -> nn.Module:
    """The part of a causal LM that ends at the final norm."""
    decoder = hf.get_decoder()
    if decoder is hf or not isinstance(decoder, nn.Module):
        raise UnsupportedModel(
            f"{type(hf).__name__}: expected a decoder under a language-model head, found none"
        )
    return decoder
