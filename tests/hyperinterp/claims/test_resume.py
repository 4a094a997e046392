"""An interrupted comparison keeps what is done, and does what is missing to the same bits."""

import json
import multiprocessing
import signal
import sys
from dataclasses import replace
from importlib import import_module

import pytest

import hyperinterp as hi
from hyperinterp.checkpoints import only_one
from hyperinterp.claims.registry import CLAIMS
from hyperinterp.claims.spec import Verdict
from hyperinterp.cli import ends
from hyperinterp.cli.main import main
from hyperinterp.errors import InputRefused, OutOfResources
from tests.cli_rows import run_jobs
from tests.hyperinterp import people

from .conftest import SIZES

WANTED = "C1,C4,C5"


class Killed(BaseException):
    """What no claim can catch, as SIGTERM and Ctrl-C are."""


@pytest.fixture
def given(words):
    return {"prompts": words(8), "sizes": replace(SIZES, prompts=8), "claims": WANTED}


@pytest.fixture
def measures(monkeypatch):
    """A function (slug, measure) that replaces how a claim is measured; returns the old way."""

    def put(slug, measure):
        spec = next(spec for spec in CLAIMS if spec.slug == slug)
        module = import_module(f"{spec.package}.measurement")
        honest = module.measure
        monkeypatch.setattr(module, "measure", lambda study: measure(honest, study))
        return honest

    return put


def test_what_is_done_is_not_done_again(given, planted, tmp_path, measures, monkeypatch):
    pair, folder, ran = planted("last block"), tmp_path / "kept", []
    whole = hi.compare(*pair, **given)
    pair[1].blocks[0].register_forward_hook(lambda *_: ran.append(1))

    def forwards(**more):
        """A comparison, and how often the fitted model ran in it."""
        before = len(ran)
        return hi.compare(*pair, **given | more), len(ran) - before

    def dies(honest, study):
        raise Killed

    measures("reranking", dies)
    with pytest.raises(Killed):
        forwards(resume_dir=folder)
    done = {path.stem for path in (folder / "claims").iterdir()}
    assert "C1" in done
    assert "C4" not in done
    monkeypatch.undo()
    for spec in CLAIMS:
        if spec.id in done:
            measures(spec.slug, dies)
    resumed, made = forwards(resume_dir=folder)
    assert resumed.claims == whole.claims
    assert resumed.results == whole.results
    assert not folder.exists()
    left = [name for name in WANTED.split(",") if name not in done]
    monkeypatch.undo()
    assert made == forwards(claims=left)[1], "the claims that were missing, and no other"


def test_a_claim_that_failed_is_tried_again_and_the_others_are_kept(
    given, tiny_pair, tmp_path, measures, monkeypatch
):
    folder = tmp_path / "kept"
    whole = hi.compare(*tiny_pair, **given)
    measures("diversity", lambda honest, study: 1 / 0)
    broken = hi.compare(*tiny_pair, resume_dir=folder, **given)
    assert broken.broken() == ("C1",)
    assert {path.stem for path in (folder / "claims").iterdir()} == {"C4", "C5"}
    monkeypatch.undo()
    for slug in ("reranking", "expansion"):
        measures(slug, lambda honest, study: 1 / 0)
    mended = hi.compare(*tiny_pair, resume_dir=folder, **given)
    assert mended.claims == whole.claims
    assert mended.results == whole.results
    assert not folder.exists()


@pytest.mark.parametrize(
    "changed",
    [{"seed": 1}, {"batch_size": 4}, {"chat": "on"}, {"sizes": replace(SIZES, prompts=5)}],
    ids=lambda changed: next(iter(changed)),
)
def test_claims_of_another_comparison_are_refused(given, tiny_pair, tmp_path, measures, changed):
    folder = tmp_path / "kept"
    measures("diversity", lambda honest, study: 1 / 0)
    given = given | {"claims": "C1,C4"}
    hi.compare(*tiny_pair, resume_dir=folder, **given)
    with pytest.raises(InputRefused, match=r"found one of another|chat"):
        hi.compare(*tiny_pair, resume_dir=folder, **given | changed)
    assert (folder / "claims" / "C4.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": 1}', "\x00"])
def test_a_damaged_file_is_refused_in_one_line(given, tiny_pair, tmp_path, text):
    (tmp_path / "kept" / "claims").mkdir(parents=True)
    (tmp_path / "kept" / "claims" / "C4.json").write_text(text)
    with pytest.raises(InputRefused, match=r"C4\.json: expected a claim.*; remove it"):
        hi.compare(*tiny_pair, resume_dir=tmp_path / "kept", **given | {"claims": "C4"})


def test_a_kept_result_of_another_layout_is_refused(given, tiny_pair, tmp_path, measures):
    measures("diversity", lambda honest, study: 1 / 0)
    given = given | {"claims": "C1,C4"}
    hi.compare(*tiny_pair, resume_dir=tmp_path / "kept", **given)
    path = tmp_path / "kept" / "claims" / "C4.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "result": {}}))
    with pytest.raises(InputRefused, match="found another layout; remove it"):
        hi.compare(*tiny_pair, resume_dir=tmp_path / "kept", **given)


@pytest.mark.parametrize("error", [InputRefused("x: refused; leave it"), OutOfResources("memory")])
def test_a_refusal_and_memory_that_ran_out_stop_the_comparison(given, tiny_pair, measures, error):
    def raises(honest, study):
        raise error

    measures("reranking", raises)
    with pytest.raises(type(error)):
        hi.compare(*tiny_pair, **given)


