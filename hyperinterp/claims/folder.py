"""A folder that measures and shows something, whose modules are found by name."""

import importlib
from typing import Any


class Folder:
    """A folder that measures and shows something; its modules are imported when they are needed.

    Attributes:
        slug: name of its result in a report.
        title: heading of its section.
        question: what the section asks.
        package: the folder, as a dotted name.
        result: name of the class in `result.py` that `measure` returns.
    """

    slug: str
    title: str
    question: str
    package: str
    result: str

    def part(self, module: str, name: str) -> Any:
        """Something of the claim's folder, by the names of the module and the thing.

        Returns:
            None when the folder has no such module, or the module no such thing.
        """
        where = f"{self.package}.{module}"
        try:
            return getattr(importlib.import_module(where), name, None)
        except ModuleNotFoundError as error:
            if error.name != where:
                raise
            return None

    @property
    def result_type(self) -> type:
        """The class of the claim's result.

        Raises:
            TypeError: the folder has no such class.
        """
        found = self.part("result", self.result)
        if not isinstance(found, type):
            raise TypeError(f"{self.package}.result: expected a class {self.result}, found none")
        return found
