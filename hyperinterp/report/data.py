"""The report as data: claims, one result per claim, and how they were made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Claim
from hyperinterp.training_curve.result import TrainingCurve

SCHEMA_VERSION = "3.3"


@dataclass(frozen=True)
class CheckpointFacts:
    """One checkpoint of the comparison."""

    name: str
    role: str
    fingerprint: str
    architecture: str
    parameters: int
    layers: int
    d_model: int
    vocabulary: int
    trained: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PromptFacts:
    """The held-out text of the comparison."""

    origin: str
    sha256: str
    used: int
    duplicates: int
    empty: int
    short: int
    prompt_tokens: int
    context_tokens: int


@dataclass(frozen=True)
class CorpusFacts:
    """The streamed text of the geometry, where it is not the held-out text."""

    origin: str
    sha256: str
    rows: int
    tokens: int
    duplicates: int
    empty: int
    short: int


@dataclass(frozen=True)
class Provenance(Brief):
    """Everything needed to run it again, and what it cost."""

    versions: dict[str, str]
    git_hash: str | None
    created: str
    seed: int
    device: str
    dtype: str
    preset: str
    sizes: dict[str, Any]
    checkpoints: tuple[CheckpointFacts, ...]
    prompts: PromptFacts
    wall_seconds: dict[str, float]
    forwards: dict[str, int]
    warnings: tuple[str, ...] = ()
    corpus: CorpusFacts | None = None


@dataclass(frozen=True)
class ReportData:
    """Verdicts first, then one result per claim.

    Attributes:
        schema_version: version of this layout.
        claims: a row for every claim, by id, each with a verdict.
        provenance: versions, seeds, fingerprints, wall time.
        results: what was measured for each claim, by slug; those not there are in `absent`.
        training_curve: the training of the fitted model, epoch by epoch, where its log is known.
        absent: why a result or the training curve is not there, by slug.
    """

    schema_version: str
    claims: dict[str, Claim]
    provenance: Provenance
    results: Mapping[str, Any] = field(default_factory=dict)
    training_curve: TrainingCurve | None = None
    absent: dict[str, str] = field(default_factory=dict)
