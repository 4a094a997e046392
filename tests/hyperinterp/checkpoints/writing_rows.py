"""Kills, full disks and read-only places while a checkpoint is written, as rows that count."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints import (
    load_checkpoint,
    save_checkpoint,
    verify_directory,
    write_directory,
    write_file,
)
from hyperinterp.errors import HyperinterpError

ROOT = Path(__file__).parents[3]
NOBODY = 65534

_FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from hyperinterp.checkpoints import (export_bundle, load_checkpoint, save_checkpoint, write_file,
                                     verify_directory)
made, folder = Path(sys.argv[1]), Path(sys.argv[2])
whole = load_checkpoint(made / "whole")
save_checkpoint(whole.model, whole.tokenizer, folder / "out", provenance={"n": 1})
export_bundle(made / "whole", folder / "x.pt")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
rows = {}
for name, action in {
    "directory": lambda: save_checkpoint(whole.model, whole.tokenizer, folder / "out",
                                         provenance={}, force=True),
    "bundle": lambda: export_bundle(made / "whole", folder / "x.pt", force=True),
    "file": lambda: write_file(folder / "y.json", b"x" * 50_000),
}.items():
    try:
        action()
        rows[name] = "written"
    except Exception as error:
        rows[name] = [type(error).__name__, getattr(error, "exit_code", None)]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
rows["old directory"] = load_checkpoint(folder / "out").fingerprint == whole.fingerprint
rows["old bundle"] = load_checkpoint(folder / "x.pt").fingerprint == whole.fingerprint
rows["left"] = sorted(p.name for p in folder.iterdir())
print(json.dumps(rows))
"""


def full_disk_row(made: Path, folder: Path) -> dict[str, Any]:
    """A process whose files may not grow: what each write raised, and whether the old ones load."""
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(made), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def read_only_row(made: Path, folder: Path) -> dict[str, Any]:
    """Write into a directory that this user may not change; as root, as somebody else."""
    whole = load_checkpoint(made / "whole")
    place = folder / "read-only"
    save_checkpoint(whole.model, whole.tokenizer, place / "out", provenance={"n": 1})
    write_file(place / "x.json", b"old")
    place.chmod(0o555)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            if os.geteuid() == 0:
                os.setuid(NOBODY)
            os.write(writer, json.dumps(_try_to_write(place, whole)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answers:
        rows = json.loads(answers.read())
    os.waitpid(child, 0)
    place.chmod(0o755)
    rows["old directory"] = load_checkpoint(place / "out").fingerprint == whole.fingerprint
    rows["old file"] = (place / "x.json").read_bytes() == b"old"
    rows["left"] = sorted(path.name for path in place.iterdir())
    return rows


def _try_to_write(place: Path, whole: Any) -> dict[str, Any]:
    def save(name: str, force: bool) -> None:
        save_checkpoint(whole.model, whole.tokenizer, place / name, provenance={}, force=force)

    rows: dict[str, Any] = {}
    for name, action in {
        "new directory": lambda: save("new", False),
        "replaced directory": lambda: save("out", True),
        "new file": lambda: write_file(place / "y.json", b"new"),
        "replaced file": lambda: write_file(place / "x.json", b"new", force=True),
    }.items():
        try:
            action()
            rows[name] = "written"
        except HyperinterpError as error:
            rows[name] = [type(error).__name__, error.exit_code]
        except Exception as error:
            rows[name] = [repr(error), 1]
    return rows


def fill(number):
    def writer(folder):
        (folder / "config.json").write_text(json.dumps({"number": number}))
        (folder / "sub").mkdir()
        (folder / "sub" / "data.bin").write_bytes(bytes([number % 256]) * 20_000)

    return writer


def kill_rows(folder, kills, seed=0):
    """Kill a process that keeps replacing a directory; what is there afterwards always verifies."""
    out = folder / "out"
    write_directory(out, fill(0), provenance={"n": 0})
    generator, seen = random.Random(seed), []
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            number = 1
            while True:
                write_directory(out, fill(number), provenance={"n": number}, force=True)
                number += 1
        time.sleep(generator.uniform(0.0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        manifest = verify_directory(out)
        assert manifest is not None
        number = manifest.provenance["n"]
        assert json.loads((out / "config.json").read_text()) == {"number": number}
        seen.append(number)
    return seen
