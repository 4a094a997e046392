"""The measures of the report along a training run's checkpoints."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hyperinterp.ambient import own_settings
from hyperinterp.analyses.trace import alone, beside, side
from hyperinterp.arguments import check_arguments
from hyperinterp.checkpoints import check_like, load_tokenizer, pinned
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.config import TraceConfig, settled, specs_of, takes
from hyperinterp.errors import InputRefused, MismatchedPair
from hyperinterp.models import HookedModel, check_given, checked, load, taken
from hyperinterp.provenance import facts_of, provenance_of, rounded
from hyperinterp.ranges import at_least
from hyperinterp.report.data import CheckpointFacts
from hyperinterp.report.trace.data import TRACE_VERSION, TracePoint
from hyperinterp.report.trace.schema import Trace
from hyperinterp.run_log import Progress, RunLog, silent
from hyperinterp.runs import RunContext
from hyperinterp.sizes import Sizes, with_sizes
from hyperinterp.text import Texts, builtin_passages
from hyperinterp.training.kept import Kept, kept, run_folder
from hyperinterp.training_curve.result import TrainingCurve, read_curve
from hyperinterp.under_comparison import Study

TRACE_PRESETS: dict[str, Sizes] = {
    "quick": Sizes(prompts=12, contexts_per_prompt=8, components=False, variants=()),
    "default": Sizes(prompts=24, contexts_per_prompt=16, components=False, variants=()),
    "full": Sizes(prompts=None, contexts_per_prompt=None, components=False, variants=()),
}
"""How much a trace looks at; the sizes that it does not use are those of `compare`."""


@takes(TraceConfig)
@own_settings()
def trace(
    run: str | Path,
    *,
    config: TraceConfig | str | Path | None = None,
    progress: Progress = silent,
    **options: Any,
) -> Trace:
    """Measure the base and every checkpoint of a run on the same held-out prompts.

    The base is observed once; of the checkpoints one is in memory at a time.

    Args:
        run: the output of `train` (with checkpoints from `save_at` or `save_epochs`, or at least
            the final weights), or an unfinished run.
        config: the options in one piece: a `TraceConfig`, or the path of a YAML file. An option
            that is given by its own name goes before it.
        progress: told of work done.
        options: every option of `TraceConfig` by its own name, such as `prompts`, `preset`,
            `seed` or `device`; `base` may be a model in memory, and `prompts` texts in any form
            that `as_passages` takes. The presets are "quick" (12 prompts), "default" (24) and
            "full" (all).

    Returns:
        The base first, then every checkpoint by step, with their measures; `save` writes the page.

    Raises:
        InputRefused: no run there, or a model, text or option that cannot be used.
        MismatchedPair: the base is not the one that the run started from.
        NumericalFault: a NaN or infinity; names model and site.
    """
    start = time.perf_counter()
    asked = trace_config(config, options)
    check_arguments(run=run, progress=progress)
    if asked.base is not None:
        check_given(asked.base, "base")
    texts = Texts.of(asked.column, asked.split, "prompts")
    held_out = texts.read("prompts", asked.prompts)
    run = Path(run)
    found = kept(run)
    recorded = found[-1].facts
    chosen = asked.sizes or trace_sizes(asked.preset, asked.count)
    base = str(recorded["base_name"]) if asked.base is None else asked.base
    named = pinned(base, asked.revision, asked.subfolder)
    how: dict[str, Any] = {"like": asked.like, "dtype": asked.dtype, "device": asked.device}
    check_like(asked.like, named)
    first = checked(taken(named, "base", **how))
    _check_base(first, recorded, run)
    under = named if isinstance(named, str | Path) else first
    if asked.tokenizer is not None:
        first = first.reading_with(load_tokenizer(asked.tokenizer))
    study = Study(
        base=first,
        fitted=first,
        passages=builtin_passages("heldout") if held_out is None else held_out,
        sizes=chosen,
        run=RunContext(seed=asked.seed, batch_size=asked.batch_size, log=RunLog(progress)),
        chat=asked.chat,
    )
    _check_rows(study)

    def opened(path: Path) -> HookedModel:
        model = load(path, base=under, base_if_adapter=True, **how)
        return model if asked.tokenizer is None else model.reading_with(study.heldout.tokenizer)

    training_curve = read_curve(run_folder(run))
    points, facts = _points(study, found, opened, training_curve)
    preset = "custom" if asked.sizes else asked.preset
    told = provenance_of(study, facts, preset, asked.seed)
    seconds = {**told.wall_seconds, "total": time.perf_counter() - start}
    return Trace(
        schema_version=TRACE_VERSION,
        run=str(run),
        recipe=dict(recorded.get("config") or {}),
        data=dict(recorded.get("data") or {}),
        points=tuple(points),
        provenance=replace(told, wall_seconds=rounded(seconds)),
        training_curve=training_curve,
    )


def trace_config(config: Any, options: Mapping[str, Any]) -> TraceConfig:
    """Return all options of a trace.

    Args:
        config: a config, or the path of a file.
        options: options by their own names, which go before those of the config.

    Raises:
        InputRefused: a file, name or value that cannot be used.
    """
    given = settled(TraceConfig, config, options, specs_of(TraceConfig))
    if isinstance(given.get("sizes"), Mapping):
        preset = trace_sizes(given.get("preset", TraceConfig.preset))
        given["sizes"] = with_sizes(preset, given["sizes"])
    check_arguments(sizes=given.get("sizes"))
    return TraceConfig(**given)


def _check_base(base: HookedModel, recorded: Mapping[str, Any], run: Path) -> None:
    """Refuse a base that is not the one that the run started from."""
    if base.fingerprint != recorded["base_fingerprint"]:
        raise MismatchedPair(
            f"{base.name}: expected the model that {run} started from "
            f"({str(recorded['base_fingerprint'])[:12]}), found {base.fingerprint[:12]}; "
            "name it with --base"
        )


def _check_rows(study: Study) -> None:
    """Refuse fewer than two rows: nothing varies between prompts, no interval leaves one out."""
    usable = len(study.heldout.rows)
    if usable < 2:
        raise InputRefused(
            f"{study.passages.origin}: expected at least 2 passages of 4 tokens, found {usable} "
            f"among {len(study.passages)}"
        )


def _points(
    study: Study,
    found: Sequence[Kept],
    opened: Callable[[Path], HookedModel],
    curve: TrainingCurve | None,
) -> tuple[list[TracePoint], list[CheckpointFacts]]:
    """Measure the base, then every checkpoint by step, one in memory at a time."""
    ours = side(study, study.base, "base")
    loss, observed = _first_loss(curve), alone(study, ours)
    points = [TracePoint("base", (), 0, 0, loss, study.base.fingerprint, observed)]
    facts = [facts_of(study.base, "base")]
    for item in found:
        with study.run.log.timed("loading"):
            model = opened(item.path)
        told = {name: item.facts.get(name) for name in ("step", "epoch", "epoch_loss")}
        told["levels"] = list(item.facts.get("levels") or ())
        facts.append(replace(facts_of(model, item.name), trained=told))
        model = study.admitted(model)
        observed = beside(study, ours, model, side(study, model, item.name))
        loss = _loss(item, curve)
        points.append(
            TracePoint(
                item.name, item.also, item.step, item.epoch, loss, model.fingerprint, observed
            )
        )
        del model
        gc.collect()  # a model sits in reference cycles; the next one needs its memory
    if all(item.name != "final" for item in found):
        study.run.log.warnings.append(
            "The run is not finished: its final weights are not among these."
        )
    return points, facts


def trace_sizes(preset: str, count: int | None = None) -> Sizes:
    """The sizes of a trace's preset, with another number of prompts when `count` is given.

    Raises:
        InputRefused: not `quick`, `default` or `full`; fewer than 2 prompts.
    """
    if preset not in TRACE_PRESETS:
        known = ", ".join(TRACE_PRESETS)
        raise InputRefused(f"preset: expected one of {known}, found {preset!r}")
    if count is not None:
        at_least("number of prompts", count, 2)
    found = TRACE_PRESETS[preset]
    return found if count is None else replace(found, prompts=count)


def _first_loss(training_curve: TrainingCurve | None) -> Measured:
    if training_curve is None or training_curve.first_loss is None:
        return missing("the run's log has no first step")
    return Measured(training_curve.first_loss, method="first batch, before any update")


def _loss(item: Kept, training_curve: TrainingCurve | None) -> Measured:
    loss = item.facts.get("epoch_loss")
    if isinstance(loss, int | float) and not isinstance(loss, bool):
        return Measured(float(loss), method="mean over the last whole epoch")
    if training_curve is not None and training_curve.last_loss is not None and item.name == "final":
        return Measured(training_curve.last_loss, method="last batch: no epoch was whole")
    return missing("no epoch was whole")
