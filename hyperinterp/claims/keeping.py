"""Results of claims on disk as soon as they are there, for a comparison that is interrupted."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints.files import write_file
from hyperinterp.claims.spec import Claim, ClaimSpec
from hyperinterp.distributed import Processes
from hyperinterp.errors import InputRefused
from hyperinterp.frequencies import Frequencies
from hyperinterp.harness import Tasks
from hyperinterp.models import settings_digest
from hyperinterp.run_log import RunLog
from hyperinterp.text import Passages
from hyperinterp.under_comparison import Study
from hyperinterp.versions import version_of

MOST_BYTES = 1_000_000_000
"""Size of the largest file of a claim that is read."""


class KeptClaims:
    """The claims of one comparison that are done, one file each in its resume directory.

    A file is whole or absent. It holds the result, the row before it is adjusted for the other
    claims, and what the run log said by then.

    Args:
        folder: the resume directory.
        key: what results depend on (models, texts, sizes, seed, ...), as JSON values.
        processes: the processes that share the work; the first one reads and writes.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], processes: Processes) -> None:
        self._folder = folder / "claims"
        self._key = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self._processes = processes

    def restored(self, spec: ClaimSpec, log: RunLog) -> tuple[Any, Claim] | None:
        """Return the result and row of a claim that is done; None when it is not.

        Args:
            spec: the claim.
            log: is told again what the comparison had noted.

        Raises:
            InputRefused: the file belongs to another comparison, or is damaged.
        """
        from pydantic import TypeAdapter, ValidationError

        path = self._path(spec)
        text = self._processes.by_first(lambda: self._read(path))
        if text is None:
            return None
        try:
            found = json.loads(text)
            if found["key"] != self._key:
                raise InputRefused(
                    f"{path}: expected a claim of this very comparison, found one of another "
                    "(other models, texts, sizes, seed, batch size or number of processes); remove "
                    "it, or name another --resume-dir"
                )
            claim = TypeAdapter(Claim).validate_python(found["claim"])
            result = TypeAdapter(spec.result_type).validate_json(json.dumps(found["result"]))
            notes, forwards, seconds = (found[name] for name in ("warnings", "forwards", "seconds"))
            log.warn(*map(str, notes))
            log.forwards |= {str(name): int(count) for name, count in forwards.items()}
            for name, value in seconds.items():
                log.seconds[str(name)] = max(log.seconds[str(name)], float(value))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            what = "another layout" if isinstance(error, ValidationError) else "damaged text"
            raise InputRefused(
                f"{path}: expected a claim's result, found {what}; remove it"
            ) from error
        return result, claim

    def save(self, spec: ClaimSpec, result: Any, claim: Claim, log: RunLog) -> None:
        """Write a claim that is done.

        Raises:
            OutOfResources: the disk is full.
        """
        from pydantic import TypeAdapter

        document = {
            "key": self._key,
            "claim": TypeAdapter(Claim).dump_python(claim, mode="json"),
            "result": TypeAdapter(spec.result_type).dump_python(result, mode="json"),
            "warnings": log.warnings,
            "forwards": dict(log.forwards),
            "seconds": dict(log.seconds),
        }
        text = json.dumps(document, allow_nan=False).encode("utf-8", "backslashreplace")
        self._processes.by_first(lambda: write_file(self._path(spec), text, force=True))

    def remove(self) -> None:
        """Forget the claims; the directory goes too, unless something else lies in it."""
        if not self._processes.first or not self._folder.is_dir():
            return
        for path in self._folder.glob("*.json"):
            path.unlink()
        for folder in (self._folder, self._folder.parent):
            try:
                folder.rmdir()
            except OSError:
                return

    def _path(self, spec: ClaimSpec) -> Path:
        return self._folder / f"{re.sub('[^A-Za-z0-9]', '_', spec.id)}.json"

    def _read(self, path: Path) -> str | None:
        if not path.is_file():
            return None
        if path.stat().st_size > MOST_BYTES:
            raise InputRefused(f"{path}: expected a claim's result, found a huge file; remove it")
        return path.read_text(encoding="utf-8", errors="replace")


def kept_claims(study: Study) -> KeptClaims | None:
    """Return the claims of a comparison that its resume directory holds; None without one."""
    if study.run.resume_dir is None:
        return None
    return KeptClaims(study.run.resume_dir, _key(study), study.run.processes)


def _key(study: Study) -> dict[str, Any]:
    """Everything that a claim's result may depend on, as JSON values."""
    models = {
        role: [model.fingerprint, settings_digest(model), str(model.dtype), str(model.device)]
        for role, model in (study.models | study.readers).items()
    }
    texts = {role: _digest(given) for role, given in study.roles.items()}
    return {
        "version": version_of("hyperinterp"),
        "models": models,
        "texts": {role: digest for role, digest in texts.items() if digest},
        "prompts": study.passages.sha256,
        "tokenizer": hashlib.sha256(
            repr(sorted(study.heldout.tokenizer.get_vocab().items())).encode("utf-8", "replace")
        ).hexdigest(),
        "corpus": "" if study.stream is None else study.stream.sha256,
        "chat": study.chat,
        "sizes": asdict(study.sizes),
        "seed": study.run.seed,
        "batch_size": study.run.batch_size,
        "processes": study.run.processes.size,
    }


def _digest(given: Any) -> str:
    """Digest of a text, table or tasks; models and the corpus have their own."""
    if isinstance(given, Passages):
        return given.sha256
    if isinstance(given, Tasks):
        return given.digest
    if isinstance(given, Frequencies):
        return hashlib.sha256(repr(sorted(given.counts.items())).encode()).hexdigest()
    return ""
