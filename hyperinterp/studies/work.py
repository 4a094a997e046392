"""Work and memory of a training run, from shapes alone."""

from dataclasses import dataclass

from hyperinterp.runs.room import FLOAT, LOGITS
from hyperinterp.runs.shape import Shape
from hyperinterp.training import TrainConfig
from hyperinterp.training.loss import CHUNK

STREAM, INNER = 10, 4
"""Numbers that a block keeps of every token for the backward pass: so many of the stream's width,
and of the width of its widest map."""


@dataclass(frozen=True)
class TrainingWork:
    """A training run by its shape.

    Attributes:
        shape: of the model in float32.
        recipe: of the run.
        first: first block that trains; those before are frozen.
        trainable: parameters that train.
    """

    shape: Shape
    recipe: TrainConfig
    first: int
    trainable: int

    def operations(self, learnt: int, held: int, epochs: int) -> float:
        """Return the floating-point operations of a run.

        Args:
            learnt: tokens of an epoch, forwards and backwards.
            held: held-out tokens that every epoch is evaluated on, forwards alone.
            epochs: of the run.
        """
        frozen = 2 * self.shape.body * self.first / self.shape.layers
        forward = 2 * (self.shape.body + self.shape.vocabulary * self.shape.width) - frozen
        adapted = 6 if self.recipe.uses_lora else 2
        again = 2 * self.shape.body - frozen if self.recipe.gradient_checkpointing else 0
        both = 2 * forward + again + adapted * self.trainable
        once = 1 if self.recipe.prefix_cache else epochs
        return epochs * (learnt * both + held * forward) + once * (learnt + held) * frozen

    def memory(self, learnt: int, held: int) -> int:
        """Return the most bytes of a run: weights, moments, what backward passes need, streams.

        Args:
            learnt: tokens of an epoch.
            held: held-out tokens that every epoch is evaluated on.
        """
        shape, recipe = self.shape, self.recipe
        weights = shape.weights * (1 if recipe.uses_lora else 2)
        moments = (4 if recipe.uses_lora else 3) * FLOAT * self.trainable
        block = STREAM * shape.width + INNER * shape.inner
        trained = shape.layers - self.first
        kept = block + trained * shape.width if recipe.gradient_checkpointing else trained * block
        streams = (learnt + held) * shape.width * FLOAT if self.first and recipe.prefix_cache else 0
        return (
            weights
            + moments
            + recipe.batch_size * recipe.seq_len * kept * FLOAT
            + LOGITS * CHUNK * shape.vocabulary * FLOAT
            + min(streams, recipe.prefix_budget_bytes)
        )
