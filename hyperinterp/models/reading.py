"""Hooks that hand over the tensor at a site, and a module's forward swapped for a while."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from hyperinterp.models.anatomy import BlockPaths
from hyperinterp.sites import Site, SiteKind

SiteReader = Callable[[Site, Tensor], None]


def stream_of(output: Any) -> Tensor:
    """The residual stream in what a block returned: a bare tensor or a tuple's first item."""
    return output if isinstance(output, Tensor) else output[0]


@dataclass(frozen=True)
class Places:
    """The modules whose inputs and outputs are the sites.

    Attributes:
        blocks: the decoder blocks, in order.
        final_norm: the norm before the unembedding.
        paths: the modules inside a block.
        by_difference: attention and MLP are read as differences of the stream.
    """

    blocks: nn.ModuleList
    final_norm: nn.Module
    paths: BlockPaths
    by_difference: bool


@contextmanager
def reading(places: Places, site: Site, read: SiteReader) -> Iterator[None]:
    """Call `read` with the tensor at a site whenever it is computed within the context."""
    with ExitStack() as stack:
        for handle in _hooks(places, site, read):
            stack.callback(handle.remove)
        yield


def _hooks(places: Places, site: Site, read: SiteReader) -> list[Any]:
    def after(_module: nn.Module, _given: Any, output: Any) -> None:
        read(site, stream_of(output))

    def entering(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        read(site, given[0] if given else named["hidden_states"])

    match site.kind:
        case SiteKind.EMBED:
            return [places.blocks[0].register_forward_pre_hook(entering, with_kwargs=True)]
        case SiteKind.FINAL_NORM:
            return [places.final_norm.register_forward_hook(after)]
        case SiteKind.RESID:
            return [places.blocks[site.layer or 0].register_forward_hook(after)]
    if places.by_difference:
        return _difference_hooks(places, site, read)
    block, paths = places.blocks[site.layer or 0], places.paths
    path = paths.attn_added if site.kind is SiteKind.ATTN else paths.mlp_added
    return [block.get_submodule(path).register_forward_hook(after)]


def _difference_hooks(places: Places, site: Site, read: SiteReader) -> list[Any]:
    """Contributions as differences of the stream, for families that add inside a component."""
    block = places.blocks[site.layer or 0]
    middle = block.get_submodule(str(places.paths.mid_norm))
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
