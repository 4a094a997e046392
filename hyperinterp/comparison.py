"""Run the analyses on a pair of models and build the report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from hyperinterp.ambient import own_settings
from hyperinterp.arguments import check_arguments
from hyperinterp.checkpoints import check_like, load_tokenizer, pinned
from hyperinterp.claims import registry
from hyperinterp.claims.roles import Kind
from hyperinterp.claims.running import run
from hyperinterp.claims.spec import ClaimSpec
from hyperinterp.claims.verdict import adjust
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import InputRefused
from hyperinterp.models import AnyModel, HookedModel, check_given, differing_settings, taken
from hyperinterp.provenance import facts_of, provenance_of, rounded
from hyperinterp.report.data import SCHEMA_VERSION, Provenance
from hyperinterp.report.schema import Report
from hyperinterp.roles import checkpoints, given_roles, read_texts, with_known_training
from hyperinterp.run_log import Progress, RunLog, silent
from hyperinterp.runs import RunContext
from hyperinterp.sizes import PRESETS, Sizes
from hyperinterp.study import Study
from hyperinterp.text import as_passages, builtin_passages, check_chat
from hyperinterp.training_curve.result import read_curve


def sizes_of(preset: str) -> Sizes:
    """The sizes of a preset.

    Raises:
        InputRefused: not `quick`, `default` or `full`.
    """
    if preset not in PRESETS:
        raise InputRefused(f"preset: expected one of {', '.join(PRESETS)}, found {preset!r}")
    return PRESETS[preset]


@own_settings()
def compare(
    base: AnyModel,
    fitted: AnyModel,
    *,
    revision: str | None = None,
    fitted_revision: str | None = None,
    subfolder: str | None = None,
    fitted_subfolder: str | None = None,
    prompts: Any = None,
    claims: str | Sequence[str] | None = None,
    preset: str = "default",
    sizes: Sizes | None = None,
    seed: int = 0,
    batch_size: int = 8,
    dtype: str = "float32",
    device: str = "auto",
    device_map: str | Mapping[str, Any] | None = None,
    like: str | Path | None = None,
    progress: Progress = silent,
    processes: Processes = ALONE,
    resume_dir: str | Path | None = None,
    split: str | None = None,
    column: str | None = None,
    chat: str = "auto",
    tokenizer: str | Path | PreTrainedTokenizerBase | None = None,
    **roles: Any,
) -> Report:
    """Measure what changed from `base` to `fitted` and judge every claim that can be tested.

    Args:
        base: the model before, by name or in memory: whatever `hyperinterp.load` takes. A model in
            memory stays as it is.
        fitted: the model after; an adapter that is named is put on `base`, or on the base that it
            names where `base` is an adapter itself.
        revision: commit, branch or tag of `base`, a Hugging Face id. Any name may carry one
            itself, and a folder: `owner/name@revision:folder`.
        fitted_revision: the same for `fitted`.
        subfolder: folder of `base` inside its repository or directory.
        fitted_subfolder: the same for `fitted`.
        prompts: held-out passages, in any form that `as_passages` takes; the built-in fiction by
            default.
        claims: ids or slugs, separated by commas; all by default.
        preset: "quick", "default" or "full"; see `hyperinterp.sizes.PRESETS`.
        sizes: sizes of your own instead of a preset's.
        seed: seeds splits, samples and random controls; 0 to 4294967295.
        batch_size: rows per forward pass; figures do not depend on it beyond rounding.
        dtype: dtype to load with, for names.
        device: device to load on, for names.
        device_map: for models too large for one device, loaded by name; see
            `hyperinterp.load`. One process drives all the devices.
        like: for checkpoints that are state dicts, the one with their config and tokenizer.
        progress: told of work done.
        processes: the processes that share the work, all of which make this call and get the
            same report; see `hyperinterp.distributed.join`.
        resume_dir: directory that keeps the sums over the corpus on the way; the same call goes on
            from them after a kill, and removes them when it ends.
        split: of `prompts` and of all texts in roles; see `as_passages`.
        column: their field of text; see `as_passages`.
        chat: "auto" puts conversations into the chat template, "on" plain texts too, as what a
            user says; "off" reads text as it is and refuses conversations. The template is the
            base's, or the fitted model's where the base has none, for all models.
        tokenizer: reads the text for all models in place of their own: a tokenizer, or the name of
            a checkpoint that has it.
        roles: further checkpoints, texts and counts, each under the name of a role that a claim
            declares, as `hyperinterp compare --help` lists them: a model, or a list of them where
            several may be given; texts in any form that `as_passages` takes; a `Corpus` or the
            like; what `read_frequencies` returns. A corpus is not read where no claim that is
            measured on it is asked for. Where the training text is not given and `fitted` says that
            it was trained on the built-in fiction, that is taken.

    Returns:
        The report; nothing is written.

    Raises:
        InputRefused: a model, text or option that cannot be used.
        MismatchedPair: the checkpoints differ in architecture, size or tokenizer.
        NumericalFault: a NaN or infinity; names model and site.
    """
    start = time.perf_counter()
    base = pinned(base, revision, subfolder)
    fitted = pinned(fitted, fitted_revision, fitted_subfolder)
    wanted = registry.chosen(claims)
    given = given_roles(registry.roles(), roles)
    check_arguments(
        sizes=sizes, preset=preset, resume_dir=resume_dir, progress=progress, processes=processes,
        seed=seed, batch_size=batch_size,
    )  # fmt: skip
    chosen = sizes or sizes_of(preset)
    check_chat(chat)
    fields: dict[str, Any] = {"split": split, "column": column}
    held_out = builtin_passages("heldout")
    if prompts is not None:
        held_out = as_passages(prompts, limit=chosen.prompts, what="prompts", **fields)
    unread = not any(spec.corpus for spec in wanted)
    dropped = {role for role in given if role.kind is Kind.CORPUS and unread}
    texts = read_texts({role: it for role, it in given.items() if role not in dropped}, **fields)
    _check_launch(device_map, processes)
    named = {"base": base, "fitted": fitted, **checkpoints(given, Kind.CHECKPOINT)}
    readers = checkpoints(given, Kind.READER)
    check_like(like, *named.values(), *readers.values())
    for role, model in (*named.items(), *readers.items()):
        check_given(model, role)
    options: dict[str, Any] = {
        "dtype": dtype, "device": device, "device_map": device_map, "like": like,
    }  # fmt: skip
    reader = None if tokenizer is None else load_tokenizer(tokenizer)
    loaded = _load_all(named, readers, options, progress)
    load_seconds = time.perf_counter() - start
    models = {role: _read_with(loaded[role], reader) for role in named}
    first, second = models.pop("base"), models.pop("fitted")
    study = Study(
        base=first,
        fitted=second,
        passages=held_out,
        sizes=chosen,
        run=RunContext(
            seed=seed,
            batch_size=batch_size,
            log=RunLog(progress),
            processes=processes,
            resume_dir=None if resume_dir is None or dropped else Path(resume_dir),
        ),
        roles=models | with_known_training(texts, second),
        readers={role: loaded[role] for role in readers},
        chat=chat,
        wanted=frozenset(name for spec in wanted for name in spec.runs),
    )
    if dropped:
        study.run.log.warnings.append(
            "The corpus was not read: no claim that is measured on it was asked for."
        )
    return _reported(study, wanted, "custom" if sizes else preset, start, load_seconds)


def _reported(
    study: Study, wanted: Sequence[ClaimSpec], preset: str, start: float, load_seconds: float
) -> Report:
    """Test the claims that were asked for, and put together what was found."""
    specs = registry.every_claim()
    study.run.log.warn(*registry.faults().values())
    found = run(study, specs, wanted)
    training_curve = read_curve(study.fitted.name)
    if training_curve is None:
        found.absent["training_curve"] = "no training log lies beside the fitted checkpoint"
    provenance = _provenance(study, preset)
    seconds = {"loading": load_seconds, **provenance.wall_seconds}
    seconds["total"] = time.perf_counter() - start
    if study.shared.resume_directory is not None:
        study.shared.resume_directory.remove()
    return Report(
        schema_version=SCHEMA_VERSION,
        claims=adjust({spec.id: found.claims[spec.id] for spec in registry.by_id(specs)}),
        provenance=replace(provenance, wall_seconds=rounded(seconds)),
        results=found.results,
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
