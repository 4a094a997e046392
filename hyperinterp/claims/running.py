"""Run claims on one study: what each lacks, what it measures, and what breaks in it."""

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from hyperinterp.claims.keeping import KeptClaims, kept_claims
from hyperinterp.claims.registry import CLAIMS
from hyperinterp.claims.spec import Claim, ClaimSpec, Verdict
from hyperinterp.claims.verdict import failed, judge, not_tested
from hyperinterp.errors import HyperinterpError, InputRefused, OutOfResources, memory_ran_out
from hyperinterp.under_comparison import Study

NOT_ASKED = "not asked for"
"""How the reason of a claim begins that was left out with `--claims`."""

T = TypeVar("T")


@dataclass
class Outcome:
    """The results, verdicts and reasons of a study's claims.

    Attributes:
        claims: a row for every claim, by id.
        results: by slug, of the claims that were measured.
        absent: why a result is not there, by slug.
        kept: the resume directory's claims, to be removed when the comparison has ended.
    """

    claims: dict[str, Claim] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    kept: KeptClaims | None = None

    def settle(self) -> None:
        """Remove the kept claims, unless one failed and is to be tried again."""
        failures = any(claim.verdict is Verdict.FAILED for claim in self.claims.values())
        if self.kept is not None and not failures:
            self.kept.remove()


def lacking(spec: ClaimSpec, study: Study) -> str:
    """Return why these inputs cannot test a claim; "" when they can."""
    rows = len(study.heldout.rows)
    if rows < 2:
        return f"needs at least 2 held-out prompts, found {rows}."
    if not all(study.given(role.name) for role in spec.roles if not role.optional):
        return f"needs {spec.needs}."
    stream = study.stream if spec.corpus else None
    measured = rows if stream is None else len(stream)
    if measured < spec.least_prompts:
        text = "held-out prompts" if stream is None else "passages of the corpus"
        return f"needs at least {spec.least_prompts} {text}, found {measured}."
    return ""


def prepared(spec: ClaimSpec, study: Study) -> tuple[Any, ...]:
    """Let a claim order its texts; return what `measure` is handed beside the study, if anything.

    Cost: none, or the shared runs that it has to look at to know which texts it needs.
    """
    prepare = spec.part("measurement", "prepare")
    found = None if prepare is None else prepare(study)
    return () if found is None else (found,)


def evaluated(
    spec: ClaimSpec, study: Study, ready: tuple[Any, ...] | None = None
) -> tuple[Any, Claim]:
    """Measure one claim and judge it by its rule.

    Args:
        spec: the claim.
        study: the pair, the text and the shared runs.
        ready: what `prepared` returned, where its texts are already ordered.

    Raises:
        TypeError: the claim's folder lacks `measure` or `quantities`.
        ValueError: its result holds a NaN or an infinity, or is not what it says it is.
    """
    measure, quantities = (spec.part("measurement", name) for name in ("measure", "quantities"))
    if measure is None or quantities is None:
        raise TypeError(f"{spec.package}.measurement: expected `measure` and `quantities`")
    result = measure(study, *(prepared(spec, study) if ready is None else ready))
    check(spec, result)
    claim = judge(spec, quantities(result))
    if spec not in CLAIMS:
        _show(spec, result, claim)
    return result, claim


def _show(spec: ClaimSpec, result: Any, claim: Claim) -> None:
    """Make what a report will show of another package's claim, so that a fault in it shows now."""
    for chart in result.charts():
        dict(chart.variants())
    for table in result.tables():
        table.records()
        table.sheets()
    results, claims = {spec.slug: result}, {spec.id: claim}
    for module, name, given in (
        ("texts", "texts", (result, results)),
        ("words", "beats", (result, results)),
        ("words", "caveat", (claim, result)),
        ("words", "notes", (claims,)),
    ):
        make = spec.part(module, name)
        made = None if make is None else make(*given)
        if name in ("beats", "notes"):
            list(made or ())


