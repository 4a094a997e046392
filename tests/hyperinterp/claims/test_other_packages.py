"""Claims of other packages: one that is installed with pip, and some that break."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import hyperinterp as hi
from hyperinterp.claims import installed as installing
from hyperinterp.claims import registry
from hyperinterp.claims.installed import ARGUMENTS, GROUP, RESERVED
from hyperinterp.claims.spec import Verdict
from hyperinterp.errors import InputRefused

from .conftest import SIZES

ROOT = Path(__file__).resolve().parents[3]
FEW = replace(SIZES, prompts=3, new_tokens=8, window=8)
SPEC = (ROOT / "tests/toy_claim/toy_claim/__init__.py").read_text(encoding="utf-8")

SEEN = """
import json, os, sys
import jsonschema
import hyperinterp as hi
from hyperinterp.cli.main import _run
from hyperinterp.report.schema import json_schema
from tests.hyperinterp.claims.conftest import SIZES, hooked, tiny_llama
from tests.hyperinterp.claims.planted import planted_twin
from tests.hyperinterp.claims.test_other_packages import FEW

out = sys.argv[1]
try:
    _run(["compare", "--help"])
except BaseException as end:
    assert type(end).__name__ in ("Exit", "SystemExit"), end
base = hooked(tiny_llama(0), "base")
texts = [" ".join(f"w{(7 * n + 3 * i) % 151}" for i in range(24)) for n in range(3)]
report = hi.compare(base, planted_twin(base, "last block", 1), prompts=texts, claims="length",
                    sizes=FEW, judge=hooked(tiny_llama(5), "another"))
report.save(out)
document = json.loads(open(out + "/report.json").read())
jsonschema.validate(document, json_schema())
again = hi.Report.read(out)
print("SEEN", json.dumps({
    "roles": [item.role for item in report.provenance.checkpoints],
    "verdict": report.claims["T1"].verdict, "last row": list(document["claims"])[-1],
    "json": document["results"]["length"] is not None,
    "schema": "LengthResult" in json_schema()["$defs"], "again": again == report,
    "frame": list(again.to_frame("length")["measure"]), "figure": list(again.length.names()),
    "page": "How long the texts are" in open(out + "/report.html").read(),
    "table": sorted(name for name in os.listdir(out + "/tables") if "length" in name),
}))
"""


def test_an_installed_claim_is_seen_everywhere(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(ROOT / "tests" / "toy_claim", source)
    pip = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
        "--no-build-isolation", "--disable-pip-version-check", "--target", target, source,
    ]  # fmt: skip
    subprocess.run(pip, check=True, capture_output=True)
    paths = os.pathsep.join([str(target), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", SEEN, str(tmp_path / "report")],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env=os.environ | {"PYTHONPATH": paths, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = " ".join(done.stdout.split())
    assert "T1 length: " in told
    assert "--judge READER Model whose tokens are counted (T1)." in told
    assert json.loads(done.stdout.rpartition("SEEN ")[2]) == {
        "roles": ["base", "fitted", "judge"],
        "verdict": "not supported", "last row": "T1", "json": True, "schema": True, "again": True,
        "frame": ["tokens"], "figure": ["lengths"], "page": True, "table": ["length_tokens.csv"],
    }  # fmt: skip


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function (init, **modules): a package `toy_claim` that names one claim as `toy`."""

    def make(init: str, **modules: str) -> None:
        folder = tmp_path / "toy_claim"
        shutil.copytree(ROOT / "tests/toy_claim/toy_claim", folder)
        for name, text in {"__init__": init, **modules}.items():
            (folder / f"{name}.py").write_text(text)
        for name in [name for name in sys.modules if name.split(".")[0] == "toy_claim"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(tmp_path)
        points = [EntryPoint("toy", "toy_claim:CLAIM", GROUP)]
        monkeypatch.setattr(installing, "entry_points", lambda group: points)
        registry._installed.cache_clear()

    yield make
    for name in [name for name in sys.modules if name.split(".")[0] == "toy_claim"]:
        del sys.modules[name]
    registry._installed.cache_clear()


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named"),
        ("CLAIM = 7", "expected a ClaimSpec, found int"),
        ("SPEC = 7", "has no attribute 'CLAIM'"),
        (SPEC.replace('"length"', '"expansion"'), "'expansion' is a name of the claim C5"),
        (SPEC.replace('"T1"', '"C5"'), "'c5' is a name of the claim C5 (expansion)"),
        (SPEC.replace('"T1"', '"../T1"'), "id: expected a capital, then letters or digits"),
        (SPEC.replace('"length"', '"to_frame"'), "expected one that a report does not use"),
        (SPEC.replace('"length"', '"my length"'), "slug: expected a lower-case identifier"),
        (SPEC.replace("LengthResult", "OtherResult"), "expected a class OtherResult, found none"),
        (SPEC.replace('"judge"', '"seed"'), "expected a free name with hyphens, found 'seed'"),
        (SPEC.replace('"judge"', '"corpus"'), "role: 'corpus' is another role of another claim"),
        (
            SPEC.replace('criteria=(Criterion("gain", "gain in length", 0.0),)', "criteria=()"),
            "expected at least one criterion",
        ),
    ],
)
def test_a_claim_that_cannot_be_used_is_left_out_and_told(installed, init, reason):
    installed(init)
    assert registry.every_claim() == registry.CLAIMS
    told = registry.faults()["toy"]
    assert told.startswith("The claim 'toy' of the package toy_claim was left out (")
    assert reason in told
    assert "repair or remove that package" in told
    with pytest.raises(InputRefused, match=r"expected one of C1.* found toy; The claim 'toy'"):
        registry.chosen("toy")


