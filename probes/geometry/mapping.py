"""The moments of rows after a linear map."""

from probes._foreign import Array, real, widen

from .moments import Moments


def mapped(moments: Moments, matrix: Array) -> Moments:
    """Return the moments of the rows times a matrix, without a second look at the rows.

    Args:
        moments: of rows of width d.
        matrix: [d k].

    Raises:
        ValueError: for a matrix with another number of rows, NaN or infinity.
    """
    factor = widen(real(matrix, "matrix", ndim=2, axes="[d k]"), "matrix")
    if len(factor) != moments.d:
        raise ValueError(f"matrix: expected {moments.d} rows, found {len(factor)}")
    state = moments.state()
    factor = factor.to(state["sum"].device)
    state |= {name: state[name] @ factor for name in ("shift", "sum")}
    state["second"] = factor.mT @ state["second"] @ factor
    return Moments.from_state(state)
