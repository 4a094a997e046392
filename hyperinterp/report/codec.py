"""Frozen dataclasses as JSON in both directions, and the JSON Schema of a report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from hyperinterp.claims.folder import Folder
from hyperinterp.errors import CorruptFile, InputRefused
from hyperinterp.report.data import SCHEMA_VERSION, ReportData


@cache
def adapter_of(kind: type) -> Any:
    """Return pydantic's adapter of a dataclass, made once."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def schema_of(adapter: Any) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a document, made from its dataclass."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **adapter.json_schema(mode="serialization"),
    }


def document(adapter: Any, item: object) -> str:
    """A frozen dataclass as JSON text without NaN; deterministic for equal figures."""
    data = adapter.dump_python(item, mode="json")
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def stored(path: str | Path, name: str, command: str) -> tuple[str, str]:
    """Return the text of a document that a command wrote, and its path.

    Args:
        path: the file, or the directory that holds it.
        name: of the file in such a directory.
        command: what writes it.

    Raises:
        InputRefused: there is none.
    """
    path = Path(path)
    path = path / name if path.is_dir() else path
    if not path.is_file():
        raise InputRefused(
            f"{path}: expected a {name}, found nothing there; name the --out of "
            f"`hyperinterp {command}`"
        )
    return path.read_text(encoding="utf-8"), str(path)


def parsed(adapter: Any, text: str, origin: str, what: str, known: str) -> Any:
    """JSON text back as the frozen dataclass that the type adapter is of.

    An older minor version only lacks what may be missing, and is read as one of today's.

    Raises:
        CorruptFile: not JSON, or not of this layout.
        InputRefused: a layout of another major version than `known`, or a newer one.
    """
    from pydantic import ValidationError

    try:
        data = json.loads(text)
        version = data.get("schema_version")
    except (json.JSONDecodeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"{origin}: expected a {what}, found {error}") from error
    if version in _older(known):
        text, version = json.dumps({**data, "schema_version": known}), known
    if version != known:
        raise InputRefused(
            f"{origin}: expected {what} layout {known}, found {version!r}: make it anew with this "
            "hyperinterp, or read it with the one that its provenance names"
        )
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CorruptFile(f"{origin}: at {where}: {first['msg']}") from error


def _older(known: str) -> list[str]:
    """The earlier minor versions of a layout."""
    major, _, minor = known.partition(".")
    return [f"{major}.{number}" for number in range(int(minor))]


@cache
def _layout(specs: tuple[Folder, ...]) -> tuple[type, Any]:
    """The class of a whole document with a typed result for every folder, and its adapter."""
    from typing_extensions import TypedDict

    kinds = {spec.slug: spec.result_type | None for spec in specs}
    Results = TypedDict("Results", kinds)  # pyright: ignore

    @dataclass(frozen=True)
    class Report(ReportData):
        results: Results = field(default_factory=dict)  # pyright: ignore

    Report.__doc__ = ReportData.__doc__
    return Report, adapter_of(Report)


def to_json(report: ReportData, specs: Sequence[Folder]) -> str:
    """Return a report as JSON text; deterministic for equal values.

    Args:
        report: what to write.
        specs: the folders whose results it may hold.
    """
    kind, adapter = _layout(tuple(specs))
    values = {item.name: getattr(report, item.name) for item in fields(ReportData)}
    values["results"] = {spec.slug: report.results.get(spec.slug) for spec in specs}
    return document(adapter, kind(**values))


def from_json(text: str, specs: Sequence[Folder], origin: str) -> dict[str, Any]:
    """Read the fields of a report back.

    The result of a claim that is not installed here is left out, and `absent` says so.

    Args:
        text: JSON.
        specs: the folders that are known.
        origin: what to call the text in messages.

    Raises:
        CorruptFile: not JSON, or not of this layout.
        InputRefused: a layout version that this hyperinterp does not know.
    """
    _, adapter = _layout(tuple(specs))
    text, unknown = _known(text, {spec.slug for spec in specs})
    found = parsed(adapter, text, origin, "report", SCHEMA_VERSION)
    values = {item.name: getattr(found, item.name) for item in fields(ReportData)}
    values["results"] = {name: item for name, item in found.results.items() if item is not None}
    reasons = dict.fromkeys(unknown, "a claim of a package that is not installed here")
    return values | {"absent": found.absent | reasons}


def _known(text: str, slugs: set[str]) -> tuple[str, list[str]]:
    """The text without the results of unknown claims, and their slugs; all claims are there."""
    try:
        data = json.loads(text)
        results = data["results"]
        unknown = [slug for slug in results if slug not in slugs]
    except (ValueError, TypeError, KeyError, RecursionError):
        return text, []  # `parsed` says what is wrong
    if not isinstance(results, Mapping) or (not unknown and slugs <= set(results)):
        return text, []
    data["results"] = {slug: results.get(slug) for slug in sorted(slugs)}
    return json.dumps(data), unknown


def report_schema(specs: Sequence[Folder]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `report.json`, made from the claims."""
    return schema_of(_layout(tuple(specs))[1])
