"""A trace of a tiny run: the base once, every checkpoint once, each measure that of `compare`."""

import csv
import json
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import jsonschema
import numpy as np
import pytest

import hyperinterp as hi
from hyperinterp.analyses.growth import PRIMARY
from hyperinterp.comparison import compare
from hyperinterp.drawing.rendering import csv_text
from hyperinterp.errors import CorruptFile, InputRefused, MismatchedPair
from hyperinterp.models import HookedModel, load
from hyperinterp.report.trace import Trace, save_trace, trace_schema
from hyperinterp.report.trace.figures import charts
from hyperinterp.report.trace.tables import trace_table
from hyperinterp.report.trace.writing import render
from hyperinterp.sizes import Sizes
from hyperinterp.text import Passage, Passages
from hyperinterp.tracing import trace, trace_sizes
from hyperinterp.training import TrainConfig, run_directory, train
from hyperinterp.training.kept import kept

SIZES = Sizes(
    prompts=10, prompt_tokens=12, new_tokens=24, window=24, context_tokens=30,
    contexts_per_prompt=6, components=False, variants=(),
)  # fmt: skip


def _factory() -> ModuleType:
    path = Path(__file__).parent / "training" / "factory.py"
    spec = util.spec_from_file_location("training_factory", path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules["training_factory"] = module
    spec.loader.exec_module(module)
    return module


factory = _factory()


@pytest.fixture(scope="module")
def prompts():
    return factory.letters(10, 7, 24, 40)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    base = factory.saved_tiny("llama", folder)
    config = TrainConfig(
        blocks="last:2", rank=4, batch_size=4, seq_len=30, epochs=6, target_loss=None, lr=2e-2,
        save_at=(4.0, 3.0), save_epochs=(1, 6), keep_control=True,
    )  # fmt: skip
    heldout = factory.letters(4, 9)
    return train(
        base, factory.letters(12), folder / "out", config, heldout=heldout, device="cpu"
    ).out


@pytest.fixture(scope="module")
def traced(run: Path, prompts) -> Trace:
    # Rows that a comparison reads first are batched otherwise: float32 would round otherwise.
    return trace(run, prompts=prompts, sizes=SIZES, device="cpu", dtype="float64")


def test_points_are_the_base_and_every_checkpoint_in_order(run: Path, traced: Trace) -> None:
    names = {name for point in traced.points for name in (point.name, *point.also)}
    there = {path.name for path in (run / "checkpoints").iterdir()}
    assert names == {"base", "final", "control", *there}
    steps = [point.step for point in traced.points]
    assert steps == sorted(set(steps))
    assert traced.points[0].name == "base"
    assert traced.points[-1].name == "final"
    assert "epoch-6" in traced.points[-1].also
    log = [json.loads(line) for line in (run / "training_log.jsonl").read_text().splitlines()]
    losses = {line["epoch"]: line["loss"] for line in log if line["event"] == "epoch"}
    for point in traced.points[1:]:
        assert point.train_loss.value == losses[point.epoch]
    first = next(line for line in log if line["event"] == "step")
    assert traced.points[0].train_loss.value == first["loss"]


def test_the_final_figures_are_those_of_a_comparison(run: Path, traced: Trace, prompts) -> None:
    report = compare(
        run.parent / "llama", run, prompts=prompts, claims="C1,C4,C5", sizes=SIZES, device="cpu",
        dtype="float64",
    )  # fmt: skip
    last = traced.points[-1].observed
    assert report.diversity is not None
    assert report.reranking is not None
    assert report.expansion is not None
    for name, pair in report.diversity.scores.items():
        if name in last.figures:
            assert last.figures[name] == pair.fitted
            assert last.changes[name] == pair.delta
    forced = report.reranking.teacher_forced
    assert last.figures["override_rate"] == forced.override_rate
    own = traced.points[0].observed.figures["override_rate"]
    assert (own.value, own.n) == (0.0, forced.override_rate.n)
    assert last.figures["deep_share"] == forced.deep_share
    assert last.buckets == forced.buckets
    sites = {site.key: site for site in report.expansion.sites}
    assert [site.key for site in last.sites] == list(sites)
    for site in last.sites:
        for name, figure in site.figures.items():
            pair = sites[site.key].metrics[name]
            assert figure.value == pytest.approx(pair.fitted.value, rel=1e-10)
            change = site.changes[name]
            assert (change.value, change.lo, change.hi) == pytest.approx(
                (pair.delta.value, pair.delta.lo, pair.delta.hi), rel=1e-9, abs=1e-10
            )
    assert last.growth is not None
    assert last.growth.last_block.value == pytest.approx(report.expansion.last_delta.value)
    assert last.growth.contrast.value == pytest.approx(report.expansion.contrast.value)
    own = [s for s in last.sites if s.kind == "resid" and s.key != report.expansion.last_block]
    known = {site.label: site.changes[PRIMARY].value for site in own}
    grown = max(value for value in known.values() if value is not None)
    assert known[last.growth.largest_block] == grown
    assert report.training_curve == traced.training_curve
    again = hi.Report.from_json(report.to_json())
    assert again.view("training_curve").charts()[0].title == "Training, epoch by epoch"


def test_held_out_loss_is_that_of_plain_transformers(run: Path, traced: Trace, prompts) -> None:
    import torch

    for point, path in ((traced.points[0], run.parent / "llama"), (traced.points[-1], run)):
        model = load(path, device="cpu")
        sums = []
        for text in prompts.texts:
            ids = torch.tensor([model.tokenizer(text)["input_ids"][:30]])
            length = ids.shape[1]
            step = (length - 2) / SIZES.contexts_per_prompt
            at = [1 + int(index * step) for index in range(SIZES.contexts_per_prompt)]
            with torch.no_grad():
                logits = model.hf(ids).logits[0].double()
            sums.append(-logits.log_softmax(-1)[at, ids[0, [p + 1 for p in at]]].mean().item())
        assert point.observed.figures["heldout_loss"].value == pytest.approx(
            np.mean(sums), abs=1e-4
        )


def test_the_base_runs_once_and_one_checkpoint_lives_at_a_time(
    run: Path, prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc
    import weakref

    loaded: list[weakref.ref[HookedModel]] = []
    alive: list[int] = []

    def watched(*args: object, **kwargs: object) -> HookedModel:
        gc.collect()
        alive.append(sum(item() is not None for item in loaded))
        model = load(*args, **kwargs)  # type: ignore[arg-type]
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr("hyperinterp.tracing.load", watched)
    found = trace(run, prompts=prompts, sizes=SIZES, device="cpu")
    assert max(alive) <= 1, "only the base may be in memory when a checkpoint is loaded"
    assert found.provenance.forwards["base over the passages"] == 2
    texts = len(found.points) * found.provenance.prompts.used
    assert found.provenance.forwards["texts generated"] == texts


def test_files_are_complete_and_read_back(tmp_path: Path, traced: Trace) -> None:
    written = save_trace(traced, tmp_path / "out")
    assert set(written) == {"trace.json", "trace.csv", "trace.html"}
    assert Trace.read(tmp_path / "out") == traced
    document = json.loads(written["trace.json"].read_text())
    jsonschema.validate(document, trace_schema())
    rows = list(csv.DictReader(written["trace.csv"].read_text().splitlines()))
    per_point = len(traced.points[1].observed.figures) + 2 * 6
    assert len(rows) == len(traced.points) * per_point + len(traced.points) - 1
    final = [row for row in rows if row["checkpoint"] == "final" and row["measure"] == "ttr"]
    assert float(final[0]["value"]) == traced.points[-1].observed.figures["ttr"].value
    page = written["trace.html"].read_text()
    assert "http-equiv" in page
    assert page.count('class="chart"') == len(charts(traced)) == 4
    with pytest.raises(InputRefused, match="already exists"):
        save_trace(traced, tmp_path / "out")
    save_trace(traced, tmp_path / "out", force=True)
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(InputRefused, match="holds more than a trace"):
        save_trace(traced, tmp_path / "out", force=True)


def test_a_trace_draws_and_tabulates_itself(traced: Trace) -> None:
    names = traced.names()
    assert list(names) == [chart.name for chart in charts(traced)]
    assert "rep_4" in names["measures"]["measure"]
    figure = traced.plot("measures", measure="rep_4", along="epoch")
    assert figure.to_json() == charts(traced)[0].figure(measure="rep_4", along="epoch").to_json()
    with pytest.raises(InputRefused, match="'growth'"):
        traced.plot("nonsense")
    frame = traced.to_frame()
    assert set(frame["checkpoint"]) == {point.name for point in traced.points}
    assert len(frame) == len(list(csv.DictReader(csv_text(trace_table(traced)).splitlines())))
    assert len(traced.to_frame("epochs")) > 0
    shown = traced._repr_html_()
    assert all(point.name in shown for point in traced.points)
    assert "<script" not in shown
    assert repr(traced).startswith("Trace(")


def test_a_damaged_trace_is_refused(traced: Trace) -> None:
    text = traced.to_json()
    with pytest.raises(InputRefused, match="trace layout"):
        Trace.from_json(text.replace('"schema_version": "2.0"', '"schema_version": "9.9"', 1))
    with pytest.raises(CorruptFile):
        Trace.from_json(text[:-20])
    with pytest.raises(CorruptFile, match="points"):
        Trace.from_json(text.replace('"points": [', '"points": [3, ', 1))


def test_every_chart_draws_every_choice(traced: Trace) -> None:
    for chart in charts(traced):
        variants = list(chart.variants())
        assert variants, chart.name
        assert chart.figure().data
        json.dumps([spec for _, spec in variants], allow_nan=False)


def test_names_of_a_run_are_shown_as_text(traced: Trace) -> None:
    from dataclasses import replace

    page = render(replace(traced, run="<script>pwned()</script>"))
    assert "<script>pwned" not in page
    assert "&lt;script&gt;pwned" in page


def test_an_unfinished_run_is_traced_with_a_warning(tmp_path: Path, prompts) -> None:
    base = factory.saved_tiny("llama", tmp_path)
    config = TrainConfig(
        blocks="last:1", rank=4, seq_len=30, epochs=9, save_epochs=(1,), target_loss=None
    )

    def stop(told) -> None:
        if told.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(base, factory.letters(12), tmp_path / "out", config, device="cpu", on_progress=stop)
    assert run_directory(tmp_path / "out").is_dir()
    found = trace(tmp_path / "out", prompts=prompts, sizes=SIZES, device="cpu")
    assert [point.name for point in found.points] == ["base", "epoch-1"]
    assert found.training_curve is not None
    assert found.training_curve.stop == ""
    assert any("not finished" in text for text in found.provenance.warnings)


@pytest.mark.parametrize("texts", [["abcdefghij klm"], ["abcdefghij klm", "ab"]])
def test_one_passage_is_not_enough_for_a_trace(run: Path, texts, monkeypatch) -> None:
    monkeypatch.setattr("hyperinterp.tracing.side", lambda *_: pytest.fail("worked"))
    few = Passages(tuple(Passage(str(n), text) for n, text in enumerate(texts)), "few")
    with pytest.raises(
        InputRefused, match="few: expected at least 2 passages of 4 tokens, found 1"
    ):
        trace(run, prompts=few, sizes=SIZES, device="cpu")


def test_what_is_no_run_is_refused(tmp_path: Path, run: Path) -> None:
    with pytest.raises(InputRefused, match="nothing there"):
        kept(tmp_path / "none")
    with pytest.raises(InputRefused, match="no checkpoint of a run"):
        kept(run.parent / "llama")
    other = factory.save_checkpoint(
        factory.tiny_hf("llama", 3), factory.byte_tokenizer(), tmp_path / "other", provenance={}
    )
    with pytest.raises(MismatchedPair, match="expected the model that"):
        trace(run, base=other, sizes=SIZES, device="cpu")
    with pytest.raises(InputRefused, match="preset: expected one of quick, default, full"):
        trace_sizes("huge")
    with pytest.raises(InputRefused, match="at least 2"):
        trace_sizes("quick", 1)
