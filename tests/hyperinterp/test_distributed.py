"""Several processes: real ones, started by torchrun, against one."""

import json
import math

import pytest
import torch

from hyperinterp.distributed import ALONE, Processes, join
from hyperinterp.errors import InputRefused
from tests.cli_rows import run_jobs
from tests.hyperinterp.process_rows import (
    BREAK,
    apart,
    held_together,
    largest_difference,
    launched,
    make_pair,
    reports,
    run,
)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 50])
def test_shares_are_disjoint_and_whole(size, count):
    shares = [list(Processes(rank, size).share(range(count))) for rank in range(size)]
    assert sorted(item for share in shares for item in share) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(("most", "rows", "size"), [(8, 50, 3), (8, 24, 2), (64, 1, 3), (8, 64, 1)])
def test_batches_are_as_many_for_every_process(most, rows, size):
    (chosen,) = Processes(0, size).rows_per_batch(most, [rows])
    batches = math.ceil(rows / chosen)
    assert 1 <= chosen <= most
    assert batches >= min(size, rows)
    if size == 1:
        assert batches == math.ceil(rows / most)


@pytest.mark.parametrize(
    ("most", "rows", "size", "expected"),
    [
        (96, [50, 50], 2, [50, 50]),  # whole models, one for each process
        (96, [100, 36], 2, [34, 36]),
        (96, [50, 50], 3, [25, 50]),
        (96, [50, 50], 1, [50, 50]),
        (96, [1, 1], 3, [1, 1]),
        (96, [0, 7], 2, [1, 7]),
    ],
)
def test_several_tasks_are_cut_no_finer_than_all_processes_need(most, rows, size, expected):
    assert Processes(0, size).rows_per_batch(most, rows) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("weights", [[], [5], [36, 34, 33, 33], [9, 1, 1, 1, 1, 1, 1, 1, 1, 1]])
def test_dealt_items_are_disjoint_whole_and_even(size, weights):
    items = list(enumerate(weights))
    shares = [Processes(rank, size).dealt(items, lambda item: item[1]) for rank in range(size)]
    assert sorted(item for share in shares for item in share) == items
    assert all(share == sorted(share) for share in shares)
    loads = [sum(weight for _, weight in share) for share in shares]
    # Graham's bound for the heaviest first
    best = max([*weights, sum(weights) / size], default=0)
    assert max(loads) <= (4 / 3 - 1 / (3 * size)) * best + max(weights, default=0) / 3


def test_alone_without_a_launcher(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join() is ALONE
    assert ALONE.gathered([1, 2]) == [1, 2]
    assert ALONE.mapped(lambda item: 2 * item, [1, 2]) == [2, 4]
    assert torch.equal(ALONE.summed(torch.ones(2)), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("rank", "world"), [("3", "2"), ("one", "2"), ("0", "many"), ("0", "²"), ("0", "9" * 5000)]
)
def test_a_senseless_launch_is_refused(monkeypatch, rank, world):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(InputRefused, match="RANK and WORLD_SIZE"):
        join()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("pair"))


UNLIKE = "other hardware"
BROKEN = [name for name in BREAK if name]
OTHERWISE = [UNLIKE, *BROKEN]


@pytest.fixture(scope="module")
def places(pair):
    """What one, two and three processes wrote, and two of unlike hardware or without a guard."""
    return run(pair, *((count, "") for count in range(4)), *((2, name) for name in OTHERWISE))


def test_one_two_and_three_processes_agree(places):
    found = held_together(places, (1, 2, 3))
    assert found["prompts_of_C5"] == found["prompts"] == 50
    assert found["every_n_equal"]
    assert found["same_verdicts"]
    assert found["processes_hold_the_same_figures"]
    assert found["moments_relative"] < 1e-10
    assert found["figures_apart"] < 1e-3


def test_one_process_decides_where_two_differ_in_the_last_bit(places):
    (alone,) = reports(places[0, ""], 0)
    first, second = reports(places[2, UNLIKE], 2)
    named = first["results"]["last_block"]["largest_block"]
    assert named != 1  # which the second process takes it for
    assert apart(first, second) == 0
    assert apart(alone, first) < 1e-3


def test_control_without_the_guard_sums_differ(places):
    for name in BROKEN:
        found = largest_difference(places[0, ""], places[2, name])
        assert found["moments_relative"] > 1e-10, name
        assert found["n_equal"] == (name == "no common reference")


def test_the_command_under_a_launcher_speaks_once(pair):
    out = pair / "spoken"
    done = launched(
        2, "-m", "hyperinterp", "compare", str(pair / "base"), str(pair / "fitted"),
        "--prompts", str(pair / "prompts.jsonl"), "--out", str(out), "--claims", "C4", "--quick",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("report:") == 1
    assert json.loads((out / "report.json").read_text())["provenance"]["sizes"]["processes"] == 2


def test_a_refusal_under_a_launcher_says_whose_it_is(pair):
    argv = ["compare", str(pair / "none"), str(pair / "fitted")]
    (done,) = run_jobs([{"argv": argv, "processes": 2}], pair)
    assert done["code"] == 2
    errors = [line for line in done["stderr"].splitlines() if "error: " in line and "none" in line]
    assert sum(line.startswith("error: ") for line in errors) == 1
    assert all(line.startswith(("error: ", "process 1: error: ")) for line in errors)
    assert errors
