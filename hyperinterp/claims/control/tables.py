"""Tables of C9: base against control, and the gap to the fitted model."""

from hyperinterp.claims.control.result import ControlResult
from hyperinterp.drawing.names import measure_name
from hyperinterp.drawing.table import Table, pairs, values


def tables(result: ControlResult) -> tuple[Table, ...]:
    """Return the tables, the main one first; `control` is what `Pair` calls fitted."""
    scores = {f"{key}|{measure_name(key)}": pair for key, pair in result.scores.items()}
    gap = {"type-token ratio, fitted minus control": result.gain_gap}
    return (
        pairs("scores", f"The control: {result.name}", scores, "control"),
        values("gap", "Fitted against control", gap),
    )
