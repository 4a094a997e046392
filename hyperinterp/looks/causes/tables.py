"""Tables of the look at finer causes."""

from hyperinterp.drawing.table import Table, table
from hyperinterp.looks.causes.result import CausesResult


def tables(result: CausesResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (_components(result), _blocks(result), _heads(result), _shifts(result))


def _components(result: CausesResult) -> Table:
    return table(
        "components", "Direct logit attribution of the change",
        (
            {
                "component": item.component, "layer": item.layer, "kind": item.kind,
                "change": item.change, "share": item.share,
            }
            for item in result.components
        ),
        {"component": "component", "change": "change of the logit difference", "share": "share"},
        note="The logit of the fitted model's choice minus that of the base's, fitted minus base, "
        "with each final norm's scale frozen and before any cap; the parts add up to "
        f"{0.0 if result.whole is None else result.whole:.3g} logits.",
        open_rows=10,
        missing=result.why.get("components", ""),
    )  # fmt: skip


def _blocks(result: CausesResult) -> Table:
    return table(
        "blocks", "Smallest sufficient set of blocks",
        (
            {"step": number + 1, "block": layer, "share": share}
            for number, (layer, share) in enumerate(
                zip(result.blocks, result.shares, strict=True)
            )
        ),
        {"step": "step", "block": "block added", "share": "share of KL recovered"},
        note=f"Greedy search until {result.enough:g} is recovered; {result.searched} stitched "
        "models were run. A greedy set need not be the smallest.",
        missing=result.why.get("blocks", ""),
    )  # fmt: skip


def _heads(result: CausesResult) -> Table:
    return table(
        "heads", "Heads and MLPs of the last blocks",
        (
            {
                "component": item.component, "layer": item.layer,
                "attributed": item.attributed, "patched": item.patched,
            }
            for item in result.heads
        ),
        {
            "component": "component", "attributed": "attribution patching",
            "patched": "activation patching",
        },
        note="Share of the change of the logit difference that the fitted model's output recovers "
        "in the base: first-order estimate, and measured for the largest.",
        open_rows=10,
        missing=result.why.get("heads", ""),
    )  # fmt: skip


def _shifts(result: CausesResult) -> Table:
    return table(
        "shifts", "A static shift of the stream",
        (
            {
                "layer": item.layer, "norm": item.norm, "recovered_kl": item.recovered_kl,
                "made": item.made,
            }
            for item in result.shifts
        ),
        {
            "layer": "block", "norm": "length, relative to the stream",
            "recovered_kl": "KL recovered", "made": "overrides made",
        },
        note="The mean difference of the two models' streams over other passages, added to the "
        "base's after one block.",
    )  # fmt: skip
