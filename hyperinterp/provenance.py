"""The making of a report: versions, checkpoints, text, sizes and cost."""

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from hyperinterp.models import HookedModel, devices_of
from hyperinterp.report.data import CheckpointFacts, CorpusFacts, PromptFacts, Provenance
from hyperinterp.text import TokenStream
from hyperinterp.under_comparison import Study
from hyperinterp.versions import version_of

PACKAGES = ("hyperinterp", "torch", "transformers", "transformer-lens", "peft", "numpy")


def facts_of(model: HookedModel, role: str) -> CheckpointFacts:
    """Return the facts of one checkpoint for the report."""
    return CheckpointFacts(
        name=model.name,
        role=role,
        fingerprint=model.fingerprint,
        architecture=type(model.hf).__name__,
        parameters=sum(item.numel() for item in model.hf.parameters()),
        layers=model.n_layers,
        d_model=model.d_model,
        vocabulary=model.rows,
        trained=dict(model.provenance),
    )


def provenance_of(
    study: Study, checkpoints: Sequence[CheckpointFacts], preset: str, seed: int
) -> Provenance:
    """Versions, text, sizes and cost of a study that is done."""
    rows, passages = study.heldout.rows, study.passages
    return Provenance(
        versions={"python": platform.python_version()}
        | {package: version_of(package) for package in PACKAGES},
        git_hash=_git_hash(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seed,
        device=", ".join(devices_of(study.base.hf)),
        dtype=str(study.base.dtype).removeprefix("torch."),
        preset=preset,
        sizes=study.described()
        | {
            "threads": torch.get_num_threads(),
            "processes": study.run.processes.size,
        },
        checkpoints=tuple(checkpoints),
        prompts=PromptFacts(
            origin=passages.origin,
            sha256=passages.sha256,
            used=len(rows),
            duplicates=passages.duplicates,
            empty=passages.empty,
            short=rows.short,
            prompt_tokens=study.sizes.prompt_tokens,
            context_tokens=study.sizes.context_tokens,
        ),
        corpus=_corpus_facts(study.stream),
        wall_seconds=dict(study.run.log.seconds),
        forwards=dict(study.run.log.forwards),
        warnings=tuple(study.run.log.warnings),
    )


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    """Wall times to a hundredth of a second."""
    return {name: round(value, 2) for name, value in seconds.items()}


def _corpus_facts(stream: TokenStream | None) -> CorpusFacts | None:
    if stream is None:
        return None
    return CorpusFacts(
        origin=str(stream.corpus),
        sha256=stream.sha256,
        rows=stream.n_rows,
        tokens=stream.n_tokens,
        duplicates=stream.duplicates,
        empty=stream.empty,
        short=stream.short,
    )


def _git_hash() -> str | None:
    """Commit of the hyperinterp checkout that runs; None for an installed package."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
