"""The report: `schema` is the data; pages, tables, figures and files are made from it.

Nothing is imported until it is used: `from hyperinterp.report import Report, save`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperinterp.report.schema import Report, json_schema
    from hyperinterp.report.writing import save

__all__ = ["Report", "json_schema", "save"]

_WHERE = {"Report": "schema", "json_schema": "schema", "save": "writing"}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
