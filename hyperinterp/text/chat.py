"""Conversations as text: which template, for which passages, filled in within limits."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from hyperinterp.errors import InputRefused, UnsafeFile
from hyperinterp.text.passages import Passage, Passages, Turn

MODES = ("auto", "on", "off")
_CHILD = Path(__file__).with_name("_template_child.py")
_CLOCK = 180  # seconds; starting Python on a busy machine, the template's own limit is inside
_FIELD = "e.g. --column messages.0.content for the first message alone"
_KEPT = ("PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "LD_LIBRARY_PATH", "TMPDIR", "HOME")


@dataclass(frozen=True)
class Chat:
    """The chat template, and the passages that are put into it.

    Attributes:
        mode: "auto" (conversations only), "on" (all passages; a plain text is what a user says)
            or "off" (none; conversations are refused).
        template: the Jinja text; None where no tokenizer has one.
        tokens: the special tokens by name, which templates write.
        owner: whose template it is.
    """

    mode: str = "auto"
    template: str | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""

    def turns(self, passage: Passage, origin: str) -> tuple[Turn, ...]:
        """The messages to put into the template; none where the text is read as it is.

        Raises:
            InputRefused: a conversation with the template off, or no template for it.
        """
        if self.mode == "off" and not passage.plain:
            raise InputRefused(
                f"{origin}: passage {passage.id!r:.80}: expected plain text, since chat is off, "
                f"found messages; leave out --chat off, or name a field of text ({_FIELD})"
            )
        if self.mode == "off" or (self.mode == "auto" and passage.plain):
            return ()
        if self.template is None:
            raise InputRefused(
                f"{origin}: expected a tokenizer with a chat template, found none"
                f"{f' ({self.owner})' if self.owner else ''}; give one (chat_template.jinja beside "
                "the tokenizer, or tokenizer.chat_template), or "
                + ("leave out --chat on" if passage.plain else f"name a field of text ({_FIELD})")
            )
        return passage.turns or (("user", passage.text),)

    @property
    def sha256(self) -> str:
        """Digest of the template, hexadecimal; "" without one."""
        return "" if self.template is None else hashlib.sha256(self.template.encode()).hexdigest()


PLAIN = Chat()
"""No template: plain text is read as it is."""


def check_chat(mode: str) -> str:
    """Return the mode.

    Raises:
        InputRefused: not `auto`, `on` or `off`.
    """
    if mode not in MODES:
        raise InputRefused(f"chat: expected one of {', '.join(MODES)}, found {mode!r}")
    return mode


def chat_of(mode: str, tokenizers: Iterable[tuple[str, Any | None]]) -> Chat:
    """The template of the first tokenizer that has one.

    Args:
        mode: "auto", "on" or "off".
        tokenizers: name of the model and its tokenizer; None is passed over.

    Raises:
        InputRefused: another mode.
    """
    named = []
    for name, tokenizer in tokenizers:
        template = None if tokenizer is None else _template(tokenizer)
        if tokenizer is not None and template is not None:
            tokens = {k: str(v) for k, v in tokenizer.special_tokens_map.items() if v is not None}
            return Chat(check_chat(mode), template, tokens, name)
        named.append(name)
    return Chat(check_chat(mode), owner=", ".join(dict.fromkeys(named)))


def _template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    try:
        return tokenizer.get_chat_template()
    except ValueError:  # none, or several without a default
        return None


def rendered(chat: Chat, asked: Sequence[tuple[Passage, tuple[Turn, ...], bool]]) -> list[str]:
    """The texts of conversations, as the library's `apply_chat_template` gives them.

    Templates that ask for the date are always told 26 July 2024.

    Args:
        chat: has a template.
        asked: for each conversation its passage (for errors), its messages, and whether the
            words that open an answer (the generation prompt) come last.

    Raises:
        InputRefused: the template refuses a conversation.
        UnsafeFile: the template hit a limit of time, memory or size.
    """
    if not asked:
        return []
    given = {
        "template": chat.template,
        "tokens": dict(chat.tokens),
        "conversations": [
            {"messages": [{"role": role, "content": said} for role, said in turns], "prompt": last}
            for _, turns, last in asked
        ],
    }
    told = _child(json.dumps(given), f"chat template of {chat.owner}")
    if "texts" in told:
        return told["texts"]
    raise InputRefused(
        f"chat template of {chat.owner}: passage {asked[told['failed']][0].id!r:.80}: expected a "
        f"conversation that it takes, found {told['reason']}; change or leave out that "
        "conversation, or give the tokenizer another template"
    )


def _child(text: str, what: str) -> dict[str, Any]:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", PYTHONIOENCODING="utf-8")
    advice = "use another template (tokenizer.chat_template), or plain text with --chat off"
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_CHILD)], input=text.encode(), capture_output=True,
            timeout=_CLOCK, env=environment, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UnsafeFile(
            f"{what}: expected an end within {_CLOCK} s, found none; {advice}"
        ) from error
    try:
        return json.loads(done.stdout)
    except ValueError:
        pass
    if done.returncode in (-getattr(signal, "SIGXCPU", 24), -9):
        found = "a limit of time reached"
    elif b"MemoryError" in done.stderr:
        found = "a limit of memory reached"
    else:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"])[-1]
        found = f"the end of its process with code {done.returncode} ({last[:200]})"
    raise UnsafeFile(f"{what}: expected a text for each conversation, found {found}; {advice}")


def contents(passages: Passages, chat: Chat) -> Passages:
    """The same passages as plain texts: of a conversation, what was said, without template.

    Raises:
        InputRefused: a conversation with the template off.
    """
    if chat.mode == "off":
        for item in passages:
            chat.turns(item, passages.origin)
    if not any(item.turns for item in passages):
        return passages
    items = tuple(Passage(item.id, item.text) for item in passages)
    return Passages(items, passages.origin, passages.duplicates, passages.empty)
