"""Refusals of models that cannot be compared."""

from collections.abc import Iterator

from hyperinterp.errors import MismatchedPair
from hyperinterp.models import (
    Acts,
    Component,
    ComponentKind,
    HookedModel,
    differing_settings,
    paths_of,
)

_LONGEST = 60


def check_pair(base: HookedModel, other: HookedModel) -> None:
    """Refuse two models whose components cannot be exchanged.

    Raises:
        MismatchedPair: names every field that differs (family, class, blocks, width, dtype), else
            the first tensor of the blocks that has another shape, else a setting that no component
            carries.
    """
    fields = {
        "family": (base.anatomy.family, other.anatomy.family),
        "class": (type(base.hf).__name__, type(other.hf).__name__),
        "blocks": (base.n_layers, other.n_layers),
        "width": (base.d_model, other.d_model),
        "dtype": tuple(str(model.dtype).removeprefix("torch.") for model in (base, other)),
    }
    if fields["family"][0] != fields["family"][1]:
        del fields["class"]
    wrong = [f"{name} {a} and {b}" for name, (a, b) in fields.items() if a != b]
    pair = f"{base.name} and {other.name}"
    if wrong:
        only_dtype = len(wrong) == 1 and wrong[0].startswith("dtype")
        raise MismatchedPair(
            f"{pair}: expected one architecture and dtype, found {', '.join(wrong)}; "
            + (
                "load both in one dtype (--dtype, dtype=), or move one with `.to(dtype)`"
                if only_dtype
                else "name two checkpoints of one architecture"
            )
        )
    _check_shapes(base, other, pair)
    for setting in differing_settings(base, other):
        if setting.acts is Acts.REFUSED:
            raise MismatchedPair(
                f"{pair}: expected one {setting.name}, found {setting.ours} and {setting.theirs}: "
                "blocks that use keys and values of other blocks cannot be exchanged; name two "
                "checkpoints that share this setting"
            )


def _check_shapes(base: HookedModel, other: HookedModel, pair: str) -> None:
    """Refuse blocks, or a final norm, of other tensors."""
    ours, theirs = dict(_shapes(base)), dict(_shapes(other))
    wrong = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if not wrong:
        return
    first = wrong[0]
    found = [
        "none" if shapes.get(first) is None else str(list(shapes[first]))
        for shapes in (ours, theirs)
    ]
    raise MismatchedPair(
        f"{pair}: expected blocks of the same tensors, found {len(wrong)} that differ: {first} is "
        f"{found[0]} and {found[1]}; name two checkpoints of one architecture and size, with live "
        "adapters merged and quantised weights loaded as plain ones"
    )


def _shapes(model: HookedModel) -> Iterator[tuple[str, tuple[int, ...]]]:
    layers = range(model.n_layers)
    components = [
        *(Component(ComponentKind.BLOCK, layer) for layer in layers),
        Component(ComponentKind.FINAL_NORM),
    ]
    for component in components:
        for path in paths_of(model, component):
            for name, tensor in model.hf.get_submodule(path).named_parameters():
                yield f"{path}.{name}", tuple(tensor.shape)


def settings_notes(base: HookedModel, other: HookedModel) -> tuple[str, ...]:
    """Sentences on the settings outside the weights in which two models differ.

    Args:
        base: one model.
        other: the model beside it.
    """
    by_place: dict[Acts, list[str]] = {}
    for setting in differing_settings(base, other):
        words = f"{setting.name} {_brief(setting.ours)} and {_brief(setting.theirs)}"
        by_place.setdefault(setting.acts, []).append(words)
    return tuple(
        f"Settings of {base.name} and {other.name} differ: {'; '.join(found)} (carried by "
        f"{acts.carried})."
        for acts, found in by_place.items()
    )


def _brief(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
