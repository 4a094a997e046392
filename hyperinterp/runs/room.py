"""The memory that the geometry of a pair may take, beside the models and what else runs."""

from collections.abc import Iterable, Mapping, Sequence

from hyperinterp.capture import CHUNK
from hyperinterp.generation.writer import KEPT_AT_ONCE
from hyperinterp.generations import TEXTS_PER_ROW
from hyperinterp.memory import available
from hyperinterp.models import HookedModel
from hyperinterp.runs.context import RunContext
from hyperinterp.runs.passes import Text
from hyperinterp.runs.shape import Shape, storage_of
from hyperinterp.runs.waves import WIDE, Waves, Workload, summed, waves
from hyperinterp.sites import Site
from hyperinterp.sizes import Sizes
from hyperinterp.text import TokenRows

FLOAT = 4  # bytes of a number in float32
LOGITS = 6  # tensors of the size of one chunk's logits that are there at once, in float32
SHARE = 0.8
"""Of the memory that is free, where none was stated: others need some, too."""

HELD = 4
"""A part in so many of the memory that is there may hold changed blocks."""


def divided(sites: Sequence[Site], text: Text, sizes: Sizes) -> tuple[Waves, bool]:
    """Divide the sites of a text into groups that fit into memory, the same in all processes.

    Args:
        sites: where to measure.
        text: what is read, and how much memory its run may take.
        sizes: how much is looked at.

    Returns:
        The groups, and whether the first pass at the first of them can wait to be measured while
        texts are written.
    """
    shape, left = Shape.of(text.models["base"].hf), _left(text, sizes)
    reading = reading_bytes(shape, sizes, text.run.batch_size)
    found = waves(sites, workload(text), max(0, left - reading))
    on_host = text.models["base"].home.type == "cpu"
    work = working_bytes(shape, sizes, text.run.batch_size, len(text.rows), on_host=on_host)
    return found, found.held + work <= left


def in_groups(sites: Sequence[Site], text: Text, sizes: Sizes) -> tuple[tuple[Site, ...], ...]:
    """Divide the sites of a text such that their sums fit, the same in all processes.

    Args:
        sites: where sums are taken.
        text: what is read, and how much memory its run may take.
        sizes: how much is looked at.
    """
    reading = reading_bytes(Shape.of(text.models["base"].hf), sizes, text.run.batch_size)
    return summed(sites, workload(text), _left(text, sizes) - reading)


def _left(text: Text, sizes: Sizes) -> int:
    """Bytes there are for the geometry, beside what the machine's memory holds all along."""
    left, base = room(text.models, text.run), text.models["base"]
    if base.home.type == "cpu":
        shapes = [Shape.of(text.models[role].hf) for role in ("base", "fitted")]
        left -= contexts_bytes(shapes, sizes, len(text.rows))
        left -= half_bytes(base.d_model, 0 if text.half is None else len(text.half.sites))
    return left


def half_bytes(width: int, sites: int) -> int:
    """Return the bytes of both models' moments of the rows that are read first.

    Args:
        width: of the residual stream.
        sites: number of blocks at whose outputs they are kept.
    """
    return 2 * sites * WIDE * width**2


def workload(text: Text) -> Workload:
    """Return what decides how much each site of a text takes in this process."""
    models = [text.models[role] for role in ("base", "fitted")]
    rows, share = text.rows, text.run.processes.size
    return Workload(
        width=models[0].d_model,
        itemsize=sum(model.dtype.itemsize for model in models),
        tokens=-(-rows.n_tokens // share) if isinstance(rows, TokenRows) else None,
        prompts=-(-len(rows) // share),
        variants=text.variants,
        processes=share,
    )


def room(models: Mapping[str, HookedModel], run: RunContext) -> int:
    """Return the bytes that a comparison may take beside its models, the same in all processes.

    Args:
        models: all models of the comparison.
        run: says how much memory there is, or leaves it to what is free.
    """
    if run.memory is None:
        mine = int(SHARE * available(str(models["base"].home)))
    else:
        mine = run.memory - weight_bytes(models.values())
    return min(run.processes.everywhere(mine))


def weight_bytes(models: Iterable[HookedModel]) -> int:
    """Return the bytes of all weights and buffers, those that models share once."""
    found: dict[int, int] = {}
    for model in models:
        for tensor in (*model.hf.parameters(), *model.hf.buffers()):
            found[storage_of(tensor)] = tensor.untyped_storage().nbytes()
    return sum(found.values())


def working_bytes(
    shape: Shape, sizes: Sizes, batch_size: int, prompts: int, *, on_host: bool
) -> int:
    """Return the most bytes that a forward pass, a readout or writing takes beside the weights.

    Args:
        shape: of the models.
        sizes: how much is looked at.
        batch_size: rows per forward pass.
        prompts: held-out passages.
        on_host: the models lie in the machine's memory.
    """
    return max(
        reading_bytes(shape, sizes, batch_size),
        readout_bytes(shape, 2 * CHUNK),
        writing_bytes(shape, sizes, batch_size, prompts, on_host=on_host),
    )


def reading_bytes(shape: Shape, sizes: Sizes, batch_size: int) -> int:
    """Return the bytes of a forward pass without logits, and of one block's activations."""
    tokens = batch_size * sizes.context_tokens
    return tokens * shape.itemsize * (6 * shape.width + 3 * shape.inner)


def contexts_bytes(shapes: Sequence[Shape], sizes: Sizes, prompts: int) -> int:
    """Return the bytes of the models' final rows at the next-token decisions.

    Args:
        shapes: of the models.
        sizes: how much is looked at.
        prompts: held-out passages.
    """
    most = max(1, sizes.context_tokens - 2)
    each = most if sizes.contexts_per_prompt is None else min(most, sizes.contexts_per_prompt)
    return prompts * each * sum(shape.width * shape.itemsize for shape in shapes)


def readout_bytes(shape: Shape, contexts: int) -> int:
    """Return the bytes of both models' logits at some contexts and of what is made of them."""
    return LOGITS * FLOAT * contexts * shape.vocabulary


def writing_bytes(
    shape: Shape, sizes: Sizes, batch_size: int, prompts: int, *, on_host: bool
) -> int:
    """Return the bytes of writing: keys and values of two batches, of all prompts, and logits.

    Args:
        shape: of the models.
        sizes: how much is looked at.
        batch_size: rows per forward pass.
        prompts: held-out passages.
        on_host: the models lie in the machine's memory, where fewer texts are written at once.
    """
    text = (sizes.prompt_tokens + sizes.new_tokens) * shape.cache
    most = max(1, KEPT_AT_ONCE["cpu" if on_host else "other"] // text)
    rows = min(TEXTS_PER_ROW * batch_size, most)
    kept = 2 * rows * text + 2 * prompts * sizes.prompt_tokens * shape.cache
    return kept + LOGITS * FLOAT * rows * shape.vocabulary
