"""Options that several commands have."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from hyperinterp.config.option import Config, Kind, Option

CHATS = ("auto", "on", "off")


@dataclass(frozen=True)
class Starting(Config):
    """Names of models, and the device that they are loaded on."""

    GROUP: ClassVar[str] = "models"

    revision: Annotated[
        str | None, Option("Commit, branch or tag; also as NAME@REVISION in any name.")
    ] = None
    subfolder: Annotated[
        str | None, Option("Folder inside the repository or directory; also as NAME:FOLDER.")
    ] = None
    like: Annotated[
        str | Path | None,
        Option("For a state dict: the checkpoint with its config and tokenizer.", kind=Kind.TEXT),
    ] = None
    tokenizer: Annotated[
        Any,
        Option(
            "Checkpoint whose tokenizer reads the text, in place of the models' own.",
            kind=Kind.TEXT,
        ),
    ] = None
    device: Annotated[str, Option("auto (cuda, else cpu), cpu, cuda, cuda:1, mps, ...")] = "auto"


@dataclass(frozen=True)
class Loading(Starting):
    """Loading of models by name."""

    dtype: Annotated[str, Option("float32, bfloat16, float16 or float64.")] = "float32"


@dataclass(frozen=True)
class ReadText(Config):
    """Fields and template of the texts that are read."""

    GROUP: ClassVar[str] = "texts"

    column: Annotated[
        str | None,
        Option(
            "Field that holds the text, for all texts or each: NAME, or prompts=NAME,...; text, "
            "messages, conversations, or prompt and completion by default."
        ),
    ] = None
    split: Annotated[
        str | None, Option("Split of the texts: NAME, or prompts=NAME,... for each.")
    ] = None
    chat: Annotated[
        str,
        Option(
            "auto: messages are put into the chat template; on: plain texts too; off: none.",
            choices=CHATS,
        ),
    ] = "auto"


@dataclass(frozen=True)
class HeldOutText(ReadText):
    """The held-out text, and how all texts are read."""

    prompts: Annotated[
        Any,
        Option("Held-out passages: a file, a data set directory or a data set id.", kind=Kind.TEXT),
    ] = None
