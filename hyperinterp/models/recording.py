"""Recording of the arguments of a model's blocks in one forward pass."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from hyperinterp.models.reading import stream_of


class Stop(Exception):
    """Ends a forward pass early; never leaves this package."""


class Call(NamedTuple):
    """The arguments of a block beside the stream: masks, rotary embeddings, ..."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """The arguments of every block in one forward pass.

    Attributes:
        ids: the token ids that were read, `[batch, position]`.
        inputs: stream entering block 0, 1, ..., then the stream leaving the last block;
            each `[batch, position, d_model]`. Holds only the blocks that were asked for.
        calls: what each block was called with beside the stream.
        others: the same of models whose components were put in, as far as it was asked for.
    """

    ids: Tensor
    inputs: dict[int, Tensor]
    calls: list[Call]
    others: dict[int, Sequence[Call]] = field(default_factory=dict, repr=False, compare=False)


class Carries(Protocol):
    """Give another model's components their own masks and positions in a replay."""

    def replaying(self, recording: Recording) -> AbstractContextManager[None]:
        """Give them for the tokens of a recording, for the time of the context."""
        ...


@contextmanager
def recording_hooks(
    blocks: nn.ModuleList,
    wanted: set[int],
    stop_at: int | None,
    inputs: dict[int, Tensor],
    calls: list[Call],
) -> Iterator[None]:
    """Write down what every block is called with.

    Args:
        blocks: the decoder blocks.
        wanted: blocks whose input is kept; their number means the stream after the last one.
        stop_at: `Stop` is raised when this block is reached; its input is kept.
        inputs: receives the streams.
        calls: receives what stands beside them, block by block.
    """

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
        if len(blocks) in wanted:
            inputs[len(blocks)] = stream_of(output)

    with ExitStack() as stack:
        for index, block in enumerate(blocks):
            handle = block.register_forward_pre_hook(before(index), with_kwargs=True)
            stack.callback(handle.remove)
        stack.callback(blocks[-1].register_forward_hook(last).remove)
        yield