def test_a_failed_claim_is_seen_in_every_form(given, tiny_pair, measures, tmp_path):
    measures("diversity", lambda honest, study: 1 / 0)
    report = hi.compare(*tiny_pair, **given | {"claims": "C1,C4"})
    assert report.claims["C1"].verdict is Verdict.FAILED
    report.save(tmp_path / "r")
    for name in ("report.html", "report.md", "report.json", "tables/claims.csv"):
        text = (tmp_path / "r" / name).read_text()
        assert "failed" in text.lower(), name
        assert "division by zero" in text or name == "tables/claims.csv", name


@pytest.fixture
def handlers(monkeypatch):
    """Signals do what they do in a new process, and after the test what they did before it."""
    monkeypatch.setattr(ends, "_received", [])
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ends.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_sigterm_keeps_what_is_done_and_ends_with_143(tmp_path, measures, monkeypatch, capsys):
    (tmp_path / "p.txt").write_text("\n".join(f"{n} is a number and {n * n}" for n in range(5)))
    command = [
        "hyperinterp", "compare", str(people.base(tmp_path)), str(people.fitted(tmp_path)),
        "--claims", "C1,C4", "--quick", "--prompts", str(tmp_path / "p.txt"),
        "--out", str(tmp_path / "r"), "--resume-dir", str(tmp_path / "kept"),
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    honest = measures("reranking", lambda honest, study: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 143
    assert "ended by SIGTERM" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "kept").rglob("*.json")] == ["C1.json"]
    assert not (tmp_path / "r").exists()
    measures("reranking", lambda _, study: honest(study))
    measures("diversity", lambda _, study: 1 / 0)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    report = hi.Report.read(tmp_path / "r")
    assert report.claims["C1"].conditions
    assert report.claims["C4"].conditions
    assert not (tmp_path / "kept").exists()


def _hold(target, ready, over):
    with only_one(target):
        ready.set()
        over.wait(60)


def test_two_commands_on_one_output_refuse_each_other(tmp_path, given, tiny_pair):
    target, start = tmp_path / "out" / "report", multiprocessing.get_context("fork")
    ready, over = start.Event(), start.Event()
    other = start.Process(target=_hold, args=(target, ready, over))
    other.start()
    assert ready.wait(60)
    try:
        told = r"expected no other command there, .*; wait for it"
        with pytest.raises(InputRefused, match=told), only_one(str(target)):
            pass
        with pytest.raises(InputRefused, match="or name another --resume-dir"):
            hi.compare(*tiny_pair, resume_dir=target, **given)
        with only_one(tmp_path / "other"):
            pass
    finally:
        over.set()
        other.join(60)
    with only_one(target):
        assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == []


def test_a_killed_command_leaves_no_lock_that_holds(tmp_path):
    start = multiprocessing.get_context("fork")
    ready = start.Event()
    other = start.Process(target=_hold, args=(tmp_path / "report", ready, start.Event()))
    other.start()
    assert ready.wait(60)
    other.kill()
    other.join(60)
    with only_one(tmp_path / "report"):
        pass
    assert list(tmp_path.iterdir()) == []


COUNTED = """
import sys
import torch
from hyperinterp.cli.main import main
calls, place = [0], sys.argv.pop(1)
def count(*_):
    calls[0] += 1
torch.nn.modules.module.register_module_forward_hook(count)
try:
    main()
finally:
    open(place, "w").write(str(calls[0]))
"""


@pytest.mark.full
def test_a_killed_command_of_the_default_preset_repeats_no_claim_that_is_done(tmp_path):
    (tmp_path / "p.txt").write_text("\n".join(f"{n} is a number and {n * n}" for n in range(6)))
    (tmp_path / "counted.py").write_text(COUNTED)
    pair = [str(people.base(tmp_path)), str(people.fitted(tmp_path))]

    def job(name, claims=WANTED, **more):
        return {"script": str(tmp_path / "counted.py"), **more, "argv": [
            str(tmp_path / f"{name}.count"), "compare", *pair, "--preset", "default", "--claims",
            claims, "--prompts", str(tmp_path / "p.txt"), "--out", str(tmp_path / name),
            "--resume-dir", str(tmp_path / f"kept-{name.partition('-')[0]}"),
        ]}  # fmt: skip

    place = {"at": "hyperinterp.claims.keeping:KeptClaims.save:2", "signal": "SIGKILL"}
    whole, killed = run_jobs([job("whole"), job("cut-1", **place)], tmp_path)
    assert (whole["code"], killed["code"]) == (0, -signal.SIGKILL), whole["stderr"]
    done = {path.stem for path in (tmp_path / "kept-cut" / "claims").iterdir()}
    (left,) = set(WANTED.split(",")) - done
    resumed, alone = run_jobs([job("cut-2"), job("alone", left)], tmp_path)
    assert (resumed["code"], alone["code"]) == (0, 0), resumed["stderr"]
    made = {name: int((tmp_path / f"{name}.count").read_text()) for name in ("cut-2", "alone")}
    assert made["cut-2"] == made["alone"], "the claim that was missing, and no other"
    found = [hi.Report.read(tmp_path / name) for name in ("whole", "cut-2")]
    assert found[0].claims == found[1].claims
    assert found[0].results == found[1].results
    assert not (tmp_path / "kept-cut").exists()
