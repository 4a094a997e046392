"""`study`: many twins of several recipes, and verdicts about the recipes."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from hyperinterp.ambient import own_settings
from hyperinterp.arguments import check_arguments
from hyperinterp.checkpoints import check_folder, check_like, load_tokenizer, pinned, write_file
from hyperinterp.config import as_yaml, read_mapping
from hyperinterp.errors import InputRefused
from hyperinterp.models import AnyModel, HookedModel, check_given, load
from hyperinterp.ranges import of_kind
from hyperinterp.run_log import Progress, silent
from hyperinterp.studies.cells import Cell, Places, Share, planned
from hyperinterp.studies.config import StudyConfig
from hyperinterp.studies.gathering import gathered
from hyperinterp.studies.locks import gathering, held, held_cell
from hyperinterp.studies.result import STUDY_VERSION
from hyperinterp.studies.running import Runner, Texts, run_cells
from hyperinterp.studies.schema import StudyReport
from hyperinterp.studies.writing import write_study
from hyperinterp.text import Passages, as_passages, builtin_passages, check_chat, unlearnt
from hyperinterp.training.card import versions
from hyperinterp.training.starting import prepared
from hyperinterp.training.targets import check_method


@own_settings()
def study(
    model: AnyModel,
    out: str | Path,
    config: StudyConfig | None = None,
    *,
    cell: str | None = None,
    revision: str | None = None,
    subfolder: str | None = None,
    like: str | Path | None = None,
    device: str = "auto",
    tokenizer: str | Path | PreTrainedTokenizerBase | None = None,
    progress: Progress = silent,
) -> StudyReport:
    """Train every recipe under every seed, compare each twin with its base, judge the recipes.

    The same call goes on where it stopped: what is finished is verified and kept. A cell that fails
    costs that cell, and is tried again by the next call.

    Args:
        model: by name or in memory, whatever `train` takes.
        out: directory for the cells, `study.yaml`, `study.json`, `study.html` and `study.md`.
        config: the study; `StudyConfig()` by default.
        cell: "i/n": do the i-th of n shares of the cells, such as the jobs of a Slurm array; any
            number of commands may work on one `out` like that. Without it, or when the last share
            is done, the study is gathered whole. A share of more than there are cells does none
            and gathers what is there.
        revision: commit, branch or tag of `model`, a Hugging Face id.
        subfolder: folder of `model` inside its repository or directory.
        like: for a model that is a state dict, the checkpoint with its config and tokenizer.
        device: where to train and compare.
        tokenizer: reads all texts in place of the model's own.
        progress: told of work done.

    Returns:
        Every cell and every recipe as far as they are done; it is also written to `out`, after an
        interruption too.

    Raises:
        InputRefused: an option, text or model that cannot be used; `out` holds another study, or
            another command works on it.
        OutOfResources: memory or disk ran out; the same call goes on.
        KeyboardInterrupt: likewise.
    """
    check_arguments(
        out=out, revision=revision, subfolder=subfolder, device=device, progress=progress
    )
    config = StudyConfig() if config is None else config
    of_kind("config", config, StudyConfig, "a hyperinterp.StudyConfig")
    share = None if cell is None else Share.read(cell)
    check_given(model, "model")
    model = pinned(model, revision, subfolder)
    check_like(like, model)
    check_chat(config.chat)
    texts = read_texts(config)
    cells, places = planned(config), Places(Path(out))
    check_folder(places.out, "study", ("study.yaml", "locks"))
    base = prepared(model, base=None, like=like, device=device)
    if tokenizer is not None:
        tokenizer = load_tokenizer(tokenizer)
    for each in cells:
        check_method(base, config.recipe(each.method, each.blocks, each.seed))
    measured = _measured(base, model, config, like, device)
    with held(places, share):
        _claimed(places, base, config, texts)
        runner = Runner(config, cells, places, base, measured, texts, progress, device, tokenizer)
        mine = [it for index, it in enumerate(cells) if share is None or share.takes(index)]

        def written() -> StudyReport:
            with gathering(places):
                found = StudyReport(**gathered(places, cells, _facts(base, config, texts)))
                write_study(found, places.out)
            return found

        try:
            run_cells(runner, mine, lambda it: held_cell(places, it))
        except BaseException:
            with suppress(Exception):  # what stopped it is what is told
                written()
            raise
        return written()


def read_texts(config: StudyConfig) -> Texts:
    """Return the texts of a study.

    Raises:
        InputRefused: one that cannot be read, or fewer passages than asked for.
    """

    def read(name: str, given: str | None, builtin: Passages) -> Passages:
        if given is None:
            return builtin
        return as_passages(given, split=config.split, column=config.column, what=name)

    learnt = read("data", config.data, builtin_passages("train"))
    if config.passages is not None and config.passages > len(learnt):
        raise InputRefused(
            f"passages: expected at most the {len(learnt)} passages of {learnt.origin}, found "
            f"{config.passages}; ask for fewer, or name more text with data"
        )
    learnt = learnt.head(config.passages)
    return Texts(
        learnt,
        read("heldout", config.heldout, unlearnt(learnt) or builtin_passages("heldout")),
        read("prompts", config.prompts, builtin_passages("heldout")),
    )


def _measured(
    base: HookedModel,
    model: AnyModel,
    config: StudyConfig,
    like: str | Path | None,
    device: str,
) -> AnyModel:
    """The base for the comparisons: the one that is trained, or in another dtype."""
    if config.dtype == "float32":
        return base
    if not isinstance(model, str | Path):
        raise InputRefused(
            f"dtype: expected float32 for a model in memory, found {config.dtype}; name the model"
        )
    return load(model, like=like, dtype=config.dtype, device=device)


def _claimed(places: Places, base: HookedModel, config: StudyConfig, texts: Texts) -> None:
    """Write the resolved study; refuse a directory where another one was begun."""
    wanted = {
        "model": base.name,
        **config.as_json(),
        "found": {"fingerprint": base.fingerprint, **texts.digests},
    }
    with gathering(places):
        if places.config.is_file():
            stored = read_mapping(places.config)
            different = _differing(stored, json.loads(json.dumps(wanted)))
            if different:
                raise InputRefused(
                    f"{places.out}: expected the study that was begun there, found "
                    f"{'; '.join(different)}; name another --out"
                )
            return
        write_file(places.config, as_yaml(wanted).encode("utf-8", "backslashreplace"))


def _differing(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {stored.get(name)!r:.80} -> {wanted.get(name)!r:.80}"
        for name in {**wanted, **stored}
        if name != "model" and stored.get(name) != wanted.get(name)
    ]


def _facts(base: HookedModel, config: StudyConfig, texts: Texts) -> dict[str, Any]:
    return {
        "schema_version": STUDY_VERSION,
        "model": base.name,
        "fingerprint": base.fingerprint,
        "config": config.as_json(),
        "texts": texts.digests,
        "versions": versions(),
    }


def listed_cells(config: StudyConfig, out: Path) -> list[tuple[Cell, str]]:
    """Return every cell and how far it is, without loading anything.

    Args:
        config: the study.
        out: its directory, there or not.
    """
    from hyperinterp.studies.gathering import is_trained, read_failure

    places = Places(out)
    found: list[tuple[Cell, str]] = []
    for cell in planned(config):
        done = (places.report(cell) / "report.json").is_file()
        state = "failed" if read_failure(places, cell) else "done" if done else "not done"
        if state == "not done" and is_trained(places.twin(cell)):
            state = "trained"
        found.append((cell, state))
    return found
