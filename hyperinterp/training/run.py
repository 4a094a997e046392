"""`train`: hyperfit a model, from a name and passages to a directory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from hyperinterp.ambient import own_settings
from hyperinterp.arguments import check_arguments
from hyperinterp.checkpoints import check_like, check_vocabulary, load_tokenizer, pinned
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import InputRefused
from hyperinterp.models import AnyModel, HookedModel, check_given
from hyperinterp.ranges import of_kind
from hyperinterp.text import as_passages, chat_of, check_chat, tokenise
from hyperinterp.training.compiling import check_compiler
from hyperinterp.training.config import TrainConfig
from hyperinterp.training.data import DataSummary, prepare_rows
from hyperinterp.training.folder import RunFolder
from hyperinterp.training.quiet import (
    deterministic_algorithms,
    faults_named,
    own_randomness,
    quiet_trainer,
)
from hyperinterp.training.result import TrainResult
from hyperinterp.training.running import Run
from hyperinterp.training.sharding import asked_of_accelerate
from hyperinterp.training.starting import own, prepared
from hyperinterp.training.surroundings import (
    check_card,
    check_fsdp,
    check_surroundings,
    prepare_cublas,
)
from hyperinterp.training.targets import check_method
from hyperinterp.training.tracker import Progress


@own_settings()
def train(
    model: AnyModel,
    passages: Any,
    out: str | Path,
    config: TrainConfig | None = None,
    *,
    heldout: Any = None,
    base: AnyModel | None = None,
    revision: str | None = None,
    subfolder: str | None = None,
    like: str | Path | None = None,
    device: str = "auto",
    force: bool = False,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    processes: Processes = ALONE,
    fsdp: bool = False,
    split: str | None = None,
    column: str | None = None,
    chat: str = "auto",
    tokenizer: str | Path | PreTrainedTokenizerBase | None = None,
) -> TrainResult:
    """Hyperfit a causal language model.

    Each passage is one row, cut to `config.seq_len` tokens; nothing is packed. The run keeps its
    files in `OUT.run` beside `out`, and `out` appears complete or not at all.

    Under a launcher every process makes the same call. N processes with `batch_size` b make the
    steps of one process with N b, up to rounding; the first one writes, and all must see `OUT.run`.

    Args:
        model: by name or in memory, whatever `hyperinterp.load` takes. A model in memory is left as
            it was: a float32 copy is trained. A HookedModel has to be in float32.
        passages: what to learn by heart, in any form that `as_passages` takes.
        out: directory to make: a PEFT adapter (LoRA) or a `save_pretrained` directory.
        config: the recipe; late-stage LoRA on the last five blocks by default.
        heldout: passages for the evaluation, the control checkpoint and the final validation loss,
            likewise.
        base: what an adapter given as `model` sits on.
        revision: commit, branch or tag of `model`, a Hugging Face id.
        subfolder: folder of `model` inside its repository or directory.
        like: for a model that is a state dict, the checkpoint with its config and tokenizer.
        device: `auto`, `cpu` or `cuda`: the first card that is visible.
        force: replace `out`, and discard an unfinished run.
        resume: continue the unfinished run of the same recipe and data. A finished one is
            returned as it is. The weights come out bit-identical on a CPU with the same number of
            threads, and on the same kind of GPU with `config.deterministic`, under the same
            libraries.
        on_progress: called after every step, in the first process.
        processes: those that train together, from `hyperinterp.distributed.join`.
        fsdp: spread weights, gradients and moments over the processes, block by block; so does
            `accelerate launch --use_fsdp`. Without the prefix cache.
        split: of both texts; see `as_passages`.
        column: their field of text; see `as_passages`.
        chat: "auto" puts conversations into the model's chat template, "on" plain texts too, as
            what a user says; "off" reads text as it is and refuses conversations. All tokens of
            a conversation are learnt.
        tokenizer: reads the passages in place of the model's own, and is saved with what is
            trained: a tokenizer, or the name of a checkpoint that has it.

    Returns:
        What the run made: its directory, epochs, steps, loss in nats, and the rule that ended it.

    Raises:
        InputRefused: an option, text or directory cannot be used; nothing was written.
        NumericalFault: a loss, gradient or weight became NaN or infinite; nothing is saved.
        OutOfResources: memory or disk ran out.
        KeyboardInterrupt: with a hint how to resume; the last resume point stays.
    """
    check_arguments(
        out=out, revision=revision, subfolder=subfolder, device=device, force=force,
        resume=resume, fsdp=fsdp, on_progress=on_progress, processes=processes,
    )  # fmt: skip
    config, out = TrainConfig() if config is None else config, Path(out)
    of_kind("config", config, TrainConfig, "a hyperinterp.TrainConfig")
    check_given(model, "model")
    model = pinned(model, revision, subfolder)
    fsdp = fsdp or asked_of_accelerate()
    check_like(like, model, base)
    check_surroundings(config, processes)
    place = str(model.device) if isinstance(model, HookedModel) else device
    check_card(place, processes)
    if config.deterministic:
        prepare_cublas(place)
    if fsdp:
        check_fsdp(model, config, processes)
    _check_heldout(config, heldout)
    check_chat(chat)
    fields: dict[str, Any] = {"split": split, "column": column}
    learnt = as_passages(passages, what="passages", **fields)
    unseen = None if heldout is None else as_passages(heldout, what="heldout", **fields)
    folder = RunFolder(out, force=force, resume=resume)
    processes.by_first(folder.check)
    hooked = _trainee(
        prepared(model, base=base, like=like, device=device), model, config, tokenizer
    )
    if config.compile:
        check_compiler(hooked.device)
    reader = _tokenizer(hooked)
    template = chat_of(chat, [(hooked.name, reader)])
    rows, data = prepare_rows(reader, learnt, config.seq_len, template)
    held = None if unseen is None else tokenise(reader, unseen, config.seq_len, chat=template)
    lengths = [len(row) for some in (rows, held) if some is not None for row in some.rows]
    hooked.check_length(max(lengths), "seq_len")
    digest = None if unseen is None else unseen.sha256
    recipe = _recipe(hooked, config, data, digest if config.keep_control else None)
    if processes.size > 1:
        recipe |= {"processes": processes.size, "fsdp": fsdp}
    finished = processes.by_first(lambda: folder.begin(recipe))
    if finished is not None:
        return TrainResult.of_json(out, finished)
    try:
        with (
            quiet_trainer(), own_randomness(config.seed), faults_named(folder.path),
            deterministic_algorithms(config.deterministic),
        ):  # fmt: skip
            return Run(
                hooked, rows, held, data, config, folder, on_progress, digest, processes,
                sharded=fsdp,
            ).result()  # fmt: skip
    finally:
        if processes.first:
            folder.release()


def _check_heldout(config: TrainConfig, heldout: Any) -> None:
    """Refuse a recipe that looks at held-out passages where none were given."""
    why = {"keep_control": "choose it by"} if config.keep_control else {}
    if config.eval_every is not None:
        why["eval_every"] = "evaluate on"
    for name, use in why.items():
        if heldout is None:
            raise InputRefused(
                f"{name}: expected held-out passages to {use}, found none; give heldout="
            )


def _trainee(
    hooked: HookedModel,
    given: Any,
    config: TrainConfig,
    tokenizer: str | Path | PreTrainedTokenizerBase | None,
) -> HookedModel:
    """Return the model that is trained: a copy of one in memory, with the tokenizer asked for."""
    if isinstance(given, HookedModel):
        hooked = own(hooked, copied=config.frozen_bf16 or not config.uses_lora)
    if tokenizer is not None:
        hooked = hooked.reading_with(load_tokenizer(tokenizer))
        check_vocabulary(hooked.hf, hooked.tokenizer, hooked.name)
    check_method(hooked, config)
    return hooked


def _tokenizer(model: HookedModel) -> Any:
    if model.tokenizer is None:
        raise InputRefused(
            f"{model.name}: expected a model with a tokenizer, found none; give it one with "
            "--tokenizer or tokenizer="
        )
    return model.tokenizer


def _recipe(
    model: HookedModel, config: TrainConfig, data: DataSummary, heldout_sha256: str | None
) -> dict[str, Any]:
    """Everything that determines the weights; a resumed run must have the same."""
    return {
        **config.as_json(),
        "base_fingerprint": model.fingerprint,
        "data_sha256": data.sha256,
        "tokens_sha256": data.tokens_sha256,
        "heldout_sha256": heldout_sha256,
    }
