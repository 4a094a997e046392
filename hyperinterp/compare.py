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
from hyperinterp.claims.running import run
from hyperinterp.claims.verdict import adjust
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import InputRefused
from hyperinterp.frequencies import Frequencies
from hyperinterp.ledger import Ledger, Progress, silent
from hyperinterp.models import AnyModel, HookedModel, check_given, differing_settings, taken
from hyperinterp.provenance import facts_of, provenance_of, rounded
from hyperinterp.report.data import SCHEMA_VERSION, Provenance
from hyperinterp.report.schema import Report
from hyperinterp.sizes import PRESETS, Sizes
from hyperinterp.study import Study
from hyperinterp.text import Passages, as_corpus, as_passages, builtin_passages, check_chat
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
    control: AnyModel | None = None,
    late_stage: AnyModel | Sequence[AnyModel] = (),
    train_data: Any = None,
    frequencies: Frequencies | None = None,
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
    corpus: Any = None,
    partial: str | Path | None = None,
    split: str | None = None,
    column: str | None = None,
    chat: str = "auto",
    tokenizer: str | Path | PreTrainedTokenizerBase | None = None,
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
        control: the same recipe stopped at the least validation loss (C9).
        late_stage: twins trained in the last blocks only (C7): one, or a list.
        train_data: the passages `fitted` was trained on (C8), likewise. When not given and the
            checkpoint says that it was trained on the built-in fiction, that is taken.
        frequencies: how often each token occurs in a corpus, for the frequency classes of C4; by
            default the tokens of the held-out and training passages are counted.
        claims: ids such as "C1,C5"; all by default.
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
        corpus: text of any length, streamed, that the geometry of C5 is measured on: a `Corpus`,
            or anything that `as_passages` takes; all other figures come from `prompts`. Not read
            where C5 is not asked for.
        partial: folder that keeps the sums over the corpus on the way; the same call goes on
            from them after a kill, and removes them when it ends.
        split: of `prompts`, `train_data` and `corpus`; see `as_passages`.
        column: their field of text; see `as_passages`.
        chat: "auto" puts conversations into the chat template, "on" plain texts too, as what a
            user says; "off" reads text as it is and refuses conversations. The template is the
            base's, or the fitted model's where the base has none, for all models.
        tokenizer: reads the text for all models in place of their own: a tokenizer, or the name of
            a checkpoint that has it.

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
    runs = {name for spec in wanted for name in spec.runs}
    check_arguments(
        frequencies=frequencies, sizes=sizes, preset=preset, partial=partial, progress=progress,
        processes=processes, seed=seed, batch_size=batch_size,
    )  # fmt: skip
    chosen = sizes or sizes_of(preset)
    check_chat(chat)
    fields: dict[str, Any] = {"split": split, "column": column}
    held_out = builtin_passages("heldout")
    if prompts is not None:
        held_out = as_passages(prompts, limit=chosen.prompts, what="prompts", **fields)
    if train_data is not None:
        train_data = as_passages(train_data, what="train_data", **fields)
    unread = corpus is not None and not any(spec.corpus for spec in wanted)
    streamed = None if corpus is None or unread else as_corpus(corpus, **fields)
    if device_map is not None and processes.size > 1:
        raise InputRefused(
            "device map: expected one process, which drives all devices, found "
            f"{processes.size}; start it without a launcher"
        )
    twins = late_stage if isinstance(late_stage, list | tuple) else (late_stage,)
    check_like(like, base, fitted, control, *twins)
    options: dict[str, Any] = {
        "dtype": dtype, "device": device, "device_map": device_map, "like": like,
    }  # fmt: skip
    reader = None if tokenizer is None else load_tokenizer(tokenizer)
    loaded = _load_all(base, fitted, control, twins, options, progress)
    load_seconds = time.perf_counter() - start
    first, second, third, twins = loaded
    if reader is not None:
        first, second = first.reading_with(reader), second.reading_with(reader)
        third = None if third is None else third.reading_with(reader)
        twins = tuple(twin.reading_with(reader) for twin in twins)
    study = Study(
        base=first,
        fitted=second,
        passages=held_out,
        sizes=chosen,
        seed=seed,
        batch_size=batch_size,
        control=third,
        late_stage=twins,
        training=known_training(second) if train_data is None else train_data,
        frequencies=frequencies,
        geometry="moments" in runs,
        lens="followed" in runs,
        ledger=Ledger(progress),
        processes=processes,
        corpus=streamed,
        partial=None if partial is None or unread else Path(partial),
        chat=chat,
    )
    if unread:
        study.ledger.warnings.append(
            "The corpus was not read: no claim that is measured on it was asked for."
        )
    study.ledger.warn(*registry.faults().values())
    specs = registry.every_claim()
    found = run(study, specs, wanted)
    training_curve = read_curve(second.name)
    if training_curve is None:
        found.absent["training_curve"] = "no training log lies beside the fitted checkpoint"
    provenance = _provenance(study, "custom" if sizes else preset, seed)
    seconds = {"loading": load_seconds, **provenance.wall_seconds}
    seconds["total"] = time.perf_counter() - start
    if study.kept_sums is not None:
        study.kept_sums.remove()
    return Report(
        schema_version=SCHEMA_VERSION,
        claims=adjust(
            {spec.id: found.claims[spec.id] for spec in registry.by_id(registry.every_claim())}
        ),
        provenance=replace(provenance, wall_seconds=rounded(seconds)),
        results=found.results,
        training_curve=training_curve,
        absent=found.absent,
    )


