"""Made-up measurements without a verdict, some of whose parts are missing."""

from typing import Any

from hyperinterp.looks.causes.result import CausesResult, ComponentShift, StaticShift
from hyperinterp.looks.loops.result import Length, LoopsResult, Turn
from hyperinterp.looks.weights.result import MatrixChange, PathPoint, WeightsResult


def weights(make: Any, hostile: str) -> WeightsResult:
    """Points on both ways, and three matrices of the last block."""

    def point(path: str, value: float, share: float) -> PathPoint:
        return PathPoint(
            path, value, make.measured(0.6 * share), make.measured(0.4 + 0.6 * share),
            18.0 + 120 * share, 120 * share, make.measured(0.2 + 0.3 * share),
            make.measured(0.4 + 2.0 * share), hostile + "".join(make.text(12, share < 0.5)),
        )  # fmt: skip

    steps = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
    return WeightsResult(
        tuple(
            MatrixChange(
                f"model.layers.29.{name}.weight", 29, 576, columns, 0.31, 9.2, 32,
                tuple(1.0 / (n + 1) for n in range(32)), (0.2, 0.55, 0.9), 3, 0.31,
            )
            for name, columns in (
                ("self_attn.q_proj", 576), ("mlp.gate_proj", 1536), ("mlp.down_proj", 1536)
            )
        ),
        207,
        ("model.norm.weight",),
        (
            *(point("alpha", x, x) for x in steps),
            *(point("rank", x, x / 20) for x in (1.0, 4.0, 16.0)),
        ),
        288,
    )  # fmt: skip


def causes(make: Any, hostile: str) -> CausesResult:
    """Components and shifts; the heads cannot be told apart."""
    return CausesResult(
        288, 170,
        tuple(
            StaticShift(n, 0.03 * n, make.measured(0.01 * n), make.measured(0.004 * n))
            for n in range(30)
        ),
        tuple(
            ComponentShift(f"{kind} {n}", n, kind, make.measured(0.1 * n - 1), 0.02 * n)
            for n in range(25, 30)
            for kind in ("attention", "MLP")
        ),
        3.1, (), (29, 28), (0.31, 0.56), 0.5, 9, {"heads": f"heads are packed {hostile}"},
    )  # fmt: skip


def loops(make: Any, hostile: str) -> LoopsResult:
    """Copies and lengths; no text of either model ends in a loop."""
    return LoopsResult(
        16,
        tuple(
            Turn(n, make.pair(0.1 + 0.1 * n, 0.08 + 0.09 * n), make.pair(0.2 + 0.1 * n, 0.1 * n))
            for n in (0, 1, 2, 3, 4, 6, 8)
        ),
        96,
        make.pair(0.0, 0.0),
        (),
        tuple(
            Length(n, make.pair(1.0 / n**0.3, 1.0 / n**0.2))
            for n in (2, 3, 5, 8, 13, 22, 38, 64, 108, 181, 304, 512)
        ),
        12,
        {"ways": f"no greedy text ends in a loop {hostile}"},
    )
