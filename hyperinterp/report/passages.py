"""Generated text as HTML: token spans that repeat or were copied, marked."""

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from hyperinterp.drawing.escape import html_text
from hyperinterp.drawing.texts import Passage

_TITLES = {
    "rep": "occurred earlier in this text",
    "cop": "occurs in the training text",
    "rep cop": "occurred earlier, and occurs in the training text",
}


def _inside(length: int, spans: Sequence[tuple[int, int]]) -> list[bool]:
    flags = [False] * length
    for start, stop in spans:
        for index in range(max(start, 0), min(stop, length)):
            flags[index] = True
    return flags


def marked(item: Passage) -> Markup:
    """The generation, token by token, with `<mark>` around repeated and copied spans."""
    length = len(item.pieces)
    repeated, copied = (
        _inside(length, item.marks.get("rep", ())),
        _inside(length, item.marks.get("cop", ())),
    )
    classes = [
        " ".join(name for name, there in (("rep", rep), ("cop", cop)) if there)
        for rep, cop in zip(repeated, copied, strict=True)
    ]
    parts: list[Markup] = []
    for kind, group in groupby(zip(item.pieces, classes, strict=True), key=lambda pair: pair[1]):
        text = html_text("".join(piece for piece, _ in group), keep_lines=True)
        if kind:
            text = Markup('<mark class="{}" title="{}">{}</mark>').format(kind, _TITLES[kind], text)
        parts.append(text)
    return Markup("").join(parts)
