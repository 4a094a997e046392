"""The files of a repository on the Hub, and the one commit that brings them there."""

import json
from collections.abc import Mapping
from pathlib import Path

from hyperinterp.checkpoints import verify_directory
from hyperinterp.checkpoints.builtin import BUILTINS
from hyperinterp.checkpoints.files import MANIFEST_NAME
from hyperinterp.checkpoints.hub import send
from hyperinterp.checkpoints.manifest import Manifest, extended
from hyperinterp.checkpoints.naming import is_hub_id
from hyperinterp.errors import InputRefused
from hyperinterp.publishing.cards import report_card, twin_card
from hyperinterp.report.schema import Report

CARD, ADAPTER, REPORT = "README.md", "adapter_config.json", "report.json"

Files = Mapping[str, bytes | Path]
"""What a repository is to hold: bytes, or the file that holds them, by path."""


def push_to_hub(
    folder: str | Path,
    repo_id: str,
    *,
    license: str,
    report: str | Path | None = None,
    base_model: str | None = None,
    private: bool = False,
) -> str:
    """Bring a twin or a report to the Hub, in one commit.

    A twin becomes a model repository, whose card names its base, license and, with a report, every
    claim; the report goes along. A report alone becomes a data set repository. Log in with
    `hf auth login` first. Files of the same names are replaced; the Hub keeps their history.

    Args:
        folder: directory of a twin that `train` made, or of a report.
        repo_id: `owner/name`; made where it is not there.
        license: identifier of the license, as the Hub knows it, such as "apache-2.0": a twin's
            follows from its base's.
        report: directory of a report of the twin against its base.
        base_model: Hub id of the twin's base, where its recipe does not name one.
        private: only for the owner's eyes; counts when the repository is made.

    Returns:
        The address of the commit.

    Raises:
        InputRefused: neither a twin nor a report, no name of a base, no license, or the Hub is out
            of reach or refuses.
        CorruptFile: a file is not as it was written.
    """
    if not is_hub_id(repo_id) or "/" not in repo_id:
        raise InputRefused(f"repo_id: expected owner/name, found {repo_id!r:.80}; name both")
    if not license.strip():
        raise InputRefused(
            "license: expected an identifier such as apache-2.0, found none; give one"
        )
    place = Path(folder)
    if (place / REPORT).is_file():
        if report is not None or base_model is not None:
            raise InputRefused(
                f"{folder}: expected a twin beside a report or a base, found a report; leave them "
                "out, or name the twin"
            )
        files = report_files(place, license)
        return send(repo_id, "dataset", files, f"Report of {place.name}", private=private)
    files = twin_files(place, license, report, base_model)
    return send(repo_id, "model", files, f"Hyperfitted twin {place.name}", private=private)


def twin_files(
    folder: Path, license: str, report: str | Path | None, base_model: str | None
) -> Files:
    """Return the files of a twin's repository.

    Args:
        folder: the twin.
        license: identifier of the license.
        report: of the twin, or None.
        base_model: Hub id of its base; by default what the twin's recipe names.
    """
    manifest = verify_directory(folder) if folder.is_dir() else None
    if manifest is None or CARD not in manifest.files:
        raise InputRefused(
            f"{folder}: expected a twin that hyperinterp train made, or a report, found neither; "
            "name its directory"
        )
    base = base_model or _base_of(folder, manifest)
    if not is_hub_id(base):
        raise InputRefused(f"base_model: expected a Hub id, found {base!r:.80}; write owner/name")
    found = None if report is None else Report.read(report)
    text = (folder / CARD).read_text(encoding="utf-8")
    changed = {CARD: twin_card(text, base, license, found).encode("utf-8", "backslashreplace")}
    if ADAPTER in manifest.files:  # peft looks the base up by this name
        config = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
        changed[ADAPTER] = json.dumps(config | {"base_model_name_or_path": base}, indent=2).encode()
    if report is not None:
        changed |= {
            f"report/{name}": path.read_bytes() for name, path in _inside(Path(report)).items()
        }
    kept = {name: folder / name for name in manifest.files if name not in changed}
    return {**kept, **changed, MANIFEST_NAME: extended(manifest, changed)}


def report_files(folder: Path, license: str) -> Files:
    """Return the files of a report's repository.

    Args:
        folder: the report.
        license: identifier of the license.
    """
    card = report_card(Report.read(folder), license)
    return {**_inside(folder), CARD: card.encode("utf-8", "backslashreplace")}


def _inside(folder: Path) -> dict[str, Path]:
    """The files of a directory by their path in it."""
    root = folder if folder.is_dir() else folder.parent
    return {
        path.relative_to(root).as_posix(): path
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _base_of(folder: Path, manifest: Manifest) -> str:
    """The Hub id of the base that a twin's recipe names."""
    name = str(manifest.provenance.get("base_name", ""))
    known = BUILTINS.get(name)
    found = known.hub_id if known is not None else name
    if found is None or not is_hub_id(found) or Path(found).exists():
        raise InputRefused(
            f"{folder}: expected a base with a name on the Hub, found {name!r:.80}; give it as "
            "--base-model owner/name"
        )
    return found
