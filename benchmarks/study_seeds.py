"""Finished seeds of a study as files of the project, from which the study goes on elsewhere.

A seed that is over needs no weights: what its runs and reports say is kept, compressed, by seed.
"""

import json
import lzma
from pathlib import Path

from benchmarks import record

KEPT = record.RESULTS / "study"
FOLDER = "{folder}"
"""Stands for the study's directory, whose path is written into reports and `study.yaml`."""
FILES = ("twin/training.json", "report/report.json")


def keep(folder: Path, names: dict[int, list[str]]) -> None:
    """Write what is known of each seed whose cells are all compared.

    Args:
        folder: the study.
        names: of its cells, by seed.
    """
    for seed, cells in names.items():
        paths = ["study.yaml", *(f"cells/{cell}/{file}" for cell in cells for file in FILES)]
        if all((folder / path).is_file() for path in paths):
            texts = {path: (folder / path).read_text() for path in paths}
            found = {path: text.replace(str(folder), FOLDER) for path, text in texts.items()}
            KEPT.mkdir(parents=True, exist_ok=True)
            text = json.dumps(found, ensure_ascii=False).encode()
            (KEPT / f"seed{seed}.json.xz").write_bytes(lzma.compress(text, preset=9))


def restore(folder: Path) -> None:
    """Put the kept seeds into a study's directory; what is there stays as it is."""
    for kept in sorted(KEPT.glob("seed*.json.xz")):
        for path, text in json.loads(lzma.decompress(kept.read_bytes())).items():
            file = folder / path
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text.replace(FOLDER, str(folder)))
