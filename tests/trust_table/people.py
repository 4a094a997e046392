"""Rows on texts, pages, pairs, interruptions and the network."""

from pathlib import Path

from tests.trust_table.files import Figures, made_in


def pages(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp.report import factory, watching

    with watching.browser() as browser:
        row = watching.page_row(browser, factory.complete(), factory.HOSTILE, folder / "r.html")
        control = watching.page_control(browser, factory.HOSTILE, folder / "c.html")
        version = browser.version
    row["policy"] = row["policy"].split(";")[0]
    figures = {**row, "executions_in_the_control": control["executions"], "chromium": version}
    nothing = not any(row[n] for n in ("executions", "links_out", "requests", "console_lines"))
    whole = row["strings"] == row["shown_as_text"] and row["labels"] == row["labels_round_tripped"]
    return nothing and whole and control["executions"] == 1, figures


def pairs(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from hyperinterp.checkpoints import load_checkpoint, save_checkpoint
    from tests.hyperinterp import trust_rows
    from tests.hyperinterp.checkpoints.conftest import make_model
    from tests.hyperinterp.checkpoints.hostile_configs import change_adapter

    rows, made = trust_rows.mismatch_rows(), made_in(folder)
    tokenizer = load_checkpoint(made / "whole").tokenizer
    change_adapter(made / "adapter", folder / "foreign")
    for name, model in {"other": make_model(7), "wide": make_model(7, hidden=64)}.items():
        save_checkpoint(model, tokenizer, folder / name, provenance={})
    for name, adapter, base, word in (
        ("adapter, other weights", made / "adapter", "other", "fingerprint"),
        ("adapter, other shape", folder / "foreign", "wide", "has shape"),
    ):
        found = trust_rows.refusal(
            lambda adapter=adapter, base=base: load_checkpoint(adapter, base=folder / base), word
        )
        rows.append({"name": name, **found})
    figures = {
        "kinds": len(rows),
        "refused": sum(row["refused"] for row in rows),
        "says_which": sum(row["says_which"] for row in rows),
    }
    return figures["refused"] == figures["says_which"] == len(rows), figures


def texts(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests.hyperinterp import trust_rows

    rows, rules = trust_rows.text_rows(folder), trust_rows.stated_rules_row(folder)
    figures = {
        "kinds": len(rows),
        "refused": sum(row["refused"] and row["says_which"] for row in rows),
        **rules,
    }
    return figures["refused"] == len(rows) and all(rules.values()), figures


def interrupts(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests import cli_rows

    rows = cli_rows.interrupt_rows(folder, random_trials=3 if fast else 30, seed=11)
    hit = [row for row in rows if row["code"] == 130]
    figures = {
        "tried": len(rows),
        "finished_first": sum(row["code"] == 0 for row in rows),
        "exit_130": len(hit),
        "said_so": sum(row["said"] for row in hit),
        "half_written": sum(bool(row["half_written"]) for row in rows),
    }
    kept = figures["exit_130"] + figures["finished_first"] == len(rows)
    kept = kept and len(hit) >= len(rows) // 4  # a signal that nobody gets proves nothing
    return kept and figures["said_so"] == len(hit) and not figures["half_written"], figures


def sockets(folder: Path, fast: bool) -> tuple[bool, Figures]:
    from tests import cli_rows

    *rows, control = cli_rows.offline_rows(folder)
    figures = {
        "commands": len(rows),
        "as_expected": sum(row["code"] == row["expected"] for row in rows),
        "sockets": sum(row["sockets"] for row in rows),
        "sockets_in_the_control": control["sockets"],
    }
    kept = figures["as_expected"] == len(rows) and not figures["sockets"]
    return kept and control["sockets"] > 0 and control["code"] == 2, figures
