"""What the reader of a figure has to know of a checkpoint reaches the report and the terminal."""

import pytest

from hyperinterp.cli.show import show_claims, show_summary, show_training
from hyperinterp.comparison import compare
from hyperinterp.models import HookedModel
from hyperinterp.run_log import RunLog
from hyperinterp.training import TrainConfig, TrainResult, train
from tests.hyperinterp.test_pairs import SIZES
from tests.hyperinterp.training.factory import byte_tokenizer, letters, tiny_hf

NOTE = "made: the key 'x' was left out."


def _noted(*notes: str) -> HookedModel:
    return HookedModel(tiny_hf("llama"), byte_tokenizer(), name="made", notes=notes)


def test_a_note_is_kept_once():
    log = RunLog()
    log.warn("a", "b", "a")
    log.warn("b", "c")
    assert log.warnings == ["a", "b", "c"]


def test_notes_of_models_reach_the_report_and_the_terminal(capsys):
    report = compare(
        _noted(NOTE), _noted(NOTE, "two\u202e."), prompts=letters(9), claims="C1", sizes=SIZES
    )
    assert [w for w in report.provenance.warnings if w in (NOTE, "two\u202e.")] == [
        NOTE,
        "two\u202e.",
    ]
    show_claims(report)
    shown = capsys.readouterr().out
    assert f"note: {NOTE}" in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize("as_json", [False, True])
def test_notes_of_a_model_reach_the_result_of_its_training(tmp_path, capsys, as_json):
    config = TrainConfig(method="full", max_steps=1, batch_size=4, seq_len=16)
    result = train(_noted(NOTE), letters(4), tmp_path / "out", config)
    assert result.notes == (NOTE,)
    assert TrainResult.read(tmp_path / "out") == result
    show_training(result, as_json=as_json)
    assert NOTE in capsys.readouterr().out


def test_a_summary_prints_its_notes_below(capsys):
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Summary:
        name: str
        notes: tuple[str, ...]

    show_summary(Summary("made", (NOTE,)), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"note: {NOTE}"