def check(spec: ClaimSpec, result: Any) -> None:
    """Refuse a result that a report could not hold.

    Raises:
        ValueError: a NaN or an infinity, or not of the claim's own result class.
    """
    if not isinstance(result, spec.result_type):
        found = type(result).__name__
        raise ValueError(f"{spec.slug}: expected a {spec.result}, found {found}")
    try:
        json.dumps(asdict(result), allow_nan=False, default=str)
    except ValueError as error:
        raise ValueError(f"{spec.slug}: a value of its result is NaN or infinite") from error


def run(study: Study, specs: Sequence[ClaimSpec], asked: Sequence[ClaimSpec]) -> Outcome:
    """Measure and judge every claim that was asked for and can be tested.

    A claim that raises is told as failed, and the others stand. Where all of them raise, where an
    input is refused, where memory or the disk ran out, and where several processes share the work
    (the others wait for what this one did not send), the error is raised instead. With a resume
    directory, a claim is kept there as soon as it is done, and one that is kept is not run again.

    Args:
        study: the pair, the text and the shared runs.
        specs: every claim; those not asked for are told as not tested.
        asked: the claims that were asked for.
    """
    found = Outcome(kept=kept_claims(study))
    broken: dict[str, BaseException] = {}
    tested: list[ClaimSpec] = []
    for spec in specs:
        reason = lacking(spec, study)
        if spec not in asked:
            reason = f"{NOT_ASKED} (--claims); needs {spec.needs}."
        if reason:
            found.claims[spec.id], found.absent[spec.slug] = not_tested(spec, reason), reason
        else:
            tested.append(spec)
    left = _restored(study, tested, found)
    ready: dict[str, tuple[Any, ...] | None] = {}
    for spec in left:  # what they order is generated in the same batches
        ready[spec.id] = _guarded(study, spec, broken, lambda spec: prepared(spec, study))
    for spec in left:
        if spec.id in broken:
            continue
        pair = _guarded(study, spec, broken, lambda spec: evaluated(spec, study, ready[spec.id]))
        if pair is not None:
            found.results[spec.slug], found.claims[spec.id] = pair
            if found.kept is not None:
                found.kept.save(spec, *pair, study.run.log)
    if tested and len(broken) == len(tested):
        raise broken[tested[0].id]
    for spec in tested:
        if spec.id in broken:
            reason = told(broken[spec.id])
            found.claims[spec.id], found.absent[spec.slug] = failed(spec, reason), reason
    return found


def _restored(study: Study, tested: Sequence[ClaimSpec], found: Outcome) -> list[ClaimSpec]:
    """Take what the resume directory holds; return the claims that are left to do."""
    left: list[ClaimSpec] = []
    for spec in tested:
        pair = None if found.kept is None else found.kept.restored(spec, study.run.log)
        if pair is None:
            left.append(spec)
        else:
            found.results[spec.slug], found.claims[spec.id] = pair
    if len(left) < len(tested):  # shared runs are made no wider than what is left needs
        study.wanted = frozenset(name for spec in left for name in spec.runs)
    return left


def _guarded(
    study: Study,
    spec: ClaimSpec,
    broken: dict[str, BaseException],
    work: Callable[[ClaimSpec], T],
) -> T | None:
    """Do a claim's own work; an error is noted down and None returned."""
    try:
        return work(spec)
    except (Exception, SystemExit) as error:  # a claim of another package may do anything
        stops = isinstance(error, InputRefused | OutOfResources | OSError) or memory_ran_out(error)
        if stops or study.run.processes.size > 1:
            raise
        broken[spec.id] = error
        return None


def told(error: BaseException) -> str:
    """Return an error in one line; of one that nobody raised on purpose, also where it arose."""
    words = " ".join(str(error).split())
    if isinstance(error, HyperinterpError):
        return words
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {words}{where}"
