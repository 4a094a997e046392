"""Where benchmark figures are kept, and what is said of the machine that made them."""

import json
import os
import platform
from pathlib import Path
from typing import Any

from hyperinterp.training.card import versions

RESULTS = Path(__file__).parent / "results"


def machine(threads: int) -> dict[str, Any]:
    """Processor, cores, threads used, and the load beside the measurement."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load_average_at_start": [round(value, 2) for value in os.getloadavg()],
    }


def write(name: str, figures: dict[str, Any], threads: int) -> Path:
    """Write `results/NAME.json`: machine, versions and the figures."""
    RESULTS.mkdir(exist_ok=True)
    out = RESULTS / f"{name}.json"
    found = {"machine": machine(threads), "versions": versions(), **figures}
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return out


def read(name: str) -> dict[str, Any]:
    """Figures of an earlier run."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
