"""Options of `train` in a file: before the defaults, after the command line."""

from typing import get_args, get_type_hints

import pytest
from typer.main import get_command

from hyperinterp.cli.app import app
from hyperinterp.cli.filed import NOT_FILED
from hyperinterp.errors import InputRefused

TRAIN = get_command(app).commands["train"]


def parsed(folder, content, *more):
    """What the command is told by a file and further options."""
    file = folder / "recipe.yaml"
    file.write_text(content)
    return TRAIN.make_context("train", ["smollm2", "--config", str(file), *more]).params


def test_the_file_goes_before_the_default_and_the_command_line_before_the_file(tmp_path):
    found = parsed(
        tmp_path,
        "method: full\nlr: 3e-5\ntarget-loss: 0.2\nseeds: [0, 1]\nblocks: [last:2, 10-14]\n"
        "control: true\ngradient_checkpointing: true\nmax_steps: 7\nsave_at: [2, 0.5]\n",
        "--lr", "1e-3",
    )  # fmt: skip
    assert found["method"] == "full"
    assert found["lr"] == 1e-3
    assert (found["target_loss"], found["max_steps"], found["rank"]) == (0.2, 7, 32)
    assert (found["seeds"], found["blocks"], found["save_at"]) == ("0,1", "last:2,10-14", "2,0.5")
    assert found["keep_control"] is found["gradient_checkpointing"] is True
    assert found["full_weights"] is False


def test_every_option_can_stand_in_a_file(tmp_path):
    kinds = get_type_hints(TRAIN.callback)
    values = {int: "3", float: "0.5", bool: "true"}
    own = [item for item in TRAIN.params if item.param_type_name == "option"]
    own = [item for item in own if item.name not in NOT_FILED]
    lines = [
        f"{name}: {next((text for kind, text in values.items() if kind in types), 'x')}"
        for name, types in ((it.name, (kinds[it.name], *get_args(kinds[it.name]))) for it in own)
    ]
    found = parsed(tmp_path, "\n".join(lines))
    assert len(own) > 30
    assert {str(found[item.name]) for item in own} == {"3", "0.5", "True", "x"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("rnak: 4", "found 'rnak'; write rank"),
        ("out: there", "expected an option, found 'out'"),
        ("3: 4", "expected an option, found 3"),
        ("rank: x", "rank: expected a whole number, found 'x'"),
        ("rank: 1.5", "rank: expected a whole number, found 1.5"),
        ("rank: true", "rank: expected a whole number, found True"),
        ("lr: [1, 2]", r"lr: expected a number, found \[1, 2\]"),
        ("lr: null", "lr: expected a number, found None"),
        ("fsdp: 1", "fsdp: expected true or false, found 1"),
        ("blocks: {a: 1}", "blocks: expected a text, or a list of them"),
        ("blocks: [[1]]", "blocks: expected a text, or a list of them"),
        ("control: true\nkeep_control: true", "expected keep_control once"),
        ("", "expected a mapping of options"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, content, words):
    with pytest.raises(InputRefused, match=words) as refused:
        parsed(tmp_path, content)
    assert "\n" not in str(refused.value)
    assert ";" in str(refused.value)
