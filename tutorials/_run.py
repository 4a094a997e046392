"""Run the tutorials as their readers would, and check that each `.py` and `.ipynb` say the same.

    python tutorials/_run.py                 check the pairs, run every notebook, keep nothing
    python tutorials/_run.py --pair          write the cells of every .py into its .ipynb
    python tutorials/_run.py --keep 01 04    run these and keep their outputs in the .ipynb

Every notebook is executed as a copy in an empty folder, with the modules of a wheel that is built
first; its exercises' solutions are executed, too. Any cell that fails stops the run with its
traceback and exit code 1.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
LARGEST = 2_000_000
SOLUTION = re.compile(r"<summary>Solution</summary>\s*```python\n(.*?)```", re.DOTALL)


def sources() -> list[Path]:
    """The reviewed sources, in order."""
    return sorted(HERE.glob("[0-9]*.py"))


def cells_of(notebook: Any) -> list[tuple[str, str]]:
    """What a notebook says, without its outputs."""
    return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]


def solutions(notebook: Any) -> list[str]:
    """The code of every exercise's solution."""
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return [code for text in prose for code in SOLUTION.findall(text)]


def faults(source: Path) -> list[str]:
    """What is wrong with the notebook beside a source: missing, other cells, too large."""
    paired = source.with_suffix(".ipynb")
    if not paired.is_file():
        return [f"{paired.name}: expected beside {source.name}, found nothing"]
    found = []
    if cells_of(nbformat.read(paired, 4)) != cells_of(jupytext.read(source)):
        found.append(f"{paired.name}: expected the cells of {source.name}, found others (--pair)")
    if paired.stat().st_size > LARGEST:
        found.append(f"{paired.name}: expected at most {LARGEST} bytes, found more")
    return found


def pair(source: Path) -> None:
    """Write the cells of a source into its notebook; cells that did not change keep outputs."""
    made, path = jupytext.read(source), source.with_suffix(".ipynb")
    kept: dict[str, Any] = {}
    if path.is_file():
        kept = {cell.source.strip(): cell for cell in nbformat.read(path, 4).cells}
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"
        old = kept.get(cell.source.strip())
        if cell.cell_type == "code" and old is not None and old.cell_type == "code":
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
    nbformat.write(made, path)


def installed(folder: Path) -> Path:
    """A directory with the modules of a wheel of this checkout, and nothing else."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(HERE.parent)],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    there = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(there)
    return there


def run(source: Path, empty: Path, *, keep: bool) -> float:
    """Execute a copy of a notebook in an empty folder; returns the seconds it took.

    Raises:
        CellExecutionError: a cell failed.
    """
    if keep:
        pair(source)
    notebook = nbformat.read(source.with_suffix(".ipynb"), 4)
    written = len(notebook.cells)
    if not keep:
        notebook.cells += [nbformat.v4.new_code_cell(code) for code in solutions(notebook)]
    start = time.perf_counter()
    where = {"metadata": {"path": str(empty)}}
    NotebookClient(
        notebook, kernel_name="python3", timeout=3600, startup_timeout=300, resources=where
    ).execute()
    if keep:
        for cell in notebook.cells[:written]:
            cell.metadata.pop("execution", None)
        notebook.metadata.pop("language_info", None)
        nbformat.write(notebook, source.with_suffix(".ipynb"))
    return time.perf_counter() - start


def main(arguments: list[str]) -> int:
    """Parse, check, run; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", action="store_true", help="write cells into the notebooks")
    parser.add_argument("--keep", action="store_true", help="keep the outputs")
    parser.add_argument("--work", type=Path, help="where the twin is kept; by default nowhere")
    parser.add_argument("numbers", nargs="*", help="tutorials to run, e.g. 01 04; all by default")
    given = parser.parse_args(arguments)
    chosen = [item for item in sources() if item.name[:2] in given.numbers or not given.numbers]
    if given.pair:
        for source in chosen:
            pair(source)
        return 0
    wrong = [] if given.keep else [line for source in chosen for line in faults(source)]
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong or not chosen:
        return 1
    with tempfile.TemporaryDirectory() as name:
        return _run_all(chosen, Path(name), given.keep, given.work)


def _run_all(chosen: list[Path], folder: Path, keep: bool, work: Path | None) -> int:
    """Run notebooks one after the other, each in a folder of its own; returns the exit code."""
    os.environ["HYPERINTERP_STATIC"] = "png" if keep else "1"
    os.environ["PYTHONPATH"] = str(installed(folder))
    kept = folder / "hyperinterp-tutorials"
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        kept.symlink_to(work.resolve())
    os.environ["HYPERINTERP_TUTORIALS"] = f"../{kept.name}"  # a short path: outputs show it
    for source in chosen:
        empty = folder / source.stem
        empty.mkdir()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            seconds = run(source, empty, keep=keep)
        except CellExecutionError as error:
            print(f"{source.name}: {error}", file=sys.stderr)
            return 1
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{source.name}: {seconds:.0f} s ({busy:.0f} s of processor time)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
