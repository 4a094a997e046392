"""Shows doctests of docstrings as code: without this, `>>>` is a quotation in Markdown."""

import re
from typing import Any

import griffe

# A run of lines from the first prompt to the next empty line.
DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", flags=re.MULTILINE)


def fenced(text: str) -> str:
    """A docstring with its doctests in fences."""
    return DOCTEST.sub(lambda found: f"```pycon\n{found[0]}\n```", text)


class Doctests(griffe.Extension):
    """Called by griffe for every object that it reads."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence the doctests of one object."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
