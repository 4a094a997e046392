"""Trackers are told of reports, traces and studies: by stand-ins always, by themselves in full."""

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hyperinterp as hi
from hyperinterp import trackers
from hyperinterp.analyses.trace import Growth, Observed, SiteTrace
from hyperinterp.claims.spec import Measured
from hyperinterp.cli.main import main
from hyperinterp.errors import InputRefused
from hyperinterp.report.trace.data import TRACE_VERSION, TracePoint
from hyperinterp.report.trace.figures import MEASURES
from hyperinterp.report.trace.schema import Trace
from hyperinterp.report.trace.writing import check_trace
from hyperinterp.report.writing import check_report
from hyperinterp.studies.result import STUDY_VERSION, CellClaim, CellRow, RecipeRow
from hyperinterp.tracking import told

from .report.factory import complete

WHOLE = complete()
REPORT = replace(WHOLE, results={"quotation": WHOLE.results["quotation"]}, training_curve=None)


def _observed(value: float, base: bool) -> Observed:
    found = {"pr_corrected": Measured(value, value - 1, value + 1, 4), "d90": Measured(3.0)}
    growth = Growth(Measured(value), Measured(0.1), "block 1", Measured(0.2), Measured(value / 2))
    site = SiteTrace("resid.1", "block 1", "resid", 1, True, found, {} if base else found)
    figures = {name: Measured(value / 10, 0.0, 9.0, 4) for name in MEASURES}
    changes = {} if base else {name: Measured(value / 20) for name in MEASURES}
    return Observed(figures, changes, (3, 1, 0, 0, 0), (site,), None if base else growth)


TRACE = Trace(
    schema_version=TRACE_VERSION, run="runs/twin", recipe={"method": "lora"}, data={"passages": 3},
    points=tuple(
        TracePoint(name, (), step, epoch, Measured(loss), "f" * 8, _observed(loss, step == 0))
        for name, step, epoch, loss in (("base", 0, 0, 3.5), ("final", 6, 2, 0.5))
    ),
    provenance=REPORT.provenance,
)  # fmt: skip


def _study() -> hi.StudyReport:
    claim = REPORT.claims["C1"]
    found = CellClaim(claim.verdict, claim.conditions[0].measured, claim.threshold, True, claim.why)
    done = CellRow(
        "lora-last5-seed0", "lora-last5", 0, "done", blocks="0-4", trainable=9, train_loss=0.04,
        heldout_loss=4.5, epochs=7, stop="target loss", claims={"C1": found},
    )  # fmt: skip
    failed = CellRow("lora-last5-seed1", "lora-last5", 1, "failed", reason="a loss became nan")
    return hi.StudyReport(
        schema_version=STUDY_VERSION, model="owner/base", fingerprint="ab",
        config={"seeds": [0, 1]}, texts={"learnt": "cd"}, versions={"hyperinterp": "0"},
        recipes=(RecipeRow("lora-last5", "lora, last 5", (0,), {"C1": claim}),),
        cells=(done, failed),
    )  # fmt: skip


RESULTS: dict[str, Any] = {"compare": REPORT, "trace": TRACE, "study": _study()}


class Wandb(ModuleType):
    """Keeps what it is told; `init`, `Table` and the run take what wandb's own take."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.run: Any = None
        self.given: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.lines: list[dict[str, Any]] = []
        self.axes: dict[str, str | None] = {}
        self.finished = 0

    def login(self, *, prompt: bool) -> bool:
        return not prompt

    def init(
        self, entity: str | None = None, project: str | None = None, dir: Any = None,
        id: str | None = None, name: str | None = None, notes: str | None = None,
        tags: Any = None, config: Any = None, *, job_type: str | None = None,
    ) -> Any:  # fmt: skip
        self.given = {"project": project, "name": name, "job_type": job_type}
        return _WandbRun(self)

    def Table(
        self, columns: Any = None, data: Any = None, rows: Any = None, dataframe: Any = None,
        dtype: Any = None, optional: Any = True, allow_mixed_types: bool = False,
    ) -> tuple[list[str], list[list[Any]]]:  # fmt: skip
        assert all(len(row) == len(columns) for row in data)
        return columns, data


class _Config:
    def __init__(self, kept: dict[str, Any]) -> None:
        self._kept = kept

    def update(self, d: dict[str, Any], allow_val_change: bool | None = None) -> None:
        self._kept.update(d)


class _WandbRun:
    def __init__(self, library: Wandb) -> None:
        self._library = library
        self.config, self.summary = _Config(library.config), library.summary

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self._library.axes[name] = step_metric

    def log(self, data: dict[str, Any], step: int | None = None) -> None:
        self._library.lines.append(data)

    def finish(self, exit_code: int | None = None) -> None:
        self._library.finished += 1


class Trackio(ModuleType):
    """Keeps what it is told; `init`, `log`, `Table` take what trackio's own take."""

    def __init__(self) -> None:
        super().__init__("trackio")
        self.given: dict[str, Any] = {}
        self.lines: dict[int | None, dict[str, Any]] = {}
        self.finished = 0

    def init(
        self, project: str, name: str | None = None, group: str | None = None,
        space_id: str | None = None, config: dict[str, Any] | None = None, resume: str = "never",
        embed: bool = True,
    ) -> "Trackio":  # fmt: skip
        sys.stdout.write("* project initialised\n")
        self.given = {"project": project, "name": name, "config": config, "embed": embed}
        return self

    def log(self, metrics: dict[str, Any], step: int | None = None) -> None:
        self.lines.setdefault(step, {}).update(metrics)

    def finish(self) -> None:
        self.finished += 1

    def Table(self, columns: Any = None, data: Any = None, dataframe: Any = None) -> Any:
        return columns, data


