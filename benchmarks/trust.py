"""Every row of the trust table, measured: what was tried, refused, executed, detected, lost.

Each row runs in a forked process of its own, with the functions that the tests use. Writes
benchmarks/results/trust.json and the table in docs/trust.md, and prints the table. `--fast` makes
smaller counts, says so in its file, and leaves the page alone.

Usage: OMP_NUM_THREADS=1 python -m benchmarks.trust [--fast] [--only ROW,ROW] [--out FILE] [--page]
"""

import argparse
import importlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.trust_table import ROWS

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("hyperinterp.comparison", "hyperinterp.training", "hyperinterp.checkpoints")
RESULTS = ROOT / "benchmarks" / "results" / "trust.json"
PAGE = ROOT / "docs" / "trust.md"
BEGIN, END = "<!-- figures: benchmarks/trust.py -->", "<!-- end of figures -->"

Figures = dict[str, Any]


def run_row(name: str, fast: bool) -> Figures:
    """Measure one row in a forked process, so that none disturbs another and imports cost once."""
    row, start = ROWS[name], time.perf_counter()
    base = {"row": name, "fault": row.fault, "promise": row.promise}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "row.json"
        child = os.fork()
        if child == 0:
            try:
                place = Path(folder) / "work"
                place.mkdir()
                kept, figures = row.measure(place, fast)
                path.write_text(json.dumps({"kept": kept, "figures": figures}))
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"[:300]
                path.write_text(json.dumps({"kept": False, "figures": {"failed": said}}))
                traceback.print_exc()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        if path.is_file():
            found = json.loads(path.read_text())
        else:
            found = {"kept": False, "figures": {"failed": "its process ended without figures"}}
    return {**base, **found, "seconds": round(time.perf_counter() - start, 1)}


def machine() -> Figures:
    """The machine and the versions of what was run."""
    from importlib.metadata import version

    names = ("hyperinterp", "torch", "transformers", "peft", "safetensors", "numpy")
    return {
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "load_at_start": round(os.getloadavg()[0], 1),
        },
        "versions": {"python": platform.python_version(), **{n: version(n) for n in names}},
    }


def shown(figures: Figures) -> str:
    """Figures of one row in words, without the tables inside."""
    parts = []
    for name, value in figures.items():
        if isinstance(value, dict | list):
            continue
        text = {True: "yes", False: "no"}.get(value) if isinstance(value, bool) else f"{value}"
        parts.append(f"{name.replace('_', ' ')} {text}")
    return "; ".join(parts)


def table(document: Figures) -> str:
    """The Markdown block of docs/trust.md."""
    versions, place = document["versions"], document["machine"]
    lines = [
        f"Measured {document['created'][:10]} on {place['cores']} cores ({place['system']}), "
        f"Python {versions['python']}, torch {versions['torch']}, transformers "
        f"{versions['transformers']}, peft {versions['peft']}; "
        f"{document['seconds'] / 60:.0f} minutes.",
        "",
        "| fault | promise | kept | figures | seconds |",
        "|---|---|---|---|---|",
    ]
    words = {True: "yes", False: "**no**", None: "not measured"}
    measured = {row["row"]: row for row in document["rows"]}
    for name, row in ROWS.items():
        found = measured.get(name, {"kept": None, "figures": {"reason": "not run"}, "seconds": 0})
        cells = (row.fault, row.promise, words[found["kept"]], shown(found["figures"]))
        lines.append(f"| {' | '.join(cells)} | {found['seconds']:.0f} |")
    return "\n".join(lines)


def rewrite_page(document: Figures, page: Path = PAGE) -> None:
    """Put the table between the marks of the page."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{table(document)}\n{END}{after}", encoding="utf-8")


def save(document: Figures, rows: dict[str, Figures], out: Path) -> None:
    """Write the rows measured so far, in the order of the table."""
    document["rows"] = [rows[name] for name in ROWS if name in rows]
    document["seconds"] = round(sum(row["seconds"] for row in document["rows"]), 1)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options; the names of the rows in `wanted`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="smaller counts; needs another --out")
    parser.add_argument("--only", default="", help="rows by name, separated by commas")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true", help="only rewrite docs/trust.md")
    given = parser.parse_args(arguments)
    given.wanted = [name.strip() for name in given.only.split(",") if name.strip()] or list(ROWS)
    unknown = set(given.wanted) - set(ROWS)
    if unknown:
        known, found = ", ".join(ROWS), ", ".join(sorted(unknown))
        parser.error(f"rows: expected some of {known}; found {found}")
    given.official = given.out.resolve() == RESULTS.resolve()
    if given.official and given.fast:
        parser.error("--fast: expected another --out, the committed file holds full counts")
    return given


def main() -> int:
    """Parse, run the rows one by one, write and show."""
    given = parsed()
    # A shell starts background jobs with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if given.page:
        rewrite_page(json.loads(RESULTS.read_text()))
        return 0
    for name in HEAVY:
        importlib.import_module(name)
    start = time.perf_counter()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    document: Figures = {"created": created, "fast": given.fast, **machine()}
    rows: dict[str, Figures] = {}
    if given.out.exists() and set(given.wanted) != set(ROWS):  # the others stay as measured
        rows = {row["row"]: row for row in json.loads(given.out.read_text())["rows"]}
    for name in given.wanted:
        rows[name] = run_row(name, given.fast)
        print(f"{name}: {rows[name]['kept']}: {shown(rows[name]['figures'])}", flush=True)
        save(document, rows, given.out)  # after each row: what was measured is kept
    if given.official:
        rewrite_page(document)
    print(f"{given.out}: {time.perf_counter() - start:.0f} s")
    return int(any(row["kept"] is False for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
