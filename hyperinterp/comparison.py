"""Run the analyses on a pair of models and build the report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from hyperinterp.ambient import own_settings
from hyperinterp.arguments import check_arguments
from hyperinterp.checkpoints import check_like, load_tokenizer, only_one, pinned
from hyperinterp.claims import registry
from hyperinterp.claims.roles import Kind
from hyperinterp.claims.running import run
from hyperinterp.claims.spec import ClaimSpec
from hyperinterp.claims.verdict import adjust
from hyperinterp.config import CompareConfig, takes
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import InputRefused
from hyperinterp.looks.registry import chosen_looks
from hyperinterp.looks.running import run_looks
from hyperinterp.looks.spec import LookSpec
from hyperinterp.memory import available, parse_memory
from hyperinterp.models import AnyModel, HookedModel, check_given, differing_settings, taken
from hyperinterp.planning import planned, refuse_if_too_large
from hyperinterp.provenance import facts_of, provenance_of, rounded
from hyperinterp.report.data import SCHEMA_VERSION, Provenance
from hyperinterp.report.schema import Report
from hyperinterp.roles import (
    check_corpus,
    checkpoints,
    compare_config,
    given_roles,
    read_texts,
    text_roles,
    with_known_training,
)
from hyperinterp.run_log import Progress, RunLog, silent
from hyperinterp.runs import RunContext
from hyperinterp.runs.room import weight_bytes
from hyperinterp.runs.shape import Shape
from hyperinterp.sizes import sizes_of
from hyperinterp.text import Texts, builtin_passages
from hyperinterp.training_curve.result import read_curve
from hyperinterp.under_comparison import Study


@takes(CompareConfig)
@own_settings()
def compare(
    base: AnyModel,
    fitted: AnyModel,
    *,
    config: CompareConfig | str | Path | None = None,
    progress: Progress = silent,
    processes: Processes = ALONE,
    resume_dir: str | Path | None = None,
    **options: Any,
) -> Report:
    """Measure what changed from `base` to `fitted` and judge every claim that can be tested.

    Args:
        base: the model before, by name or in memory: whatever `hyperinterp.load` takes. A model in
            memory stays as it is.
        fitted: the model after; an adapter that is named is put on `base`, or on the base that it
            names where `base` is an adapter itself.
        config: the options in one piece: a `CompareConfig`, or the path of a YAML file. An option
            that is given by its own name goes before it.
        progress: told of work done.
        processes: the processes that share the work, all of which make this call and get the
            same report; see `hyperinterp.distributed.join`.
        resume_dir: directory that keeps every claim's result as soon as it is there, and the sums
            over the corpus on the way. After an interruption the same call does what is missing,
            to the same bits; it removes them when it ends, unless a claim failed. Needs models
            with a fingerprint, such as those of names.
        options: every option of `CompareConfig` by its own name, such as `prompts`, `claims`,
            `preset`, `seed` or `device`; and further checkpoints, texts and counts, each under the
            name of a role that a claim declares, as `hyperinterp compare --help` lists them: a
            model, or a list of them where several may be given; texts in any form that
            `as_passages` takes, as `prompts` may be too; a `Corpus` or the like; what
            `read_frequencies` returns, or the path of a table. A corpus is not read where no claim
            that is measured on it is asked for. Where the training text is not given and `fitted`
            says that it was trained on the built-in fiction, that is taken.

    Returns:
        The report; nothing is written.

    Raises:
        InputRefused: a model, text or option that cannot be used.
        MismatchedPair: the checkpoints differ in architecture, size or tokenizer.
        NumericalFault: a NaN or infinity; names model and site.
    """
    start = time.perf_counter()
    asked = compare_config(registry.roles(), config, options)
    base = pinned(base, asked.revision, asked.subfolder)
    fitted = pinned(fitted, asked.fitted_revision, asked.fitted_subfolder)
    wanted, looks = registry.chosen(asked.claims), chosen_looks(asked.also)
    given = given_roles(registry.roles(), asked.roles)
    check_arguments(progress=progress, processes=processes, resume_dir=resume_dir)
    limit = parse_memory(asked.memory)
    chosen = asked.sizes or sizes_of(asked.preset)
    texts = Texts.of(asked.column, asked.split, "prompts", *text_roles(registry.roles()))
    held_out = texts.read("prompts", asked.prompts, chosen.prompts)
    if held_out is None:
        held_out = builtin_passages("heldout")
    unread = not any(spec.corpus for spec in wanted)
    dropped = {role for role in given if role.kind is Kind.CORPUS and unread}
    read = {role: it for role, it in given.items() if role not in dropped}
    check_corpus(asked, given)
    stood = read_texts(read, texts, asked.max_tokens)
    _check_launch(asked.device_map, processes)
    named = {"base": base, "fitted": fitted, **checkpoints(given, Kind.CHECKPOINT)}
    readers = checkpoints(given, Kind.READER)
    check_like(asked.like, *named.values(), *readers.values())
    for role, model in (*named.items(), *readers.items()):
        check_given(model, role)
    with only_one(resume_dir, "--resume-dir", processes):
        how: dict[str, Any] = {
            name: getattr(asked, name) for name in ("dtype", "device", "device_map", "like")
        }
        reader = None if asked.tokenizer is None else load_tokenizer(asked.tokenizer)
        loaded = _load_all(named, readers, how, progress)
        load_seconds = time.perf_counter() - start
        models = {role: _read_with(loaded[role], reader) for role in named}
        first, second = models.pop("base"), models.pop("fitted")
        study = Study(
            base=first,
            fitted=second,
            passages=held_out,
            sizes=chosen,
            run=RunContext(
                seed=asked.seed,
                batch_size=asked.batch_size,
                log=RunLog(progress),
                processes=processes,
                resume_dir=None if resume_dir is None else Path(resume_dir),
                memory=limit,
            ),
            roles=models | with_known_training(stood, second),
            readers={role: loaded[role] for role in readers},
            chat=asked.chat,
            wanted=frozenset(name for spec in wanted for name in spec.runs),
        )
        _check_memory(study, wanted)
        if dropped:
            study.run.log.warnings.append(
                "The corpus was not read: no claim that is measured on it was asked for."
            )
        preset = "custom" if asked.sizes else asked.preset
        return _reported(study, wanted, looks, preset, start, load_seconds)


def _check_memory(study: Study, wanted: Sequence[ClaimSpec]) -> None:
    """Refuse a comparison that cannot fit into the memory that was stated, or that a card has.

    What is free in the machine's memory changes by the minute, and says little about what a
    process may take: there the geometry takes its sites one by one, and no more is promised.
    """
    device = study.base.home
    on_host = device.type == "cpu"
    if study.run.memory is None and on_host:
        return
    weights = weight_bytes(study.models.values())
    memory = study.run.memory or weights + available(str(device))
    shapes = [Shape.of(model.hf) for model in study.models.values()]
    found = planned(
        shapes,
        study.sizes,
        wanted,
        memory,
        study.run.batch_size,
        weights=weights,
        prompts=len(study.passages),
        corpus=study.corpus is not None,
        on_host=on_host,
    )
    refuse_if_too_large(found)


def _reported(
    study: Study,
    wanted: Sequence[ClaimSpec],
    looks: Sequence[LookSpec],
    preset: str,
    start: float,
    load_seconds: float,
) -> Report:
    """Test the claims that were asked for, look further, and put together what was found."""
    specs = registry.every_claim()
    study.run.log.warn(*registry.faults().values())
    found = run(study, specs, wanted)
    results, absent = run_looks(study, looks)
    found.absent |= absent
    training_curve = read_curve(study.fitted.name)
    if training_curve is None:
        found.absent["training_curve"] = "no training log lies beside the fitted checkpoint"
    provenance = _provenance(study, preset)
    seconds = {"loading": load_seconds, **provenance.wall_seconds}
    seconds["total"] = time.perf_counter() - start
    found.settle()
    if study.shared.resume_directory is not None:
        study.shared.resume_directory.remove()
    return Report(
        schema_version=SCHEMA_VERSION,
        claims=adjust({spec.id: found.claims[spec.id] for spec in registry.by_id(specs)}),
        provenance=replace(provenance, wall_seconds=rounded(seconds)),
        results=found.results | results,
        training_curve=training_curve,
        absent=found.absent,
    )


def _read_with(model: HookedModel, tokenizer: PreTrainedTokenizerBase | None) -> HookedModel:
    return model if tokenizer is None else model.reading_with(tokenizer)


def _check_launch(device_map: Any, processes: Processes) -> None:
    """Refuse a device map beside several processes: one process drives all devices."""
    if device_map is not None and processes.size > 1:
        raise InputRefused(
            "device map: expected one process, which drives all devices, found "
            f"{processes.size}; start it without a launcher"
        )


def _load_all(
    named: Mapping[str, AnyModel],
    readers: Mapping[str, AnyModel],
    options: dict[str, Any],
    progress: Progress,
) -> dict[str, HookedModel]:
    """Every model by role; adapters go on the base, those of readers on the base they name."""
    found: dict[str, HookedModel] = {}
    every = {**named, **readers}
    for done, (role, given) in enumerate(every.items()):
        progress("loading checkpoints", done, len(every))
        on = named["base"] if isinstance(named["base"], str | Path) else found.get("base")
        on = None if role == "base" or role in readers else on
        found[role] = taken(given, role, base=on, **options)
    progress("loading checkpoints", len(every), len(every))
    return found


def _provenance(study: Study, preset: str) -> Provenance:
    models = study.models | study.readers
    checkpoints = [facts_of(model, role.partition(" ")[0]) for role, model in models.items()]
    if study.base.fingerprint and study.base.fingerprint == study.fitted.fingerprint:
        same = not any(it.acts.kinds for it in differing_settings(study.base, study.fitted))
        study.run.log.warn(
            "Base and fitted model have the same weights and settings."
            if same
            else "Base and fitted model have the same weights and differ in settings alone."
        )
    return provenance_of(study, checkpoints, preset, study.run.seed)