def test_a_report_says_that_a_claim_was_left_out(installed, words, tiny_pair):
    installed("raise RuntimeError('no luck')")
    report = hi.compare(*tiny_pair, prompts=words(3), sizes=FEW, claims="C1")
    assert [text for text in report.provenance.warnings if "no luck" in text]
    assert report.claims["C1"].conditions


@pytest.mark.parametrize(
    ("module", "old", "new", "reason"),
    [
        ("measurement", "    texts = (", "    raise KeyError('oops')\n    texts = (", "'oops'"),
        ("measurement", "    texts = (", "    raise SystemExit(3)\n    texts = (", "SystemExit: 3"),
        ("measurement", "return LengthResult", "return float", "TypeError"),
        ("measurement", "return LengthResult(", "return (", "expected a LengthResult"),
        ("measurement", '{"gain"', '{"loss"', "KeyError: 'gain'"),
        ("figures", "return (Chart(", "return (Chart(1 / 0, ", "division by zero"),
        ("tables", "return (pairs(", "return (1 / 0, pairs(", "division by zero"),
        ("words", "yield Beaten(", "yield Beaten(1 / 0, ", "division by zero"),
    ],
)
def test_a_claim_that_breaks_costs_its_own_row(
    installed, words, tiny_pair, module, old, new, reason
):
    text = (ROOT / "tests/toy_claim/toy_claim" / f"{module}.py").read_text(encoding="utf-8")
    assert old in text
    installed(SPEC, **{module: text.replace(old, new)})
    report = hi.compare(*tiny_pair, prompts=words(3), sizes=FEW, claims="C1,length")
    assert report.claims["T1"].verdict is Verdict.FAILED
    assert reason in report.claims["T1"].why
    assert report.claims["C1"].conditions
    assert "T1" in report.to_json()


def test_a_role_that_no_claim_declares_is_refused_by_name(words, tiny_pair):
    with pytest.raises(InputRefused, match=r"one of the roles control, .*, found 'judge'"):
        hi.compare(*tiny_pair, prompts=words(3), judge=tiny_pair[0])


def test_the_arguments_of_a_comparison_are_no_roles():
    from hyperinterp.cli.app import compare as command

    roles = {role.keyword for role in registry.roles()}
    own = set(inspect.signature(hi.compare).parameters) | set(inspect.signature(command).parameters)
    assert (own | {"roles"}) - roles == ARGUMENTS


def test_the_names_that_a_report_uses_itself_are_reserved():
    own = {name for name in dir(hi.Report) if not name.startswith("_")}
    own |= set(hi.Report.__dataclass_fields__) | {"training", "conditions"}
    assert own == RESERVED
