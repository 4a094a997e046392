"""Rows on files that somebody else may have made."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


def made_in(folder: Path) -> Path:
    """One checkpoint of every kind that we write."""
    from hyperinterp.checkpoints import (
        export_bundle,
        load_checkpoint,
        save_adapter,
        save_checkpoint,
    )
    from tests.hyperinterp.checkpoints.conftest import make_adapter, make_model, make_tokenizer

    made, tokenizer = folder / "made", make_tokenizer()
    save_checkpoint(make_model(), tokenizer, made / "whole", provenance={"seed": 0})
    base = load_checkpoint(made / "whole")
    facts = {"base_name": str(made / "whole"), "base_fingerprint": base.fingerprint}
    save_adapter(make_adapter(base.model), tokenizer, made / "adapter", provenance=facts)
    export_bundle(made / "whole", made / "whole.pt")
    export_bundle(made / "adapter", made / "adapter.pt")
    return made


def counted(rows: list[Figures]) -> Figures:
    """Of rows with an outcome each: how many, refused, in one line, and the longest."""
    return {
        "tried": len(rows),
        "refused": sum(row["refused"] for row in rows),
        "max_seconds": round(max(row["seconds"] for row in rows), 2),
        "max_cpu_seconds": round(max(row["cpu_seconds"] for row in rows), 2),
    }


def pickles(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.checkpoints import trust_rows

    places = [folder / name for name in ("front", "child", "control")]
    for place in places:
        place.mkdir()
    front = trust_rows.pickle_rows(places[0])
    child = trust_rows.pickle_rows_child_only(places[1], every=8 if fast else 1)
    fired = sum(row["fired"] for row in trust_rows.pickle_control(places[2]))
    figures = {
        **counted(front),
        "executed": sum(row["executed"] for row in front),
        "past_the_screen_tried": len(child),
        "past_the_screen_refused": sum(row["refused"] for row in child),
        "past_the_screen_executed": sum(row["executed"] for row in child),
        "fired_in_the_control": fired,
    }
    kept = len(front) >= 80 and all(row["refused"] and not row["executed"] for row in front + child)
    return kept and fired >= 80, figures


def disguised(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.checkpoints import trust_rows

    places = [folder / name for name in ("front", "child", "control")]
    for place in places:
        place.mkdir()
    front = trust_rows.disguised_rows(places[0], every=13 if fast else 1)
    child = trust_rows.disguised_rows_child_only(places[1], every=600 if fast else 40)
    control = trust_rows.disguised_control(places[2], every=13)
    fired = sum(row["fired"] for row in control)
    figures = {
        **counted(front),
        "executed": sum(row["executed"] for row in front),
        "past_the_screen_tried": len(child),
        "past_the_screen_refused": sum(row["refused"] for row in child),
        "past_the_screen_executed": sum(row["executed"] for row in child),
        "tried_in_the_control": len(control),
        "fired_in_the_control": fired,
    }
    kept = len(front) >= 80 and all(row["refused"] and not row["executed"] for row in front + child)
    return kept and fired >= 80, figures


def foreign_explosions(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.checkpoints import trust_rows

    rows = trust_rows.explosion_rows(folder, foreign=True)
    own = max(row["own_mib"] for row in rows)
    figures = {**counted(rows), "max_own_rss_mib": round(own)}
    figures["max_child_rss_mib"] = round(max(row["child_mib"] for row in rows))
    bounded = figures["max_cpu_seconds"] < 10 and figures["max_child_rss_mib"] < 1800
    return bounded and all(row["refused"] for row in rows), figures


def explosions(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.checkpoints import trust_rows

    (folder / "front").mkdir()
    (folder / "child").mkdir()
    front = trust_rows.explosion_rows(folder / "front")
    own = max(row["own_mib"] for row in front)
    figures = {**counted(front), "max_own_rss_mib": round(own)}
    kept, rows = all(row["refused"] for row in front), front
    if not fast:
        rows = child = trust_rows.explosion_rows(folder / "child", child_only=True)
        figures |= {
            "child_alone_refused": sum(row["refused"] for row in child),
            "child_alone_max_seconds": round(max(row["seconds"] for row in child), 2),
            "child_alone_max_cpu_seconds": round(max(row["cpu_seconds"] for row in child), 2),
        }
        accepted = {row["name"] for row in child if not row["refused"]}
        kept = kept and accepted <= {"overlapping members"}  # harmless: every byte is its own
    figures["max_child_rss_mib"] = round(max(row["child_mib"] for row in rows))
    figures["within_10_s_of_wall_time"] = figures["max_seconds"] < 10
    figures["load_of_the_machine"] = round(os.getloadavg()[0], 1)
    bounded = figures["max_cpu_seconds"] < 10 and figures["max_child_rss_mib"] < 1800
    return kept and bounded, figures


def damage(how: str) -> Callable[[Path, bool], tuple[bool, Figures]]:
    def measure(folder: Path, fast: bool) -> tuple[bool, Figures]:
        from tests.hyperinterp.checkpoints import trust_rows

        count = 50 if fast else 500
        rows = trust_rows.damage_rows(made_in(folder), folder, how, count, seed=1)
        if how == "truncate":
            rows |= trust_rows.foreign_truncation_rows(folder / "made", folder, count, seed=2)
        figures: Figures = {"per_format": count}
        figures |= {name: f"{row['refused']} of {row['tried']}" for name, row in rows.items()}
        figures["detected"] = sum(row["refused"] for row in rows.values())
        figures["tried"] = sum(row["tried"] for row in rows.values())
        return figures["detected"] == figures["tried"] > 0, figures

    return measure


def remote_code(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.checkpoints import config_rows

    made = made_in(folder)
    rows = config_rows.config_rows(made, folder)
    totals = {
        name: sum(row[name] for row in rows)
        for name in ("reached", "imports", "sockets", "executed")
    }
    ran = config_rows.config_control(made, folder)
    kept = sum(row["kept"] for row in rows)
    figures = {**counted(rows), "kept": kept, **totals, "ran_in_the_control": ran}
    return kept == len(rows) and not any(totals.values()) and ran, figures


def adapters(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.checkpoints import config_rows

    rows = config_rows.adapter_rows(made_in(folder), folder)
    hangs = config_rows.adapter_control()
    reached = sum(row["reached"] for row in rows)
    kept = sum(row["kept"] for row in rows)
    figures = {
        **counted(rows), "kept": kept, "reached_peft": reached, "peft_hangs_in_the_control": hangs
    }  # fmt: skip
    return kept == len(rows) and reached == 0 and hangs, figures


def paths(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.checkpoints import config_rows

    rows = config_rows.path_rows(made_in(folder), folder)
    figures = {**counted(rows), "written_outside": len(rows[0]["escaped"])}
    return figures["refused"] == len(rows) and not rows[0]["escaped"], figures
