"""The spec of a measurement without a verdict."""

from dataclasses import dataclass

from hyperinterp.claims.folder import Folder


@dataclass(frozen=True)
class LookSpec(Folder):
    """One measurement without a verdict, and the folder that makes and shows it.

    The folder is like a claim's (see `ClaimSpec`), without a rule: `measurement.py` (`measure`),
    `result.py`, `figures.py`, `tables.py` and `words.toml`.

    Attributes:
        slug: name of its result in a report: a lower-case identifier.
        title: heading of its section.
        question: what the section asks.
        package: the folder, as a dotted name: `__name__` of its `__init__.py`.
        result: name of the class in `result.py` that `measure` returns.
    """

    slug: str
    title: str
    question: str
    package: str
    result: str
