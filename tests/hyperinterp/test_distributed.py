"""Several processes: real ones, started by torchrun, against one."""

import json
import math
import os
import subprocess
import sys

import pytest
import torch

from hyperinterp.checkpoints import save_checkpoint
from hyperinterp.distributed import ALONE, Processes, join
from hyperinterp.errors import InputRefused
from tests.hyperinterp.training.factory import byte_tokenizer, letters, tiny_hf

BLOCKS = (
    "geometry", "diversity", "ranks", "temperature", "static_bias", "transplant", "sufficiency",
    "control",
)  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 50])
def test_shares_are_disjoint_and_whole(size, count):
    shares = [list(Processes(rank, size).share(range(count))) for rank in range(size)]
    assert sorted(item for share in shares for item in share) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(("most", "rows", "size"), [(8, 50, 3), (8, 24, 2), (64, 1, 3), (8, 64, 1)])
def test_batches_are_as_many_for_every_process(most, rows, size):
    chosen = Processes(0, size).rows_per_batch(most, rows)
    batches = math.ceil(rows / chosen)
    assert 1 <= chosen <= most
    assert batches >= min(size, rows)
    if size == 1:
        assert batches == math.ceil(rows / most)


def test_alone_without_a_launcher(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join() is ALONE
    assert ALONE.gathered([1, 2]) == [1, 2]
    assert ALONE.mapped(lambda item: 2 * item, [1, 2]) == [2, 4]
    assert torch.equal(ALONE.summed(torch.ones(2)), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize(("rank", "world"), [("3", "2"), ("one", "2"), ("0", "many")])
def test_a_senseless_launch_is_refused(monkeypatch, rank, world):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(InputRefused, match="RANK and WORLD_SIZE"):
        join()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two tiny checkpoints and 50 prompts of unequal lengths, on disk."""
    folder = tmp_path_factory.mktemp("pair")
    tokenizer = byte_tokenizer()
    for seed, name in enumerate(("base", "fitted")):
        save_checkpoint(tiny_hf("llama", seed), tokenizer, folder / name, provenance={})
    lines = [json.dumps({"id": item.id, "text": item.text}) for item in letters(50)]
    (folder / "prompts.jsonl").write_text("\n".join(lines))
    return folder


SCRIPT = """
import sys, torch, hyperinterp as hi
from hyperinterp.compare import compare
from hyperinterp.distributed import join, leave
from hyperinterp.study import Sizes
folder, out = sys.argv[1:]
sizes = Sizes(
    prompts=50, prompt_tokens=5, new_tokens=10, window=10, context_tokens=16,
    contexts_per_prompt=4, order_contexts=40, lens_contexts=9, sweep=(0.7,), alphas=(1.0,),
    seeds=1, control_prompts=5, bias_steps=5, transplant_prompts=7, null_draws=1, null_blocks=1,
    hybrids=1,
)
processes = join()
base, fitted = hi.load(folder + "/base"), hi.load(folder + "/fitted")
from hyperinterp.capture import run_pair
from hyperinterp.sites import part_sites, stream_sites
from hyperinterp.text import tokenise
rows = tokenise(base.tokenizer, hi.read_prompts(folder + "/prompts.jsonl"), 16)
layers = base.n_layers
run = run_pair(base, fitted, rows, sites=(*stream_sites(layers), *part_sites(layers)),
               unit_norm=True, batch_size=4, processes=processes)
torch.save({s.key: found.state() for s, found in run.sites.items()}, f"{out}.sums.{processes.rank}")
report = compare(
    folder + "/base", folder + "/fitted", prompts=hi.read_prompts(folder + "/prompts.jsonl"),
    control=folder + "/fitted", late_stage=[folder + "/base"], sizes=sizes, batch_size=4,
    processes=processes,
)
leave(processes)
open(f"{out}.{processes.rank}", "w").write(report.to_json())
"""


def launched(count, *command, timeout=300):
    """A command under torchrun's launcher with `count` processes; plain Python for none."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return subprocess.run(
        [sys.executable, *(launcher if count else []), *command],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def compared(folder, count):
    """The reports of `count` real processes over the folder's pair, one each."""
    script, out = folder / "script.py", folder / f"report-{count}"
    script.write_text(SCRIPT)
    done = launched(count, str(script), str(folder), str(out))
    assert done.returncode == 0, done.stderr[-3000:]
    return [
        json.loads((folder / f"{out.name}.{rank}").read_text()) for rank in range(max(count, 1))
    ]


def sums_of(folder, count):
    """The sums of every site that the first of `count` processes held."""
    found = torch.load(folder / f"report-{count}.sums.0")
    return {f"{key}/{name}": t for key, state in found.items() for name, t in state.items()}


def _size(tensor):
    return float(tensor.double().abs().max())


def numbers(block, path=""):
    """Every number of a report's block by its path."""
    if isinstance(block, dict | list):
        items = block.items() if isinstance(block, dict) else enumerate(block)
        return {k: v for name, value in items for k, v in numbers(value, f"{path}/{name}").items()}
    return {path: block} if isinstance(block, int | float) and not isinstance(block, bool) else {}


def test_one_two_and_three_processes_agree(pair):
    (one,) = compared(pair, 0)
    ours = sums_of(pair, 0)
    assert one["claims"]["C5"]["n"] == 50
    for count in (1, 2, 3):
        reports = compared(pair, count)
        other = reports[0]
        theirs = sums_of(pair, count)
        assert theirs.keys() == ours.keys()
        for name, tensor in ours.items():
            assert torch.allclose(theirs[name], tensor, rtol=1e-10, atol=1e-10 * _size(tensor)), (
                name
            )
        for mine in reports[1:]:  # every process holds the same figures to the last bit
            assert all(numbers(mine[block]) == numbers(other[block]) for block in BLOCKS)
        assert other["provenance"]["sizes"]["processes"] == count
        assert other["provenance"]["forwards"] == one["provenance"]["forwards"]
        for claim, found in one["claims"].items():
            assert other["claims"][claim]["verdict"] == found["verdict"], claim
            assert other["claims"][claim]["n"] == found["n"], claim
        for block in BLOCKS:
            before, after = numbers(one[block]), numbers(other[block])
            assert before.keys() == after.keys()
            for path, value in before.items():
                if path.endswith(("/n", "/n_rows", "_contexts")):
                    assert after[path] == value, path
                else:
                    assert after[path] == pytest.approx(value, rel=1e-3, abs=1e-4), (block, path)


def test_the_command_under_a_launcher_speaks_once(pair):
    out = pair / "spoken"
    done = launched(
        2, "-m", "hyperinterp", "compare", str(pair / "base"), str(pair / "fitted"),
        "--prompts", str(pair / "prompts.jsonl"), "--out", str(out), "--claims", "C4", "--quick",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("report:") == 1
    assert json.loads((out / "report.json").read_text())["provenance"]["sizes"]["processes"] == 2
