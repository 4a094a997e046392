"""The wheel, installed in another folder, does the job there."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHECK = """
import sys, hyperinterp, probes
from hyperinterp.text import builtin_passages
from hyperinterp.cli.main import main
print(hyperinterp.__file__, probes.__file__)
print(*(len(builtin_passages(split)) for split in ("train", "heldout", "other")))
sys.argv[1:] = ["inspect", "smollm2"]
main()
"""


def run(*command, cwd, **variables):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        [str(part) for part in command],
        capture_output=True, text=True, cwd=cwd, timeout=1500, check=False, env=kept | variables,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout


def works(python, elsewhere, installed, **variables):
    elsewhere.mkdir()
    modules, counts, *rest = run(python, "-c", CHECK, cwd=elsewhere, **variables).splitlines()
    assert all(Path(path).is_relative_to(installed) for path in modules.split())
    assert counts.split() == ["96", "64", "48"]
    assert "576" in "\n".join(rest)


def built(folder):
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.mark.real
def test_the_wheel_works_elsewhere(tmp_path, smollm2):
    assert smollm2.n_layers == 30  # converted into the user's cache, where the wheel finds it
    there = tmp_path / "there"
    wheel = built(tmp_path)
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", there, wheel,
        cwd=tmp_path)  # fmt: skip
    assert (there / "bin" / "hyperinterp").is_file()
    works(sys.executable, tmp_path / "elsewhere", there, PYTHONPATH=str(there))


@pytest.mark.full
@pytest.mark.real
def test_the_wheel_brings_what_it_needs(tmp_path, smollm2):
    assert smollm2.n_layers == 30
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", built(tmp_path),
        cwd=tmp_path)  # fmt: skip
    assert "--preset" in run(python.with_name("hyperinterp"), "demo", "--help", cwd=tmp_path)
    works(python, tmp_path / "elsewhere", tmp_path / "venv")