class Board(ModuleType):
    """torch.utils.tensorboard with a writer that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("torch.utils.tensorboard")
        self.place = ""
        self.scalars: dict[str, list[tuple[int | None, float]]] = {}
        self.texts: dict[str, str] = {}

    def SummaryWriter(self, log_dir: str | None = None, comment: str = "") -> "Board":
        self.place = str(log_dir)
        return self

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        self.scalars.setdefault(tag, []).append((global_step, scalar_value))

    def add_text(self, tag: str, text_string: str, global_step: int | None = None) -> None:
        self.texts[tag] = text_string


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found = {"wandb": Wandb(), "trackio": Trackio(), "tensorboard": Board()}
    for name, library in found.items():
        monkeypatch.setitem(sys.modules, library.__name__, library)
        monkeypatch.delenv(f"{name.upper()}_PROJECT", raising=False)
    for name in ("TENSORBOARD_LOGGING_DIR", "WANDB_MODE", "WANDB_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    return found


def _expected(job: str) -> dict[str, Any]:
    """Some of what has to arrive, by hand."""
    claim = REPORT.claims["C1"]
    ends = {"verdict": str(claim.verdict), "effect": claim.effect}
    assert claim.interval is not None
    ends |= dict(zip(("lo", "hi"), claim.interval, strict=True))
    if job == "compare":
        return {f"C1/{key}": value for key, value in ends.items()}
    if job == "trace":
        return {"trace/train_loss": 0.5, "trace/ttr": 0.05, "trace/pr_corrected/resid.1": 0.5}
    cell = "cells/lora-last5-seed0"
    return {
        f"{cell}/train_loss": 0.04, f"{cell}/heldout_loss": 4.5, f"{cell}/C1/lo": ends["lo"],
        "recipes/lora-last5/C1/verdict": ends["verdict"], "cells/lora-last5-seed1/state": "failed",
    }  # fmt: skip


@pytest.mark.parametrize("job", sorted(RESULTS))
def test_wandb_has_one_run_with_summary_series_and_tables(stand_ins, job) -> None:
    library = stand_ins["wandb"]
    hi.track(RESULTS[job], "wandb")
    assert library.given["job_type"] == job
    assert library.given["project"] == "huggingface"
    assert library.finished == 1
    assert json.loads(json.dumps(library.config)) == library.config
    assert _expected(job).items() <= library.summary.items()
    tables = {key for line in library.lines for key in line if key.startswith("tables/")}
    assert (
        f"tables/{'claims' if job == 'compare' else job if job == 'trace' else 'cells'}" in tables
    )
    series = [line for line in library.lines if "step" in line]
    assert [line["step"] for line in series] == ([0, 6] if job == "trace" else [])
    if job == "trace":
        assert [line["trace/train_loss"] for line in series] == [3.5, 0.5]
        assert library.axes["trace/ttr"] == "step"


def test_a_run_of_wandb_that_is_open_is_added_to_and_left_open(stand_ins) -> None:
    library = stand_ins["wandb"]
    library.run = _WandbRun(library)
    hi.track(REPORT, "wandb")
    assert library.given == {}
    assert library.finished == 0
    assert library.summary["C1/verdict"] == str(REPORT.claims["C1"].verdict)


@pytest.mark.parametrize("job", sorted(RESULTS))
def test_trackio_has_one_run_and_prints_nothing_on_stdout(stand_ins, job, capsys) -> None:
    library = stand_ins["trackio"]
    hi.track(RESULTS[job], "trackio")
    assert capsys.readouterr().out == ""
    last = library.lines[6 if job == "trace" else 0]
    assert _expected(job).items() <= last.items()
    assert any(key.startswith("tables/") for key in last)
    assert library.finished == 1
    assert not library.given["embed"]
    if job == "trace":
        assert library.lines[0]["trace/train_loss"] == 3.5


@pytest.mark.parametrize("job", sorted(RESULTS))
def test_tensorboard_has_numbers_as_scalars_and_words_as_text(stand_ins, job, tmp_path) -> None:
    library = stand_ins["tensorboard"]
    hi.track(RESULTS[job], "tensorboard", out=tmp_path)
    assert library.place == str(tmp_path / "trackers")
    for key, value in _expected(job).items():
        found = library.texts[key] if isinstance(value, str) else library.scalars[key][-1][1]
        assert found == value, key
    tables = [text for key, text in library.texts.items() if key.startswith("tables/")]
    assert tables
    assert all("\n|--" in text for text in tables)
    if job == "trace":
        assert library.scalars["trace/train_loss"][-2:] == [(0, 3.5), (6, 0.5)]


def test_every_value_of_a_claim_is_told_and_nothing_that_is_not_there() -> None:
    summary = told(REPORT).summary
    for claim in REPORT.claims.values():
        assert summary[f"{claim.id}/verdict"] == str(claim.verdict)
        assert summary.get(f"{claim.id}/effect") == claim.effect
        ends = tuple(summary.get(f"{claim.id}/{key}") for key in ("lo", "hi"))
        assert ends == (claim.interval or (None, None))


def test_what_cannot_be_told_is_refused_with_a_way_out(stand_ins, monkeypatch, tmp_path) -> None:
    with pytest.raises(InputRefused, match=r"found none; name an --out, or set TENSORBOARD_"):
        hi.track(REPORT, "tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    hi.track(REPORT, "tensorboard")
    assert stand_ins["tensorboard"].place == str(tmp_path / "board")
    with pytest.raises(InputRefused, match=r"found dict; read one with hyperinterp\.Report\.read"):
        hi.track({}, "wandb")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputRefused, match=r"installed \(none\), found 'trackio'; pip install tra"):
        hi.track(REPORT, "trackio")
    with pytest.raises(InputRefused, match=r"found 'mlflow'; choose one of these"):
        hi.track(REPORT, "mlflow")
    hi.track(REPORT, "none")


@pytest.mark.parametrize("command", ["compare a b", "trace a", "study a"])
def test_commands_refuse_a_tracker_before_any_work(
    command, stand_ins, monkeypatch, tmp_path, capsys
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    given = [*command.split(), "--report-to", "wandb", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["hyperinterp", *given])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "pip install wandb" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_earlier_report_with_tensorboard_files_may_be_replaced(tmp_path) -> None:
    (tmp_path / trackers.FOLDER).mkdir()
    for check in (check_report, check_trace):
        check(tmp_path, (), force=True)
        with pytest.raises(InputRefused, match="already exists"):
            check(tmp_path, (), force=False)


READ = """
import sys
import hyperinterp as hi
hi.track(hi.Report.read(sys.argv[1]), sys.argv[2], out=sys.argv[1])
"""


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(trackers.TRACKERS))
def test_the_libraries_themselves_take_it_offline(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    report = WHOLE
    report.save(tmp_path / "r")
    environment = os.environ | {"WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "trackio")}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path / "r", name], cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""
    effect = report.claims["C1"].effect
    if name == "wandb":
        (run,) = (tmp_path / "wandb").glob("offline-run-*")
        assert any(path.suffix == ".wandb" for path in run.iterdir())
        tables = {path.name.split("_")[0] for path in run.rglob("media/table/tables/*")}
        assert {"claims", "conditions"} <= tables
    elif name == "trackio":
        with sqlite3.connect(tmp_path / "trackio" / "huggingface.db") as stored:
            (metrics,) = [
                json.loads(row[0]) for row in stored.execute("SELECT metrics FROM metrics")
            ]
        assert metrics["C1/effect"] == effect
        assert metrics["C1/verdict"] == str(report.claims["C1"].verdict)
        assert metrics["tables/claims"]["_value"][0]["claim"] == "C1"
    else:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(tmp_path / "r" / trackers.FOLDER)).Reload()
        assert found.Scalars("C1/effect")[0].value == pytest.approx(effect)
        assert "tables/claims/text_summary" in found.Tags()["tensors"]
