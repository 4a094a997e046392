"""Options of the commands: one name, type and line of help each, and the parsing of lists."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

Device = Annotated[str, typer.Option(help="auto (cuda, else cpu), cpu, cuda, cuda:1, ...")]
Like = Annotated[
    str | None,
    typer.Option(help="For a state dict: the checkpoint with its config and tokenizer."),
]
Seed = Annotated[int, typer.Option(help="Seeds splits, samples and random controls.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier output there.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Figures = Annotated[str, typer.Option(help="Also write figures: png, svg or png,svg.")]
Column = Annotated[
    str | None,
    typer.Option(
        help="Field that holds the text, for all texts or each: NAME, or prompts=NAME,...; text, "
        "messages, conversations, or prompt and completion by default."
    ),
]
Split = Annotated[
    str | None, typer.Option(help="Split of the texts: NAME, or prompts=NAME,... for each.")
]
Chat = Annotated[
    str,
    typer.Option(
        help="auto: messages are put into the chat template; on: plain texts too; off: none."
    ),
]
Tokenizer = Annotated[
    str | None,
    typer.Option(help="Checkpoint whose tokenizer reads the text, in place of the models' own."),
]

Revision = Annotated[
    str | None, typer.Option(help="Commit, branch or tag; also as NAME@REVISION in any name.")
]
Subfolder = Annotated[
    str | None,
    typer.Option(help="Folder inside the repository or directory; also as NAME:FOLDER."),
]

# What `train` works on.
Method = Annotated[str, typer.Option(help="full, lora or late-stage.")]
Data = Annotated[
    str | None,
    typer.Option(help="Training passages: a file, a data set directory or a data set id."),
]
Count = Annotated[int | None, typer.Option(help="Use the first N passages.")]
Heldout = Annotated[str | None, typer.Option(help="Held-out passages to evaluate on, likewise.")]
Out = Annotated[Path, typer.Option(help="Directory for the checkpoint, or for a sweep's cells.")]

# What `train` trains.
Blocks = Annotated[
    str | None,
    typer.Option(
        help="Which blocks train: last:5 (late-stage's own), first:5, middle:5, random:5, 10-14 or "
        "3+8+17; several, separated by commas, are a sweep. All by default for full and lora."
    ),
]
Seeds = Annotated[str, typer.Option(help="Seeds of a sweep, e.g. 0,1,2; instead of --seed.")]
FullWeights = Annotated[
    bool, typer.Option("--full-weights", help="late-stage: full weights instead of LoRA.")
]
Rank = Annotated[int, typer.Option(help="LoRA rank.")]
Alpha = Annotated[float | None, typer.Option(help="LoRA alpha; twice the rank by default.")]

# How `train` trains, and when it stops.
Rate = Annotated[float | None, typer.Option(help="Learning rate; 1e-4 for full, 2e-3 for LoRA.")]
Schedule = Annotated[
    str, typer.Option(help="Of the learning rate: plateau, constant, linear or cosine.")
]
Warmup = Annotated[int, typer.Option(help="Steps of linear warm-up.")]
Decay = Annotated[float, typer.Option(help="AdamW's weight decay.")]
Epochs = Annotated[int, typer.Option(help="At most this many passes over the data.")]
MaxSteps = Annotated[int | None, typer.Option(help="At most this many steps.")]
MaxSeconds = Annotated[
    float | None, typer.Option(help="At most this long, in seconds; ends the run.")
]
TargetLoss = Annotated[
    float, typer.Option(help="Stop when an epoch's mean training loss is at most this.")
]
BatchSize = Annotated[int, typer.Option(help="Passages per forward pass.")]
GradAccum = Annotated[int, typer.Option(help="Forward passes per optimiser step.")]
SeqLen = Annotated[int, typer.Option(help="Tokens kept of each passage; longer ones are cut.")]
Checkpointing = Annotated[
    bool,
    typer.Option("--gradient-checkpointing", help="Recompute each block: less memory, slower."),
]
FrozenHalf = Annotated[
    bool,
    typer.Option(
        "--frozen-bf16",
        help="LoRA with --dtype bfloat16: keep the frozen matrices in bfloat16, half the memory.",
    ),
]
Compile = Annotated[
    bool,
    typer.Option("--compile", help="Compile the blocks: a slow start, then faster steps."),
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic", help="Deterministic algorithms alone, so that a GPU repeats itself."
    ),
]
Fsdp = Annotated[
    bool,
    typer.Option("--fsdp", help="Under torchrun: spread weights and moments over the processes."),
]
TrainDtype = Annotated[
    str, typer.Option(help="float32, or bfloat16 to compute in bf16 on float32 weights.")
]

# What `train` leaves on the way.
EvalEvery = Annotated[
    int | None, typer.Option(help="Evaluate on held-out text every so many epochs.")
]
SaveAt = Annotated[
    str, typer.Option(help="Loss levels that leave a checkpoint, e.g. 3,2,1,0.5,0.1.")
]
SaveEpochs = Annotated[str, typer.Option(help="Epochs that leave a checkpoint, e.g. 1,2,5,10.")]
KeepControl = Annotated[
    bool, typer.Option("--control", help="Keep the checkpoint of least validation loss.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]
ReportTo = Annotated[
    str, typer.Option(help="Tell a tracker of it: tensorboard, wandb or trackio; or none.")
]

N = TypeVar("N", int, float)


def numbers(option: str, text: str, kind: Callable[[str], N]) -> tuple[N, ...]:
    """The numbers of a comma-separated list; an empty text has none.

    Raises:
        InputRefused: a part that is no such number; names the option.
    """
    from hyperinterp.errors import InputRefused

    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        words = "whole numbers" if kind is int else "numbers"
        raise InputRefused(
            f"{option}: expected {words} separated by commas, found {text!r}; write 1,2,3"
        ) from error


def placements(text: str | None) -> tuple[str, ...]:
    """The choices of blocks of a comma-separated list; none where the option was not given.

    Raises:
        InputRefused: one that is no placement.
    """
    from hyperinterp.blocks import Placement

    if text is None:
        return ()
    return tuple(Placement.read(part, "--blocks").text for part in text.split(","))


def refuse_taken(out: Path | None, force: bool) -> None:
    """Refuse an output path that exists, before anything else is looked at.

    Raises:
        InputRefused: something is there, and `force` is not given.
    """
    from hyperinterp.errors import InputRefused

    if out is not None and out.exists() and not force:
        raise InputRefused(
            f"{out}: expected a path that does not exist yet, found something there "
            "(--force replaces it)"
        )


def refuse_launcher(command: str) -> None:
    """Refuse several processes where one does the work: each would write the same files.

    Raises:
        InputRefused: a launcher has set WORLD_SIZE to another number than 1.
    """
    from hyperinterp.errors import InputRefused

    world = os.environ.get("WORLD_SIZE", "1")
    if world != "1":
        raise InputRefused(
            f"{command}: expected one process, found WORLD_SIZE={world}: start it without torchrun "
            "or accelerate"
        )


def formats(figures: str) -> tuple[str, ...]:
    """The formats named by --figures."""
    return tuple(part.strip() for part in figures.split(",") if part.strip())
