"""The module that Trainer trains: token ids, or a cached stream, in; the loss out."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hyperinterp.models import HookedModel
from hyperinterp.training.compiling import CompiledBlocks
from hyperinterp.training.data import IGNORED
from hyperinterp.training.loss import ReadoutLoss
from hyperinterp.training.prefix import Calls


class LossModule(nn.Module):
    """Next-token loss of a hooked model, from the ids or from a cached residual stream.

    Always in evaluation mode, so that no dropout is ever active.

    Args:
        model: the model, with its adapter in place.
        start: the block at which a given stream enters.
        recompute: blocks whose activations are recomputed in the backward pass.
        compiled: run all blocks compiled.
    """

    accepts_loss_kwargs = True

    def __init__(
        self,
        model: HookedModel,
        start: int,
        recompute: tuple[int, ...] = (),
        *,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.hf = model.hf
        self._model = [model]  # a list, so that torch registers nothing twice
        self._start = start
        self._recompute = recompute
        self._compiled = CompiledBlocks() if compiled else None
        self._loss = ReadoutLoss(model)
        self._calls = Calls(model)
        self.train(False)

    @property
    def model(self) -> HookedModel:
        """The hooked model."""
        return self._model[0]

    def train(self, mode: bool = True) -> "LossModule":
        """Stay in evaluation mode whatever is asked for: dropout is always 0."""
        return super().train(False)

    def forward(
        self,
        input_ids: Int[Tensor, "batch position"],
        labels: Int[Tensor, "batch position"],
        stream: Float[Tensor, "batch position d_model"] | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **_: Any,
    ) -> dict[str, Tensor]:
        """Loss over the labels that are not -100.

        Args:
            input_ids: token ids; with a `stream` only their shape matters.
            labels: the token that follows each position, or -100.
            stream: residual stream entering block `start`.
            num_items_in_batch: what the sum is divided by; default: the number of labels.

        Returns:
            `loss`, the sum as `loss_sum` and the number of labels as `targets`.
        """
        hidden = self._hidden(input_ids, stream)
        kept = labels != IGNORED
        total = self._loss(hidden[kept], labels[kept])
        targets = kept.sum()
        divisor = targets if num_items_in_batch is None else num_items_in_batch
        return {"loss": total / divisor, "loss_sum": total.detach(), "targets": targets}

    def _hidden(self, ids: Tensor, stream: Tensor | None) -> Tensor:
        if stream is None:
            with run_as(self.model, self._passes(0)):
                return self.model._forward(ids)
        calls = self._calls.of(ids)
        with run_as(self.model, self._passes(self._start)):
            return self.model.normalise(self.model.replay(calls, self._start, stream))

    def _passes(self, start: int) -> dict[int, Callable[..., Any]]:
        """Forward passes in place of the blocks' own, by number, from block `start` on."""
        found: dict[int, Callable[..., Any]] = {}
        recompute = self._recompute if torch.is_grad_enabled() else ()
        for index in range(start, self.model.n_layers):
            block = self.model.blocks[index]
            if self._compiled is not None:
                found[index] = self._compiled.of(block)
            if index in recompute:
                found[index] = _checkpointed(found.get(index, block.forward))
        return found


@contextmanager
def run_as(model: HookedModel, passes: Mapping[int, Callable[..., Any]]) -> Iterator[None]:
    """Let blocks, by number, run by other forward passes inside."""
    with ExitStack() as stack:
        for index, forward in passes.items():
            block = model.blocks[index]
            block.forward = forward
            stack.callback(block.__dict__.pop, "forward")
        yield


def _checkpointed(inner: Callable[..., Any]) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(inner, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return forward
