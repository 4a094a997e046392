"""Passages with their words in another order: what real text adds is the difference to them."""

import random
from dataclasses import replace

from hyperinterp.text import Passage, Passages


def shuffled_words(passages: Passages, seed: int = 0) -> Passages:
    """Return the same passages, the words of each (of each message) in random order.

    Args:
        passages: the text.
        seed: of the orders; a passage's own depends on nothing else but its id.
    """
    items = tuple(_shuffled(item, random.Random(f"words {seed} {item.id}")) for item in passages)
    return replace(passages, items=items, origin=f"{passages.origin}, words shuffled")


def _shuffled(item: Passage, draw: random.Random) -> Passage:
    if not item.turns:
        return replace(item, text=_mixed(item.text, draw))
    turns = tuple((role, _mixed(content, draw)) for role, content in item.turns)
    return replace(item, turns=turns, text=_mixed(item.text, draw))


def _mixed(text: str, draw: random.Random) -> str:
    words = text.split()
    draw.shuffle(words)
    return " ".join(words)
