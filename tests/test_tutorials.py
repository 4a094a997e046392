"""The notebooks say what their sources say, and their controls compute again."""

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import ipywidgets
import jupytext
import nbformat
import pytest

from hyperinterp import tutorial

TUTORIALS = Path(__file__).resolve().parent.parent / "tutorials"
SOURCES = sorted(TUTORIALS.glob("[0-9]*.py"))


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tutorials{name}", TUTORIALS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shared(monkeypatch):
    import plotly.io as pio

    kept = pio.templates.default, pio.renderers.default
    yield tutorial
    pio.templates.default, pio.renderers.default = kept


@pytest.fixture(scope="module")
def runner():
    return load("_run")


def test_they_are_numbered_and_lead_from_one_to_the_next():
    assert [source.name[:2] for source in SOURCES] == [
        f"{number:02}" for number in range(1, len(SOURCES) + 1)
    ]
    for source, following in pairwise(SOURCES):
        assert f"({following.stem}.ipynb)" in jupytext.read(source).cells[-1].source, source.name


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_each_notebook_is_paired_small_and_has_outputs(source, runner):
    assert runner.faults(source) == []
    cells = nbformat.read(source.with_suffix(".ipynb"), 4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    assert outputs
    assert all(output.output_type != "error" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 1
    assert "Normal mode: " in str(outputs[0])  # readers get a run of full size
    assert not any("plotly.js" in str(output)[:5000] for output in outputs)


def test_another_cell_and_a_missing_notebook_are_found(tmp_path, runner):
    source = tmp_path / "01_test.py"
    source.write_text("# %%\n1 + 1\n")
    assert "found nothing" in runner.faults(source)[0]
    runner.pair(source)
    assert runner.faults(source) == []
    source.write_text("# %%\n1 + 2\n")
    assert "--pair" in runner.faults(source)[0]


def test_pairing_keeps_the_outputs_of_cells_that_did_not_change(tmp_path, runner):
    source = tmp_path / "01_test.py"
    source.write_text("# %%\n1 + 1\n\n# %%\n2 + 2\n")
    runner.pair(source)
    notebook = nbformat.read(source.with_suffix(".ipynb"), 4)
    for cell in notebook.cells:
        cell.outputs = [nbformat.v4.new_output("stream", text="kept")]
    nbformat.write(notebook, source.with_suffix(".ipynb"))
    source.write_text("# %%\n1 + 1\n\n# %%\n2 + 3\n")
    runner.pair(source)
    kept = [bool(cell.outputs) for cell in nbformat.read(source.with_suffix(".ipynb"), 4).cells]
    assert kept == [True, False]


def test_a_cell_that_fails_stops_the_run(tmp_path, monkeypatch, runner, capsys):
    source = tmp_path / "01_test.py"
    source.write_text("# %%\nraise ValueError('planted')\n")
    runner.pair(source)
    monkeypatch.setattr(runner, "HERE", tmp_path)
    monkeypatch.setattr(runner, "installed", lambda folder: folder)
    assert runner.main([]) == 1
    assert "planted" in capsys.readouterr().err


def test_widgets_compute_again_at_every_change(shared, monkeypatch):
    seen, shown = [], []
    monkeypatch.setattr(shared, "STATIC", "")
    monkeypatch.setattr(shared, "_in_notebook", lambda: True)
    monkeypatch.setattr(shared, "_show", shown.append)

    def draw(prompt="a", layer=2, form="x"):
        seen.append((prompt, layer, form))

    shared.explore(draw, prompt=str, layer=range(4), form=("x", "y"))
    panel = next(item for item in shown if isinstance(item, ipywidgets.VBox))
    text, slider, menu = panel.children[:3]
    assert seen[-1] == ("a", 2, "x")
    assert (slider.min, slider.max) == (0, 3)
    text.value, slider.value, menu.value = "b", 3, "y"
    assert seen[-1] == ("b", 3, "y")


def test_without_widgets_one_picture_is_drawn(shared, monkeypatch, capsys):
    seen = []
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ipywidgets" else find(name)
    )
    monkeypatch.setattr(shared, "_in_notebook", lambda: True)
    monkeypatch.setattr(shared, "_show", seen.append)
    shared.explore(lambda layer=2: layer * 10, layer=range(4))
    assert seen == [20]
    assert "layer = 2" in capsys.readouterr().out


def test_a_notebook_runs_alone(runner):
    """Its first cell installs; nothing beside it is imported; two exercises have solutions."""
    for source in SOURCES:
        notebook = jupytext.read(source)
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        assert '"pip", "install' in code[0]
        assert "import _" not in source.read_text()
        assert "What to take away" in notebook.cells[-1].source
        solutions = runner.solutions(notebook)
        assert len(solutions) == 2, source.name
        for solution in solutions:
            compile(solution, source.name, "exec")


def test_sources_are_percent_scripts():
    for source in SOURCES:
        notebook = jupytext.read(source)
        prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
        assert len(prose) >= 5, source.name
        assert any("Pitfall" in cell.source for cell in prose), source.name


def test_captions_are_short_whatever_the_value(shared):
    assert shared._short("resid.29") == "'resid.29'"
    assert len(shared._short('it\'s "said" ' * 40)) <= 50
    assert len(shared._short(tuple(range(100)))) <= 40
