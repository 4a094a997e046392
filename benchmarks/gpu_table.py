"""The results of `benchmarks.gpu` as one page of Markdown."""

from typing import Any

from benchmarks.pages import table

GIB = 2.0**30


def markdown(parts: dict[str, Any]) -> str:
    """What is known of every part; nothing is left out because another part failed."""
    lines = ["# On one card", ""]
    for name, found in parts.items():
        lines += [f"## {name}: {found.get('words', '')}", ""]
        took = f" after {found['wall_seconds']:.0f} s" if "wall_seconds" in found else ""
        card = found.get("card", {}).get("name", "no device yet")
        small = ", reduced sizes" if found.get("small") else ""
        lines += [f"{found.get('ended', 'unknown')}{took}; {card}{small}.", ""]
        body = SECTIONS[name](found)
        lines += [body, ""] if body else []
    return "\n".join(lines)


def _number(value: Any, form: str = ".3g") -> str:
    return format(value, form) if isinstance(value, int | float) else "-"


def _agreement(found: dict[str, Any]) -> str:
    rows = [
        [claim, item["cpu"][0], item["card"][0], _number(item["cpu"][1]), _number(item["card"][1]),
         f"{item['within_1e-4']} of {item['figures']}",
         _number(item["largest_relative_difference"], ".1e")]
        for claim, item in found.get("claims", {}).items()
    ]  # fmt: skip
    head = ["claim", "CPU", "card", "effect, CPU", "effect, card", "figures within 1e-4",
            "largest relative difference"]  # fmt: skip
    return table(head, rows) if rows else ""


def _decoding(found: dict[str, Any]) -> str:
    rows = []
    for dtype, sizes in found.get("decoding", {}).items():
        for count, item in sizes.items():
            for arm in ("hyperinterp", "transformers"):
                one = item.get(arm, {})
                rows.append(
                    [dtype, count, arm, _number(one.get("tokens_per_second"), ".0f"),
                     _number(1000 * one["step_seconds"], ".2f") if one else "-",
                     _number(one.get("step_over_its_memory_traffic")),
                     ", ".join(f"{n:.0f} {k}" for k, n in one.get("per_step", {}).items()) or "-"]
                )  # fmt: skip
    if not rows:
        return ""
    copied = found.get("copy_bytes_per_second", 0) / 1e9
    head = ["dtype", "rows", "by", "tokens/s", "ms per step", "over its memory traffic",
            "run per step"]  # fmt: skip
    return table(head, rows) + f"\n\nA large copy moves {copied:.0f} GB/s, read and written."


def _paper(found: dict[str, Any]) -> str:
    rows = [
        [method, _number(one["epochs"], "d"), _number(one["loss"]), one["stop"],
         _number(one["tokens_per_second"], ".0f"), _number(one["seconds_per_whole_epoch"])]
        for method in ("late-stage", "full")
        if (one := found.get(method))
    ]  # fmt: skip
    text = table(["method", "epochs", "loss", "ended by", "tokens/s", "s per epoch"], rows)
    told = found.get("passages", {})
    if told:
        text += f"\n\n{told['count']} passages, {told['made']}."
    for method in ("full", "late-stage"):
        if one := found.get(f"compare_{method}"):
            said = ", ".join(f"{claim} {verdict}" for claim, verdict in one["verdicts"].items())
            text += f"\n\nCompared with the {method} twin in {one['seconds']:.0f} s: {said}."
    return text


def _eight(found: dict[str, Any]) -> str:
    rows = []
    if making := found.get("making"):
        rows.append(["-", "making the pair", "finished", *_cost(making)])
    for claim, item in found.get("claims", {}).items():
        ended = item["ended"] + (f" in: {item['phase']}" if "phase" in item else "")
        phases = item.get("phases", {})
        rows += [[claim, phase, ended, *_cost(cost)] for phase, cost in phases.items()] or [
            [claim, "-", ended, "-", "-"]
        ]
    return table(["claim", "phase", "the claim ended", "s", "peak GiB"], rows) if rows else ""


def _cost(item: dict[str, Any]) -> list[str]:
    peak = item["peak_bytes"]
    return [f"{item['seconds']:.1f}", "-" if peak is None else f"{peak / GIB:.1f}"]


def _ratios(found: dict[str, Any]) -> str:
    rows = []
    if one := found.get("capture"):
        limit = one["ratio_of_operations_symmetric"]
        rows.append(["moments of every block, over the bare forward", one["ratio"], limit])
    if one := found.get("patching"):
        rows.append(["full forwards over replay", one["ratio"], one["ratio_of_operations"]])
    if one := found.get("training"):
        limit = one["operations_per_token"]["ratio"]
        rows.append(["HF Trainer over late-stage training", one["ratio_of_medians"], limit])
    shown = [[words, f"{ratio:.2f}", f"{limit:.2f}"] for words, ratio, limit in rows]
    return table(["", "measured", "by the count of operations"], shown) if shown else ""


def _real_pairs(found: dict[str, Any]) -> str:
    from benchmarks.claims import readme_table  # it loads torch

    runs = {name: [run] for name, run in found.get("runs", {}).items() if "claims" in run}
    return readme_table(runs) if runs else ""


SECTIONS = {
    "a": _agreement, "c": _decoding, "e": _paper, "f": _real_pairs, "b": _eight, "d": _ratios,
}  # fmt: skip
