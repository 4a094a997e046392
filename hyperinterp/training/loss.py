"""Next-token loss without ever holding all logits."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from hyperinterp.models import HookedModel

CHUNK = 256


class _LinearCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of `hidden @ weight.T`, with the gradients made in the forward pass.

    The logits of one chunk of rows exist at a time; each chunk costs one product for the loss
    and one for each gradient that is needed, the same number as ordinary back-propagation.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, compute: Tensor) -> Any:
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        inputs = hidden.to(compute.dtype)
        d_hidden = torch.empty_like(hidden) if wants_hidden else None
        d_weight = torch.zeros_like(weight) if wants_weight else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), CHUNK):
            rows = slice(start, start + CHUNK)
            logits = (inputs[rows] @ compute.T).float()
            wanted = targets[rows, None]
            logits -= logits.amax(-1, keepdim=True)
            aimed = logits.gather(1, wanted)
            mass = logits.exp_().sum(-1, keepdim=True)
            total += (mass.log() - aimed).sum()
            if d_hidden is None and d_weight is None:
                continue
            logits /= mass
            logits.scatter_add_(1, wanted, -torch.ones_like(mass))
            d_logits = logits.to(compute.dtype)
            if d_hidden is not None:
                d_hidden[rows] = d_logits @ compute
            if d_weight is not None:
                d_weight.addmm_(d_logits.T.to(weight.dtype), inputs[rows].to(weight.dtype))
        ctx.save_for_backward(d_hidden, d_weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        d_hidden, d_weight = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        scaled = [None if d is None else d.mul_(grad) for d in (d_hidden, d_weight)]
        return scaled[0], scaled[1], None, None


class _ChunkedReadout(torch.autograd.Function):
    """The same for any frozen readout: autograd runs inside one chunk at a time."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, model: HookedModel) -> Tensor:
        d_hidden = torch.empty_like(hidden)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), CHUNK):
            rows = slice(start, start + CHUNK)
            with torch.enable_grad():
                given = hidden[rows].detach().requires_grad_()
                loss = _summed(model.readout(given), targets[rows])
            (d_hidden[rows],) = torch.autograd.grad(loss, given)
            total += loss.detach()
        ctx.save_for_backward(d_hidden)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (d_hidden,) = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        return d_hidden.mul_(grad), None, None


def _summed(logits: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.float(), targets, reduction="sum")


class ReadoutLoss:
    """Summed next-token loss, in nats, from the final norm's output.

    A readout that is exactly a product with the unembedding takes the fused path; one with a
    cap, scale or bias runs through the family's own head, chunk by chunk; one whose weights
    train and are not a plain product is left to autograd.
    """

    def __init__(self, model: HookedModel) -> None:
        self.model = model
        self.plain = _is_plain_product(model, self.weight)
        self._cast: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """The unembedding, `vocabulary x d_model`; FSDP exchanges it between passes."""
        return self.model.hf.get_output_embeddings().weight  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue, reportReturnType]

    def __call__(
        self, hidden: Float[Tensor, "n d_model"], targets: Int[Tensor, " n"]
    ) -> Float[Tensor, ""]:
        """Sum over the rows of -log p(target); gradients flow to `hidden` (and the weights)."""
        trains = self.weight.requires_grad
        if self.plain:
            compute = self._compute_weight(hidden)
            with torch.autocast(hidden.device.type, enabled=False):
                return _LinearCrossEntropy.apply(hidden, self.weight, targets, compute)  # pyright: ignore[reportReturnType]
        if trains or not torch.is_grad_enabled():
            return _summed(self.model.readout(hidden), targets)
        return _ChunkedReadout.apply(hidden, targets, self.model)  # pyright: ignore[reportReturnType]

    def _compute_weight(self, hidden: Tensor) -> Tensor:
        """The unembedding in the dtype that autocast asks for, cast once when it is frozen."""
        kind, weight = hidden.device.type, self.weight.detach()
        autocast = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if autocast else weight.dtype
        if weight.dtype == dtype:
            return weight
        if self.weight.requires_grad:
            return weight.to(dtype)
        cast = self._cast
        if cast is None or cast.dtype != dtype or cast.device != weight.device:
            cast = self._cast = weight.to(dtype)
        return cast


@torch.no_grad()
def _is_plain_product(model: HookedModel, weight: Tensor) -> bool:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, weight.shape[1], generator=generator).to(weight.device, weight.dtype)
    # Large, so that a soft cap shows.
    hidden = 30.0 * hidden
    own, product = model.readout(hidden).float(), (hidden @ weight.T).float()
    return bool(torch.allclose(own, product, rtol=1e-5, atol=1e-5 * float(product.abs().max())))
