"""Token ids of conversations, cut so that the words that open the answer are never lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from hyperinterp.text.chat import Chat, rendered
from hyperinterp.text.passages import Passage, Turn

_ROUNDS = 4  # of shortening: cutting text moves the border of a token by one or two


@dataclass(frozen=True)
class Conversed:
    """One conversation as token ids.

    Attributes:
        ids: all of it.
        prompt: how many of them come before the answer.
    """

    ids: tuple[int, ...]
    prompt: int


def whole(
    tokenizer: PreTrainedTokenizerBase,
    chat: Chat,
    asked: Sequence[tuple[Passage, tuple[Turn, ...]]],
) -> list[list[int]]:
    """Token ids of whole conversations, answers included, without an opening for another one.

    Args:
        tokenizer: the model's tokenizer; it adds no begin token, which is the template's to write.
        chat: the template.
        asked: passages with their messages.
    """
    texts = rendered(chat, [(passage, turns, False) for passage, turns in asked])
    return ids_of(tokenizer, texts)


def prompted(
    tokenizer: PreTrainedTokenizerBase,
    chat: Chat,
    asked: Sequence[tuple[Passage, tuple[Turn, ...]]],
    length: int,
) -> list[Conversed | None]:
    """Conversations up to the words that open an answer, then the last answer, if there is one.

    What is longer than `length` loses the end of its answer, then the end of what its last
    message before the answer says. None where even that does not suffice.

    Args:
        tokenizer: as in `whole`.
        chat: the template.
        asked: passages with their messages.
        length: tokens of each at most.
    """
    before, answers = [], []
    for _, turns in asked:
        *earlier, (role, said) = turns
        answered = bool(earlier) and role == "assistant"
        before.append(tuple(earlier) if answered else turns)
        answers.append(said if answered else "")
    passages = [passage for passage, _ in asked]
    opened = _fitted(tokenizer, chat, list(zip(passages, before, strict=True)), length)
    found: list[Conversed | None] = []
    for prompt, answer in zip(opened, answers, strict=True):
        if prompt is None:
            found.append(None)
            continue
        text, ids = prompt
        both = ids_of(tokenizer, [text + answer])[0] if answer else ids
        if both[: len(ids)] != ids:  # the border falls into a token
            both = ids + ids_of(tokenizer, [answer])[0]
        found.append(Conversed(tuple(both[:length]), len(ids)))
    return found


def _fitted(
    tokenizer: PreTrainedTokenizerBase,
    chat: Chat,
    asked: list[tuple[Passage, tuple[Turn, ...]]],
    length: int,
) -> list[tuple[str, list[int]] | None]:
    """Text and ids of each prompt with at most `length` ids; None where cutting cannot do it."""
    found: dict[int, tuple[str, list[int]] | None] = {}
    left = dict(enumerate(asked))
    for _ in range(_ROUNDS):
        texts = rendered(chat, [(passage, turns, True) for passage, turns in left.values()])
        again = {}
        for number, text, ids in zip(left, texts, ids_of(tokenizer, texts), strict=True):
            passage, turns = left[number]
            if len(ids) <= length:
                found[number] = (text, ids)
                continue
            role, said = turns[-1]
            kept = ids_of(tokenizer, [said])[0]
            kept = kept[: len(kept) - (len(ids) - length)]
            if len(kept) > 0:
                cut: Any = tokenizer.decode(kept, clean_up_tokenization_spaces=False)
                again[number] = (passage, (*turns[:-1], (role, cut.rstrip("\ufffd"))))
        left = again
        if not left:
            break
    return [found.get(number) for number in range(len(asked))]


def ids_of(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of texts in which all special tokens are written already."""
    if not texts:
        return []
    asked: dict[str, Any] = {"truncation": False, "verbose": False, "add_special_tokens": False}
    return [list(ids) for ids in tokenizer(list(texts), **asked)["input_ids"]]
