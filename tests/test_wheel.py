"""The wheel, installed in an empty environment in another folder, does the job there."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command, cwd):
    found = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=1500,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout


@pytest.mark.real
def test_the_wheel_works_elsewhere(tmp_path, smollm2):
    assert smollm2.n_layers == 30  # converted into the user's cache, where the wheel finds it
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    wheel = next(tmp_path.glob("*.whl"))
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(python, "-c", "import hyperinterp, probes", cwd=elsewhere)
    command = python.with_name("hyperinterp")
    assert "--preset" in run(command, "demo", "--help", cwd=elsewhere)
    assert "576" in run(command, "inspect", "smollm2", cwd=elsewhere)
    code = (
        "from hyperinterp.text import builtin_passages\n"
        "print(len(builtin_passages('train')), len(builtin_passages('heldout')))"
    )
    assert run(python, "-c", code, cwd=elsewhere).split() == ["96", "64"]
