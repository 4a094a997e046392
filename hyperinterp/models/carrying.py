"""Give a donor's blocks and head, in the recipient, the inputs of the donor's own backbone.

A backbone works out rotary embeddings, masks and slopes once, from its own settings, and hands
them to every block. Where two models differ in settings, a donor's component in the recipient gets
those of the donor, for the same tokens, positions and cache.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer

from hyperinterp.errors import InputRefused
from hyperinterp.models.components import Component, ComponentKind, paths_of
from hyperinterp.models.hooked import HookedModel
from hyperinterp.models.reading import swapped_forward
from hyperinterp.models.recording import Call, Recording, Stop

Args = tuple[tuple[Any, ...], dict[str, Any]]


class Carrier:
    """Gives a donor's components in a recipient what the donor's own backbone would give them.

    Args:
        recipient: the model that runs.
        donor: the model whose components are put in; it runs no block of its own.
        components: what is exchanged.
    """

    def __init__(
        self, recipient: HookedModel, donor: HookedModel, components: Sequence[Component]
    ) -> None:
        self._recipient, self._donor, self._components = recipient, donor, components
        self._donor_forward = donor.backbone.forward
        self._outer: Args | None = None
        self._calls: Sequence[Call] | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Carry for the time of the context."""
        recipient = self._recipient
        with ExitStack() as stack:
            for component in self._components:
                self._hook(component, stack)
            stack.enter_context(swapped_forward(recipient.hf, self._whole(recipient.hf.forward)))
            inner = self._inner(recipient.backbone.forward)
            stack.enter_context(swapped_forward(recipient.backbone, inner))
            recipient.carriers.append(self)
            stack.callback(recipient.carriers.remove, self)
            yield

    @contextmanager
    def replaying(self, recording: Recording) -> Iterator[None]:
        """Give the donor's components what belongs to the tokens of a recording."""
        key = id(self._donor.hf)
        if key not in recording.others:
            given = {"input_ids": recording.ids.to(self._donor.device), "use_cache": False}
            recording.others[key] = self._asked(self._donor.backbone, ((), given))
        with self._given(recording.others[key]):
            yield

    @contextmanager
    def _given(self, calls: Sequence[Call]) -> Iterator[None]:
        before, self._calls = self._calls, calls
        try:
            yield
        finally:
            self._calls = before

    # -- the recipient's own calls ---------------------------------------------------------

    def _whole(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        def whole(*args: Any, **kwargs: Any) -> Any:
            self._outer = (args, kwargs)
            try:
                return forward(*args, **kwargs)
            finally:
                self._outer = None

        return _like(forward, whole)

    def _inner(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The backbone's forward, after the donor was asked what it would give its blocks.

        The donor gets the call that came from outside, since some models prepare masks before
        their backbone is called.
        """

        def inner(*args: Any, **kwargs: Any) -> Any:
            donor = self._donor
            kwargs = _with_plain_cache(self._recipient, kwargs)
            outer, module = self._outer, donor.hf
            if outer is None:
                outer, module = (args, kwargs), donor.backbone
            elif kwargs.get("past_key_values") is not None:
                outer = (outer[0], outer[1] | {"past_key_values": kwargs["past_key_values"]})
            with self._given(self._asked(module, outer)):
                return forward(*args, **kwargs)

        return _like(forward, inner)

    @torch.no_grad()
    def _asked(self, module: nn.Module, given: Args) -> list[Call]:
        """Return the arguments of each of the donor's blocks in its backbone; none of them runs."""
        donor = self._donor
        calls: list[Call] = []
        cache = given[1].get("past_key_values")
        if cache is None or not cache.get_seq_length():
            donor.forget_lengths()
        stubs = [
            _Stub(block, calls, donor.bare_blocks, last=index == donor.n_layers - 1)
            for index, block in enumerate(donor.blocks)
        ]
        args, kwargs = _on(donor.device, given[0]), _on(donor.device, given[1])
        modules = donor.blocks._modules
        kept = dict(modules)
        with swapped_forward(donor.backbone, self._donor_forward):
            modules.update({str(index): stub for index, stub in enumerate(stubs)})
            try:
                with suppress(Stop):
                    module(*args, **kwargs)
            finally:
                modules.update(kept)
        return calls

    # -- the donor's components -----------------------------------------------------------------

    def _hook(self, component: Component, stack: ExitStack) -> None:
        if (
            component.kind not in (ComponentKind.BLOCK, ComponentKind.ATTN)
            or component.layer is None
        ):
            return
        donor, layer = self._donor, component.layer
        (path,) = paths_of(donor, component)
        module, block = donor.hf.get_submodule(path), donor.blocks[layer]

        def entering(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if self._calls is None:  # the donor runs by itself
                return None
            call = self._calls[layer]
            if component.kind is ComponentKind.BLOCK:
                return _as_block(args, kwargs, call)
            return _as_attention(module, block, args, kwargs, call)

        handle = module.register_forward_pre_hook(entering, with_kwargs=True, prepend=True)
        stack.callback(handle.remove)


class _Stub(nn.Module):
    """Stands in a block's place, keeps what it is called with, and gives the stream back."""

    def __init__(self, block: nn.Module, calls: list[Call], bare: bool, *, last: bool) -> None:
        super().__init__()
        object.__setattr__(self, "_block", block)
        self._seen, self._bare, self._last = calls, bare, last

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(object.__getattribute__(self, "_block"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Remember the call."""
        rest = dict(kwargs)
        stream = args[0] if args else rest.pop("hidden_states")
        self._seen.append(Call(tuple(args[1:]), rest))
        if self._last:
            raise Stop
        return stream if self._bare else (stream, None, None)


def _as_block(args: tuple[Any, ...], kwargs: dict[str, Any], call: Call) -> Args:
    """A block's call as the donor's backbone makes it, on the recipient's stream and cache."""
    cache = next((item for item in (*args, *kwargs.values()) if isinstance(item, Cache)), None)
    named = dict(kwargs)
    stream = args[0] if args else named.pop("hidden_states")

    def own(value: Any) -> Any:
        return cache if isinstance(value, Cache) else value

    given = {name: own(value) for name, value in call.kwargs.items()}
    for name, value in named.items():
        if isinstance(value, Cache) or name not in given:
            given[name] = value
    return (stream, *map(own, call.args)), given


def _as_attention(
    module: nn.Module, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], call: Call
) -> Args:
    """An attention's call where whatever the donor's block would hand on is the donor's."""
    known = _named(block, (None, *call.args), call.kwargs)
    own = _named(module, args, kwargs)

    def pick(name: str, value: Any) -> Any:
        cached = isinstance(value, Cache) or isinstance(known.get(name), Cache)
        return value if cached or name in _STREAM or name not in known else known[name]

    names = list(own)[: len(args)]
    positional = tuple(pick(name, value) for name, value in zip(names, args, strict=True))
    return positional, {name: pick(name, value) for name, value in kwargs.items()}


_STREAM = {"hidden_states", "residual", "output_attentions", "use_cache"}


def _named(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A call's values by the names of the parameters that take them, in the call's order."""
    parameters = inspect.signature(module.forward).parameters
    return dict(zip(parameters, args, strict=False)) | dict(kwargs)


def _with_plain_cache(model: HookedModel, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The call with a cache that keeps every position of every block.

    A cache made from one model's settings forgets what lies outside its windows; the masks alone
    decide that here, so that blocks with other windows can share a cache.

    Raises:
        InputRefused: the cache was filled before, by other windows.
    """
    cache, used = kwargs.get("past_key_values"), kwargs.get("use_cache")
    if used is None:
        used = getattr(model.hf.config.get_text_config(), "use_cache", False)
    if cache is None and used:
        return kwargs | {"past_key_values": DynamicCache()}
    if isinstance(cache, DynamicCache) and any(
        not isinstance(layer, DynamicLayer) or layer.is_sliding for layer in cache.layers
    ):  # some layer keeps less than every position
        if cache.get_seq_length():
            raise InputRefused(
                "past_key_values: expected a cache that was filled with the same components "
                "exchanged, found one with windows of its own; begin with an empty one"
            )
        cache.layers.clear()
        cache.layer_class_to_replicate = DynamicLayer
    return kwargs


def _on(device: torch.device, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _on(device, item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_on(device, item) for item in value)
    return value


def _like(forward: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    """`other` with the signature of `forward`, which transformers looks at."""
    other.__signature__ = inspect.signature(forward)  # pyright: ignore[reportFunctionMemberAccess]
    return other


@contextmanager
def donors_head(recipient: HookedModel, donor: HookedModel) -> Iterator[None]:
    """Read the recipient's backbone out with the donor's head: its weights, scales and caps.

    Args:
        recipient: the model whose logits are the donor's for the time of the context.
        donor: the model whose head runs.
    """
    forward = recipient.hf.forward

    def both(*args: Any, **kwargs: Any) -> Any:
        kept = {name: kwargs[name] for name in ("logits_to_keep",) if name in kwargs}
        output = _before_head(recipient, forward, args, kwargs)
        return donor.headed(lambda *_args, **_kwargs: output, **kept)

    with swapped_forward(recipient.hf, _like(forward, both)):
        yield


def _before_head(
    model: HookedModel, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Return the backbone's output in a call of the whole model."""
    found: list[Any] = []

    def ended(_module: nn.Module, _given: Any, output: Any) -> None:
        found.append(output)
        raise Stop

    handle = model.backbone.register_forward_hook(ended)
    try:
        with suppress(Stop):
            forward(*args, **kwargs)
    finally:
        handle.remove()
    return found[0]
