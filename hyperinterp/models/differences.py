"""The result of a model's self-check, as data."""

from dataclasses import dataclass


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
        components: how attention and MLP are read: "module" outputs or stream "difference".
    """

    causal: float
    final_norm: float
    readout: float
    lens: float
    replay: float
    residual: float
    components: str
