"""The words beside figures, from `words.toml` in the folder that draws them."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from hyperinterp.drawing.chart import Explanation

FILE = "words.toml"
TYPICAL, TERMS = "typical", "terms"  # tables of the file that tell of no figure


@cache
def words(package: str) -> dict[str, dict[str, str]]:
    """Return the words of a folder's figures, by figure, beside two tables of another kind.

    `typical` fills braces on a page; `terms` explains the terms of the claim, `terms-ID` those of
    its further section ID.

    Args:
        package: the folder, as a dotted name.
    """
    return tomllib.loads(files(package).joinpath(FILE).read_text(encoding="utf-8"))


def explained(package: str | None, figure: str, **values: Any) -> tuple[str, Explanation]:
    """Return title and explanation of a figure.

    Args:
        package: the folder, as a dotted name: `__package__` of the module that draws.
        figure: name of the figure.
        values: what stands for the words in braces.
    """
    assert package is not None
    told = words(package)[figure]
    parts = {name: told[name].format(**values) for name in ("shows", "unit", "interval", "against")}
    return told["title"], Explanation(**parts)


@cache
def terms(package: str, section: str = "") -> dict[str, str]:
    """Return what the terms of a folder mean, in the order in which they are told.

    Args:
        package: the folder, as a dotted name; one without words explains none.
        section: id of a further section of the claim; "" for the claim's own.
    """
    try:
        return words(package).get(f"{TERMS}-{section}" if section else TERMS, {})
    except FileNotFoundError:
        return {}
