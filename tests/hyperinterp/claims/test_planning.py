"""The plan of a comparison: by shapes alone, and held against what tensors really take."""

import json
from dataclasses import replace

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

import hyperinterp as hi
from hyperinterp.claims import registry
from hyperinterp.cli.app import app
from hyperinterp.comparison import compare
from hyperinterp.errors import InputRefused, OutOfResources
from hyperinterp.models import HookedModel
from hyperinterp.planning import planned
from hyperinterp.runs import RunContext
from hyperinterp.runs.room import weight_bytes
from hyperinterp.runs.shape import Shape
from hyperinterp.sizes import PRESETS
from hyperinterp.under_comparison import Study
from probes import CounterNormal, norm_matched_noise

from .conftest import SIZES, word_tokenizer

LARGE = {
    "8B": ({
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
    }, 2, 76e9),
    "1.5B": ({
        "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
        "num_attention_heads": 12, "num_key_value_heads": 2, "vocab_size": 151936,
        "tie_word_embeddings": True,
    }, 4, 22e9),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_large_pairs_fit_on_one_card(name):
    config, itemsize, limit = LARGE[name]
    with torch.device("meta"):
        shape = Shape.of(LlamaForCausalLM(LlamaConfig(**config)), itemsize)
    assert shape.layers == config["num_hidden_layers"]
    for preset in PRESETS.values():
        found = planned([shape] * 2, preset, registry.chosen(None), int(limit), on_host=False)
        assert found.fits
        assert found.weights < found.peak_bytes <= limit
    tight = planned([shape] * 2, PRESETS["quick"], registry.chosen(None), int(limit / 4))
    assert not tight.fits
    assert "--dtype bfloat16" in tight.advice()


def pair_of(width, layers):
    config = LlamaConfig(
        vocab_size=151, hidden_size=width, intermediate_size=48, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        bos_token_id=None, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            hf = LlamaForCausalLM(config)
        yield HookedModel(hf, word_tokenizer(), name=str(seed), fingerprint=str(seed) * 64)


def peak_of(work):
    """Most bytes that tensors take at once while something runs, by every allocation."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    events = [e for e in found.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


@pytest.mark.parametrize(
    ("width", "layers", "tokens", "share"),
    [
        (96, 1, 21, 0.5),
        pytest.param(128, 2, 21, 1.0, marks=pytest.mark.full),
        pytest.param(160, 1, 6, 1.0, marks=pytest.mark.full),
    ],
)
def test_the_planned_peak_is_that_of_the_tensors(words, width, layers, tokens, share):
    base, fitted = pair_of(width, layers)
    sizes = replace(
        SIZES, prompts=24, components=True, variants=("standardised", "unit_norm", "visible"),
        contexts_per_prompt=2,
    )  # fmt: skip
    study = Study(
        base, fitted, words(24, least=tokens, most=tokens), sizes=sizes,
        run=RunContext(batch_size=4), wanted=frozenset({"moments"}),
    )  # fmt: skip
    shapes, rows = [Shape.of(model.hf) for model in (base, fitted)], study.heldout.rows
    given = {"tokens": rows.n_tokens, "prompts": len(rows)}
    wanted, weights = registry.chosen("C5"), weight_bytes([base, fitted])
    whole = planned(shapes, sizes, wanted, 1 << 40, 4, **given)
    room = {phase.name: phase.peak_bytes for phase in whole.phases}["geometry"] - weights
    memory = weights + int(share * room)
    found = planned(shapes, sizes, wanted, memory, 4, **given)
    study.run = replace(study.run, memory=memory)
    assert found.groups == len(study.shared.waves.groups)
    assert (found.groups > 1) is (share < 1)
    told = {phase.name: phase.peak_bytes for phase in found.phases}["geometry"] - weights
    assert told <= memory - weights
    assert peak_of(lambda: study.shared.geometry) == pytest.approx(told, rel=0.1)


def written(folder, **changed):
    folder.mkdir()
    config = LlamaConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, **changed)
    (folder / "config.json").write_text(config.to_json_string())
    return folder


def test_a_pair_is_planned_by_its_configurations_alone(tmp_path):
    base = written(tmp_path / "base")
    found = hi.plan(base, base, claims="C5", memory="10GB", measured=False)
    assert found.fits
    assert found.width == 64
    assert found.decompositions == 2 * (4 * 4 + 4)  # stream sites in four ways, components in one
    assert set(hi.plan(base, base, claims="C5").seconds) == {"passes", "writing", "decompositions"}
    told = CliRunner().invoke(
        app, ["plan", str(base), str(base), "--claims", "C5", "--memory", "10GB", "--json"]
    )
    facts = json.loads(told.stdout)
    assert facts["fits"]
    assert facts["peak_bytes"] == max(phase["peak_bytes"] for phase in facts["phases"])
    told = CliRunner().invoke(app, ["plan", str(base), str(base), "--memory", "3MB"])
    assert "memory needed at least" in told.stdout
    assert isinstance(told.exception, OutOfResources)
    assert "memory: expected at least" in str(told.exception)


def test_what_cannot_be_planned_is_refused(tmp_path):
    base = written(tmp_path / "base")
    with pytest.raises(InputRefused, match="preset"):
        hi.plan(base, base, preset="huge")
    with pytest.raises(InputRefused, match="memory: expected a size"):
        hi.plan(base, base, memory="much")
    (base / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 1000000000000}')
    with pytest.raises(InputRefused):
        hi.plan(base, base)


def test_a_comparison_that_cannot_fit_is_refused_before_it_reads(tiny_pair, words):
    told = []
    with pytest.raises(OutOfResources, match="--memory of at least") as refused:
        compare(
            *tiny_pair, prompts=words(9), sizes=SIZES, memory="1MB",
            progress=lambda task, _done, _total: told.append(task),
        )  # fmt: skip
    assert refused.value.exit_code == 3
    assert set(told) <= {"loading checkpoints"}


class Operations(TorchDispatchMode):
    """Counts the numbers that operations give."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        self.count += found.numel() if isinstance(found, torch.Tensor) else 0
        return found


def test_random_changes_take_a_hundredth_of_the_forwards_at_most():
    """Preset full at the shape of a 1.1B model: operations of all draws against the passes'."""
    config = LlamaConfig(
        hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32,
        num_key_value_heads=4, vocab_size=32000,
    )  # fmt: skip
    with torch.device("meta"):
        shape = Shape.of(LlamaForCausalLM(config), 4)
    sizes = PRESETS["full"]
    drawn = sizes.null_draws * min(sizes.null_blocks, shape.layers) * shape.body / shape.layers
    change = torch.ones(100, 100)
    with Operations() as each:
        norm_matched_noise(change, CounterNormal(0))
    found = planned([shape] * 2, sizes, registry.chosen(None), 80 << 30)
    forwards = 2 * found.passes * found.tokens * 2 * shape.body  # of both models, no text written
    assert each.count / change.numel() > 10
    assert drawn * each.count / change.numel() <= 0.01 * forwards
