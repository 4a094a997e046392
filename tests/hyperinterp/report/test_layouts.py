"""A layout that changes gets a new version; a file of another version is named as such."""

import hashlib
import json
from typing import Any

import pytest

from hyperinterp.claims.quality.result import EARLIER
from hyperinterp.errors import InputRefused
from hyperinterp.report.data import SCHEMA_VERSION
from hyperinterp.report.schema import Report, json_schema
from hyperinterp.report.trace.data import TRACE_VERSION
from hyperinterp.report.trace.schema import trace_schema
from hyperinterp.studies.result import STUDY_VERSION
from hyperinterp.studies.schema import study_schema

WORDS = {"title", "description"}
LAYOUTS = {
    "report": (json_schema, SCHEMA_VERSION, "3.3", "eb1723039ecca2b2"),
    "trace": (trace_schema, TRACE_VERSION, "2.0", "6cf0f0cb2219b07c"),
    "study": (study_schema, STUDY_VERSION, "1.0", "1e6d058b6e326b8d"),
}
"""Version and fingerprint of each layout: change one with the other; the minor version where all
that is new may be missing."""


def without_words(schema: Any) -> Any:
    """A schema without what it says of itself; a property that is called `title` stays."""
    if isinstance(schema, list):
        return [without_words(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: without_words(value)
        for key, value in schema.items()
        if key not in WORDS or not isinstance(value, str)
    }


def fingerprint(schema: dict[str, Any]) -> str:
    text = json.dumps(without_words(schema), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_that_changed_has_a_new_version(name: str) -> None:
    schema, version, known, known_print = LAYOUTS[name]
    found = (version, fingerprint(schema()))
    assert found == (known, known_print), "raise the version, then write both down here"


def test_words_do_not_count_and_fields_do() -> None:
    one = {"properties": {"title": {"type": "string", "description": "a"}}, "title": "x"}
    other = {"properties": {"title": {"type": "string", "description": "b"}}, "title": "y"}
    assert fingerprint(one) == fingerprint(other)
    other["properties"]["title"]["type"] = "number"
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) != fingerprint({"properties": {}, "title": "x"})


def test_a_report_of_an_older_layout_is_named_as_such() -> None:
    with pytest.raises(InputRefused, match=r"expected report layout 3\.3, found '2\.0': make it"):
        Report.from_json('{"schema_version": "2.0", "claims": {}}')


def test_an_earlier_minor_version_lacks_what_came_later_and_is_read(complete: Report) -> None:
    """3.0 had neither loops nor bits per byte; a newer one may hold what is not known here."""
    data = json.loads(complete.to_json())
    assert data["results"].pop("loops") is not None
    for text in data["results"]["quality"]["texts"]:
        del text["bits_per_byte"]
    found = Report.from_json(json.dumps({**data, "schema_version": "3.0"}))
    assert found.schema_version == SCHEMA_VERSION
    assert found.claims == complete.claims
    lacks = {item.bits_per_byte.reason for item in found.results["quality"].texts}
    assert lacks == {EARLIER.reason}
    for version in ("3.4", "4.0", "2.9", "3", 3.0, None, ["3.0"]):
        with pytest.raises(InputRefused, match="expected report layout"):
            Report.from_json(json.dumps({**data, "schema_version": version}))
