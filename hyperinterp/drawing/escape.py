"""Model text is data: made visible, then escaped for HTML, plotly, Markdown, LaTeX or CSV.

Control characters, bidi controls, other invisible format characters and lone surrogates are
shown as their code points, so that no text can hide, reverse or restyle its surroundings.
"""

import html
import re
import unicodedata
from collections.abc import Iterator

from markupsafe import Markup

_JOINERS = {"\u200c", "\u200d"}  # letters of Persian and Indic scripts, and emoji, need them
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_SHOWN = {"\n": "↵", "\t": "⇥"}
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip
_MARKDOWN = re.compile(r"([\\`*_\[\]#|~$<>&@]|:(?=//)|(?<=www)\.)")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def hidden(character: str) -> bool:
    """Return whether a character has no picture of its own, or changes that of others."""
    return character not in _JOINERS and unicodedata.category(character) in _HIDDEN


def pieces(text: str, *, keep_lines: bool = False) -> Iterator[tuple[str, bool]]:
    """Split text into (run, is_code_point) parts; code points stand as `U+202E`.

    Args:
        text: anything, e.g. what a model wrote.
        keep_lines: leave line breaks in the runs instead of showing them as `↵`.
    """
    run: list[str] = []
    for character in text:
        if not hidden(character) or (keep_lines and character == "\n"):
            run.append(character)
            continue
        if run:
            yield "".join(run), False
            run = []
        yield _SHOWN.get(character, f"U+{ord(character):04X}"), True
    if run:
        yield "".join(run), False


def visible(text: str, *, keep_lines: bool = False) -> str:
    """Plain text in which everything hidden is shown, e.g. `a⟨U+202E⟩b`."""
    return "".join(
        (run if run in _SHOWN.values() else f"⟨{run}⟩") if mark else run
        for run, mark in pieces(text, keep_lines=keep_lines)
    )


def clip(text: str, limit: int, *, left: bool = False) -> str:
    """At most `limit` characters; the cut is marked, and `left` keeps the end of the text."""
    if len(text) <= limit:
        return text
    return "…" + text[-(limit - 1) :] if left else text[: limit - 1] + "…"


def token(text: str, limit: int = 28) -> str:
    """One token for a label: hidden characters and outer spaces shown, overlong ones cut."""
    body = text.strip(" ")
    head = len(text) - len(text.lstrip(" "))
    tail = len(text) - len(text.rstrip(" ")) if body else 0
    return clip("␣" * head + visible(body) + "␣" * tail, limit)


def label(text: str, limit: int = 60, *, left: bool = False) -> str:
    """Text for plotly, which reads pseudo-HTML and `$...$`: every such character escaped.

    Where it is cut, `left` keeps its end: that of a path tells more than its start.
    """
    shown = html.escape(clip(visible(text), limit, left=left), quote=False)
    return shown.replace("$", "&#36;")


def token_label(text: str, limit: int = 28) -> str:
    """A token for plotly; see `token` and `label`."""
    return label(token(text, limit), limit)


def html_text(text: str, *, keep_lines: bool = False) -> Markup:
    """HTML of a text without isolation: escaped, code points in a marked span."""
    return Markup("").join(
        Markup('<span class="cp">{}</span>').format(run) if mark else Markup("{}").format(run)
        for run, mark in pieces(text, keep_lines=keep_lines)
    )


def bdi(text: str, *, keep_lines: bool = False) -> Markup:
    """HTML of a model's or user's text: escaped, and isolated from its surroundings."""
    return Markup('<bdi dir="auto">{}</bdi>').format(html_text(text, keep_lines=keep_lines))


def markdown(text: str) -> str:
    """Text for a line or a table cell of Markdown: no markup, mention, link or HTML is left."""
    return _MARKDOWN.sub(r"\\\1", visible(text))


def code(text: str) -> str:
    """Text as an inline code span of Markdown that also is safe in a table cell."""
    shown = visible(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if shown[:1] in "` " or shown[-1:] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def latex(text: str) -> str:
    """Text for LaTeX: every special character spelled out."""
    return "".join(_LATEX.get(character, character) for character in visible(text))


def cell(text: str) -> str:
    """Text for a CSV cell; one that a spreadsheet would run as a formula starts with `'`."""
    shown = visible(text)
    return f"'{shown}" if text.startswith(_FORMULA) else shown