def _load_all(
    base: AnyModel,
    fitted: AnyModel,
    control: AnyModel | None,
    late_stage: Sequence[AnyModel],
    options: dict[str, Any],
    progress: Progress,
) -> tuple[HookedModel, HookedModel, HookedModel | None, tuple[HookedModel, ...]]:
    roles = {"base": base, "fitted": fitted} | ({} if control is None else {"control": control})
    roles |= {f"late-stage {number}": twin for number, twin in enumerate(late_stage)}
    for role, given in roles.items():
        check_given(given, role)
    found: dict[str, HookedModel] = {}
    for done, (role, given) in enumerate(roles.items()):
        progress("loading checkpoints", done, len(roles))
        on = None if not found else base if isinstance(base, str | Path) else found["base"]
        found[role] = taken(given, role, base=on, **options)
    progress("loading checkpoints", len(roles), len(roles))
    first, second, third = found.pop("base"), found.pop("fitted"), found.pop("control", None)
    return first, second, third, tuple(found.values())


def known_training(fitted: HookedModel) -> Passages | None:
    """The built-in passages, when the checkpoint says that it was trained on just those."""
    data = fitted.provenance.get("data")
    if not isinstance(data, dict):
        return None
    passages, said = builtin_passages("train"), data.get("passages")
    counts = {len(passages), said if isinstance(said, int) else 0}
    for count in counts:
        if 0 < count <= len(passages) and passages.head(count).sha256 == data.get("sha256"):
            return passages.head(count)
    return None


def _provenance(study: Study, preset: str, seed: int) -> Provenance:
    checkpoints = [facts_of(study.base, "base"), facts_of(study.fitted, "fitted")]
    if study.control is not None:
        checkpoints.append(facts_of(study.control, "control"))
    checkpoints += [facts_of(twin, "late-stage") for twin in study.late_stage]
    if study.base.fingerprint and study.base.fingerprint == study.fitted.fingerprint:
        same = not any(it.acts.kinds for it in differing_settings(study.base, study.fitted))
        study.ledger.warn(
            "Base and fitted model have the same weights and settings."
            if same
            else "Base and fitted model have the same weights and differ in settings alone."
        )
    return provenance_of(study, checkpoints, preset, seed)
