"""A Hugging Face decoder with hooks at named sites: run, read, replay, read out."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import BaseModelOutputWithPast

from hyperinterp.models.differences import SelfCheck
from hyperinterp.models.located import Located
from hyperinterp.models.positions import forget_lengths, growing_tables
from hyperinterp.models.reading import Places, SiteReader, reading, stream_of, swapped_forward
from hyperinterp.models.recording import Call, Carries, Recording, Stop, recording_hooks
from hyperinterp.sites import Site
from probes.devices import home


class _GivenOutput(BaseModelOutputWithPast):
    """A backbone output whose family-specific extra fields all read as absent."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class HookedModel(Located):
    """A causal language model whose components can be read, replayed and exchanged.

    The wrapped model stays a plain Hugging Face model in evaluation mode: nothing is renamed,
    folded or copied, and every hook is removed when the call that set it returns. `load` runs the
    self-check of a model; one that was wrapped in memory is checked by the first comparison that
    takes it, or by `checked`, and reads attention and MLP as that finds them.

    On a device without float64 (a Mac's mps) the model runs, and what leaves it goes to `home`.

    Args:
        hf: the model.
        tokenizer: its tokenizer; None when only token ids are used.
        name: what the user called it.
        fingerprint: digest of its stored weights, "" when unknown.
        provenance: where it came from, JSON-serialisable.
        notes: sentences for the reader of its figures, e.g. what its files said that was left out;
            a comparison repeats them in its report.

    Raises:
        InputRefused: the weights are in float64, or spread, on a device without float64.
        UnsupportedModel: the family is unknown or lacks a component, or the weights are on several
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
        super().__init__(
            hf, tokenizer, name=name, fingerprint=fingerprint, provenance=provenance, notes=notes
        )
        self.components_by_difference = False
        self.self_check: SelfCheck | None = None
        self.carriers: list[Carries] = []

    @cached_property
    def bare_blocks(self) -> bool:
        """Return whether a block returns the stream itself, not a tuple that begins with it."""
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

    # -- running ---------------------------------------------------------------------------

    def forget_lengths(self) -> None:
        """Put rotary tables that grow with the longest text so far (dynamic scaling) back.

        transformers keeps them grown while texts stay long, so that a text's logits would depend
        on the texts before it.
        """
        forget_lengths(self._growing)

    @cached_property
    def _growing(self) -> list[Any]:
        return growing_tables(self.hf)

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
            return home(self._forward(ids))

    def _reading(self, site: Site, read: SiteReader) -> AbstractContextManager[None]:
        places = Places(
            self.blocks, self.final_norm, self.anatomy.block, self.components_by_difference
        )
        return reading(places, site, lambda site, tensor: read(site, home(tensor)))

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
        # Cloned because some families add in place to what a component returned.
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
        return home(logits[..., : self.vocab_size])

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
        flat = self.entering(hidden).reshape(1, -1, hidden.shape[-1])

        def given(*_args: Any, **_kwargs: Any) -> BaseModelOutputWithPast:
            return _GivenOutput(last_hidden_state=flat)  # pyright: ignore[reportArgumentType]

        logits = self.headed(given).logits
        return home(logits[..., : self.vocab_size]).reshape(*hidden.shape[:-1], -1)

    def headed(self, backbone: Callable[..., Any], **kept: Any) -> Any:
        """Return the whole model's output where its backbone gives a certain one.

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
            A tensor of the same shape, in the model's dtype and on its device (`home`).
        """
        return home(self.final_norm(stream.to(self.device, self.dtype)))

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
        with recording_hooks(self.blocks, wanted, stop_at, inputs, calls), suppress(Stop):
            self._forward(ids)
        return Recording(ids, {index: home(stream) for index, stream in inputs.items()}, calls)

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
        settings (`patched`) as the donor's backbone would call it.

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
        current = self.entering(recording.inputs[start] if stream is None else stream)
        indices = range(start, self.n_layers if stop is None else stop)
        with ExitStack() as stack:
            for carrier in self.carriers if indices else ():
                stack.enter_context(carrier.replaying(recording))
            for index in indices:
                call = recording.calls[index]
                current = stream_of(self.blocks[index](current, *call.args, **call.kwargs))
        return home(current)
