"""Every matrix that differs between two models: size, rank, spectrum and intruder directions."""

import re
from collections.abc import Callable, Iterator

from torch import Tensor

from hyperinterp.errors import InputRefused
from hyperinterp.looks.weights.result import MatrixChange
from hyperinterp.models import HookedModel, same_tensor, weights_of
from probes import intruder_directions, weight_change

KEPT = 64
"""Singular values of a change that a report holds."""
TOP = 10
"""Leading directions of the new matrix that are looked for in the old one."""
SHARES = (1, 4, 16)
"""Numbers of directions whose share of the squared change is told."""

_BLOCK = re.compile(r"\.(\d+)\.")


def differing_weights(
    base: HookedModel, fitted: HookedModel
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield name, old and new numbers of every parameter that differs.

    Args:
        base: the model before.
        fitted: the model after.

    Raises:
        InputRefused: the two have parameters of other names or shapes, or packed numbers.
    """
    ours, theirs = weights_of(base.hf), weights_of(fitted.hf)
    names = [name for name, _ in base.hf.named_parameters(remove_duplicate=False)]
    wrong = next((n for n in names if n not in theirs or theirs[n].shape != ours[n].shape), None)
    if wrong is not None:
        raise InputRefused(
            f"weights: expected the same parameters in both models, found {wrong} in the base "
            "alone; load an adapter by name, so that it is merged"
        )
    for name in names:
        old, new = ours[name], theirs[name]
        if same_tensor(old, new):
            continue
        if not old.is_floating_point() or old.itemsize == 1:
            raise InputRefused(
                f"weights: expected floating-point numbers, found {old.dtype} at {name}; load the "
                "models unpacked"
            )
        yield name, old, new.to(old.device)


def changed_matrices(
    base: HookedModel, fitted: HookedModel, tick: Callable[[int], None] | None = None
) -> tuple[tuple[MatrixChange, ...], tuple[str, ...]]:
    """Return every matrix that differs, and the names of other parameters that do.

    A matrix that stands in two places, as a tied unembedding, is told once.

    Args:
        base: the model before.
        fitted: the model after.
        tick: called with 1 after each matrix.

    Raises:
        InputRefused: as `differing_weights`.
    """
    found: list[MatrixChange] = []
    others: list[str] = []
    told: set[tuple[int, int]] = set()
    for name, old, new in differing_weights(base, fitted):
        place = (old.data_ptr(), new.data_ptr())
        if place in told:
            continue
        told.add(place)
        if old.ndim == 2:
            found.append(_changed(name, old, new))
        else:
            others.append(name)
        if tick is not None:
            tick(1)
    return tuple(found), tuple(others)


def _changed(name: str, old: Tensor, new: Tensor) -> MatrixChange:
    change = weight_change(old, new)
    intruders = intruder_directions(old, new, top=TOP)
    squares = change.spectrum.square()

    def share(number: int) -> float:
        return float(squares[: SHARES[number]].sum() / squares.sum())

    block = _BLOCK.search(name)
    return MatrixChange(
        name=name,
        layer=int(block.group(1)) if block else None,
        rows=old.shape[0],
        columns=old.shape[1],
        relative=change.relative,
        stable_rank=change.stable_rank,
        rank=change.rank,
        spectrum=tuple(change.spectrum[:KEPT].tolist()),
        held=(share(0), share(1), share(2)),
        intruders=len(intruders.intruders),
        similarity=float(intruders.similarity.min()),
    )
