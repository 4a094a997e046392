"""Several texts of one job, each with a field and split of its own."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hyperinterp.errors import InputRefused
from hyperinterp.text.passages import Passages
from hyperinterp.text.reading import as_passages


def for_each(option: str, given: str | None, texts: Iterable[str]) -> dict[str, str | None]:
    """Return the value of an option for each text: the same for all, or `text=value,text=value`.

    Args:
        option: its name, for errors.
        given: what was given.
        texts: names of the texts.

    Raises:
        InputRefused: a text that the job does not have.
    """
    names = tuple(texts)
    if given is None or "=" not in given:
        return dict.fromkeys(names, given)
    pairs = [part.partition("=") for part in given.split(",") if part.strip()]
    found: dict[str, str | None] = {name.strip().lstrip("-"): value for name, _, value in pairs}
    wrong = [name for name in found if name not in names or not found[name]]
    if wrong:
        raise InputRefused(
            f"{option}: expected NAME, or {names[0]}=NAME with some of {', '.join(names)}, found "
            f"{given!r}: correct {wrong[0]!r}"
        )
    return {**dict.fromkeys(names, None), **found}


@dataclass(frozen=True)
class Texts:
    """The texts of one job, each with its field and split.

    Attributes:
        column: field by text.
        split: split by text.
    """

    column: dict[str, str | None]
    split: dict[str, str | None]

    @staticmethod
    def of(column: str | None, split: str | None, *texts: str) -> "Texts":
        """Return the fields and splits of these texts.

        Raises:
            InputRefused: as `for_each`.
        """
        return Texts(for_each("column", column, texts), for_each("split", split, texts))

    def read(self, text: str, given: Any, limit: int | None = None) -> Passages | None:
        """Return the passages of one text; None where it was not given.

        Raises:
            InputRefused: they cannot be read.
        """
        if given is None:
            return None
        return as_passages(
            given,
            split=self.split[text],
            column=self.column[text],
            limit=limit,
            what=text.replace("-", "_"),
        )
