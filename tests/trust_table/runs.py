"""Rows on what happens while a model is trained, measured or written."""

from pathlib import Path

from tests.trust_table.files import Figures, made_in


def kills(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.checkpoints.writing_rows import kill_rows
    from tests.hyperinterp.training import trust_rows

    wanted, in_saves = (4, 2) if fast else (20, 6)
    (folder / "writes").mkdir()
    replaced = kill_rows(folder / "writes", 20 if fast else 200)
    figures = trust_rows.kill_row(folder, kills=wanted, in_saves=in_saves, seed=2)
    figures |= {"kills_of_a_writer": len(replaced), "directories_that_verified": len(replaced)}
    same = figures["same_sha256_as_undisturbed"] == figures["finished_runs"] > 0
    return same and figures["kills_in_a_save"] >= in_saves, figures


def full_disks(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.checkpoints.writing_rows import full_disk_row, read_only_row
    from tests.hyperinterp.training import trust_rows

    made = made_in(folder)
    for name in ("full", "training", "locked"):
        (folder / name).mkdir()
    for place in (folder, folder / "locked"):
        place.chmod(0o755)
    full = full_disk_row(made, folder / "full")
    training = trust_rows.full_disk_row(folder / "training")
    locked = read_only_row(made, folder / "locked")
    writes = [full[name] for name in ("directory", "bundle", "file")] + [training["said"]]
    denied = [found for found in locked.values() if isinstance(found, list) and len(found) == 2]
    denied = [found for found in denied if isinstance(found[1], int)]
    figures = {
        "writes_to_a_full_disk": len(writes),
        "exit_3": sum(found == ["OutOfResources", 3] for found in writes),
        "writes_to_a_read_only_directory": 4,
        "exit_2": sum(found == ["InputRefused", 2] for found in denied),
        "old_ones_that_still_load": sum(
            [full["old directory"], full["old bundle"], locked["old directory"], locked["old file"]]
        ),
        "left_behind": len({*full["left"]} - {"out", "x.pt"})
        + len({*locked["left"]} - {"out", "x.json"}),
        "resumed_bit_identical": training["same_after_resuming"],
    }
    kept = (figures["exit_3"], figures["exit_2"], figures["old_ones_that_still_load"]) == (4, 4, 4)
    return kept and not figures["left_behind"] and training["same_after_resuming"], figures


def numbers(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp import trust_rows as sites
    from tests.hyperinterp.training import trust_rows

    steps = trust_rows.nan_rows(folder, trials=4 if fast else 24, seed=7)
    places = sites.nan_site_rows(trials=4 if fast else 24, seed=7)
    named = [row["names_the_step"] and row["names_the_place"] for row in steps]
    named += [row["names_the_site"] and row["names_the_model"] for row in places]
    rows = steps + places
    figures = {
        "in_a_step": len(steps),
        "in_an_activation": len(places),
        "stopped": sum(row["stopped"] for row in rows),
        "named": sum(named),
        "saved_as_good": sum(row["saved"] for row in steps),
    }
    kept = figures["stopped"] == figures["named"] == len(rows)
    return kept and not figures["saved_as_good"], figures


def seeds(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp import trust_rows as reports
    from tests.hyperinterp.training import trust_rows

    rows, report = trust_rows.seed_rows(folder), reports.same_report_row()
    figures = {
        "methods": len(rows),
        "same_sha256": sum(row["same"] for row in rows),
        "another_seed_differs": sum(row["other_seed_differs"] for row in rows),
        "report_figures": report["figures"],
        "report_same": report["same"],
    }
    return figures["same_sha256"] == len(rows) and report["same"], figures


TOLERANCE = {"float32": 1e-5, "bfloat16": 0.05}


def batches(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp import trust_rows

    rows = trust_rows.tiny_agreement_rows()
    if not fast:
        rows.append({"model": "smollm2", "dtype": "float32", **real_agreement("float32")})
        rows.append({"model": "smollm2", "dtype": "bfloat16", **real_agreement("bfloat16")})
    figures: Figures = {"batch_sizes": list(trust_rows.BATCHES), "prompts": trust_rows.ROWS}
    figures["tolerance"] = TOLERANCE
    kept = True
    for dtype, tolerance in TOLERANCE.items():
        tiny = [row for row in rows if row["dtype"] == dtype]
        for name in ("participation_ratio_relative", "mean_kl_relative"):
            worst = max(row[name] for row in tiny)
            figures[f"{dtype}_{name}"] = float(f"{worst:.2g}")
            kept = kept and worst <= tolerance
        figures[f"{dtype}_ranks_that_differ"] = sum(row["ranks_that_differ"] for row in tiny)
        figures[f"{dtype}_contexts"] = sum(row["contexts"] for row in tiny)
    return kept, {**figures, "by_model": rows}


def real_agreement(dtype: str) -> Figures:
    """The same on smollm2 and a twin whose last block was disturbed."""
    import torch

    from hyperinterp.models import load
    from hyperinterp.text import builtin_passages, tokenise
    from tests.hyperinterp import trust_rows

    base = load("smollm2", dtype=dtype, device="cpu")
    fitted = load("smollm2", dtype=dtype, device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in fitted.blocks[-1].parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            parameter.add_(0.3 * parameter.std() * noise)
    passages = builtin_passages("heldout").head(trust_rows.ROWS)
    return trust_rows.agreement_row(base, fitted, tokenise(base.tokenizer, passages, 16))


def processes(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.process_rows import processes_row

    found = processes_row(folder, (1, 2) if fast else (1, 2, 3))
    found = {name: float(f"{v:.2g}") if isinstance(v, float) else v for name, v in found.items()}
    kept = all(found[name] for name in ("every_n_equal", "same_verdicts"))
    kept = kept and found["processes_hold_the_same_figures"]
    return kept and found["moments_relative"] < 1e-10, found
