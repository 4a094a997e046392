"""Logits that no choice is defined on: seen at every step, refused without a wait for each."""

import torch
from jaxtyping import Float
from torch import Tensor

from hyperinterp.models import check_logits


class Watch:
    """Looks at a model's logits; on a device that works on its own, refuses only when asked.

    Args:
        name: what to call the model.
        masked: let minus infinity pass, with which some models rule token ids out for good.
    """

    def __init__(self, name: str, *, masked: bool = True) -> None:
        self._name, self._masked = name, masked
        self._ends: tuple[Tensor, Tensor] | None = None

    def see(self, logits: Float[Tensor, "row vocab"]) -> None:
        """Take in the logits of a step; those on a CPU are checked at once."""
        if logits.device.type == "cpu":
            check_logits(self._name, logits, masked=self._masked)
            return
        low, high = logits.aminmax(dim=0)
        if self._ends is not None:
            low, high = low.minimum(self._ends[0]), high.maximum(self._ends[1])
        self._ends = low, high

    def check(self) -> None:
        """Refuse what was seen since the last call.

        Raises:
            NumericalFault: NaN, plus infinity, or a context without a finite logit.
            UnsupportedModel: minus infinity for single token ids, unless `masked`.
        """
        if self._ends is not None:
            check_logits(self._name, torch.stack(self._ends), masked=self._masked)
        self._ends = None
