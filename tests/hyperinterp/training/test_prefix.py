from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from hyperinterp.models import HookedModel
from hyperinterp.text import Passages
from hyperinterp.training import TrainConfig, train
from hyperinterp.training.data import EpochSampler, pad_rows, prepare_rows
from hyperinterp.training.prefix import build_prefix, text_free
from hyperinterp.training.targets import halve_frozen
from tests.cli_rows import run_jobs

from .factory import LAYERS, byte_tokenizer, letters, losses, sha256, tiny, tiny_hf, weights

STEPS = 50


def _recipe(**changes: object) -> TrainConfig:
    values: dict = {
        "blocks": "last:2", "rank": 4, "lr": 5e-3, "batch_size": 4, "seq_len": 30,
        "max_steps": STEPS, "epochs": 99, "target_loss": None, "schedule": "constant",
        **changes,
    }  # fmt: skip
    return TrainConfig(**values)


def _largest(first: list[float], second: list[float]) -> float:
    assert len(first) == len(second) == STEPS
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "family",
    [
        "llama",
        "gpt2",
        "gemma2",
        *[pytest.param(name, marks=pytest.mark.full) for name in ("qwen2", "opt", "gpt_neox")],
    ],
)
def test_the_cached_prefix_equals_ordinary_training(family: str, tmp_path: Path) -> None:
    data = letters(14)
    cached = train(tiny(family), data, tmp_path / "cached", _recipe())
    plain = train(tiny(family), data, tmp_path / "plain", _recipe(prefix_cache=False))
    assert (cached.prefix, plain.prefix) == ("memory", "none")
    assert _largest(losses(cached.out), losses(plain.out)) < 1e-5
    assert losses(cached.out)[-1] < losses(cached.out)[0] - 0.5, "something must be learnt"


def test_full_weights_of_the_last_blocks_use_it_too(tmp_path: Path) -> None:
    data = letters(14)
    recipe = {"late_stage_weights": True, "lr": 1e-3}
    cached = train(tiny("gemma2"), data, tmp_path / "cached", _recipe(**recipe))
    plain = train(tiny("gemma2"), data, tmp_path / "plain", _recipe(**recipe, prefix_cache=False))
    assert cached.prefix == "memory"
    assert _largest(losses(cached.out), losses(plain.out)) < 1e-5


def _by_hand(family: str, data: Passages, config: TrainConfig) -> list[float]:
    """The same job with peft, the model's own loss and torch's AdamW; of ours only the order."""
    hf = tiny_hf(family)
    names = {"llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
             "gpt2": ["c_attn", "c_proj", "c_fc"]}  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        lora = LoraConfig(
            r=config.rank, lora_alpha=2 * config.rank, target_modules=names[family],
            layers_to_transform=[LAYERS - 2, LAYERS - 1], fan_in_fan_out=family == "gpt2",
            layers_pattern="h" if family == "gpt2" else "layers", task_type="CAUSAL_LM",
        )  # fmt: skip
        model = get_peft_model(hf, lora).eval()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=0.0)
    rows, _ = prepare_rows(byte_tokenizer(), data, config.seq_len)
    sampler, found = EpochSampler(len(rows), config.seed), []
    while True:
        order = list(sampler)
        for start in range(0, len(order), config.batch_size):
            chosen = [rows.rows[n] for n in order[start : start + config.batch_size]]
            ids, labels = pad_rows(chosen)
            own = torch.cat([torch.full((len(ids), 1), -100), labels[:, :-1]], 1)
            loss = model(input_ids=ids, labels=own).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            found.append(loss.item())
            if len(found) == config.max_steps:
                return found
        sampler.epoch += 1


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*")
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_it_equals_a_loop_written_by_hand_with_peft(family: str, tmp_path: Path) -> None:
    data = letters(14)
    ours = train(tiny(family), data, tmp_path / "ours", _recipe())
    assert _largest(losses(ours.out), _by_hand(family, data, _recipe())) < 1e-5


def test_memory_mapped_is_bit_identical_to_in_memory(tmp_path: Path) -> None:
    data, recipe = letters(14), {"max_steps": 6}
    inside = train(tiny("llama"), data, tmp_path / "a", _recipe(**recipe))
    mapped = train(tiny("llama"), data, tmp_path / "b", _recipe(**recipe, prefix_budget_bytes=100))
    assert (inside.prefix, mapped.prefix) == ("memory", "mapped")
    assert sha256(inside.out) == sha256(mapped.out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"], "nothing left behind"


def test_in_bf16_the_stream_is_kept_in_bf16_and_handed_out_as_computed(
    llama: HookedModel, tmp_path: Path
) -> None:
    rows, _ = prepare_rows(byte_tokenizer(), letters(9), 30)
    given = {"batch_size": 4, "budget_bytes": 10**6, "folder": tmp_path}
    wide = build_prefix(llama, rows, 2, **given)
    half = build_prefix(llama, rows, 2, **given, dtype=torch.bfloat16)
    assert half.nbytes * 2 == wide.nbytes
    first, second = (found.batch([0, 3], 30) for found in (wide, half))
    assert first.dtype == second.dtype == torch.float32
    assert torch.equal(second, second.bfloat16().float())
    assert 0 < float((second - first).norm() / first.norm()) < 0.02


@pytest.mark.parametrize(("family", "method"), [("llama", "late-stage"), ("gpt2", "lora")])
def test_a_frozen_base_in_bf16_gives_the_same_adapter(
    family: str, method: str, tmp_path: Path
) -> None:
    model, found = tiny(family), []
    for half in (False, True):
        recipe = _recipe(method=method, dtype="bfloat16", frozen_bf16=half, max_steps=4)
        found.append(train(model, letters(9), tmp_path / str(half), recipe).out)
    assert sha256(found[0]) == sha256(found[1])
    assert {weight.dtype for weight in model.hf.parameters()} == {torch.float32}


def test_only_the_frozen_matrices_of_blocks_are_halved() -> None:
    model = tiny("gpt2")
    block = model.blocks[0]
    block.mlp.c_fc.weight.requires_grad_(True)
    for weight in (*block.attn.parameters(), *block.mlp.c_proj.parameters()):
        weight.requires_grad_(False)
    halve_frozen(model)
    halved = {name for name, weight in block.named_parameters() if weight.dtype == torch.bfloat16}
    assert halved == {"attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_proj.weight"}
    assert model.dtype == torch.float32


ON_A_CARD = """
from pathlib import Path
import sys, torch
from tests.pretend_device import pretend
pretend()
from hyperinterp.models import load
from hyperinterp.training.prefix import build_prefix
from tests.hyperinterp.training.factory import saved_tiny
from hyperinterp.text import TokenRows
folder = Path(sys.argv[1])
where = saved_tiny("llama", folder)
rows = TokenRows(tuple(tuple(range(n, n + 9)) for n in range(6)), tuple(range(6)), 9, 0)
given = {"batch_size": 2, "budget_bytes": 10**6, "folder": folder}
known = build_prefix(load(where, device="cpu"), rows, 2, **given)
there = load(where, device="pretend")
for room, place in ((known.nbytes, "device"), (known.nbytes - 1, "memory")):
    found = build_prefix(there, rows, 2, **given, device_bytes=room)
    batch = found.batch([1, 4], 12)
    assert batch.device.type == ("pretend" if place == "device" else "cpu")
    torch.testing.assert_close(batch.cpu(), known.batch([1, 4], 12))
    print(found.place)
"""


def test_a_stream_that_fits_stays_on_the_card(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(ON_A_CARD, encoding="utf-8")
    (done,) = run_jobs([{"script": str(script), "argv": [str(tmp_path)]}], tmp_path)
    assert done["stdout"].split() == ["device", "memory"], done["stderr"][-2000:]


def test_gradient_checkpointing_changes_nothing(tmp_path: Path) -> None:
    for name, recipe in {
        "late": {}, "lora": {"method": "lora"}, "full": {"method": "full", "lr": 1e-3}
    }.items():  # fmt: skip
        found = [
            train(
                tiny("llama"), letters(14), tmp_path / f"{name}-{on}",
                _recipe(max_steps=6, gradient_checkpointing=on, **recipe),
            ).out
            for on in (True, False)
        ]  # fmt: skip
        for key, tensor in weights(found[0]).items():
            torch.testing.assert_close(tensor, weights(found[1])[key], rtol=1e-5, atol=1e-6)


def test_accumulated_gradients_equal_one_larger_batch(tmp_path: Path) -> None:
    data = letters(16)
    whole = train(tiny("llama"), data, tmp_path / "a", _recipe(batch_size=8))
    parts = train(tiny("llama"), data, tmp_path / "b", _recipe(batch_size=2, grad_accum=4))
    assert _largest(losses(whole.out), losses(parts.out)) < 1e-5
    assert whole.tokens == parts.tokens


def test_the_cache_holds_the_stream_that_enters_the_first_trained_block(
    llama: HookedModel, tmp_path: Path
) -> None:
    rows, _ = prepare_rows(byte_tokenizer(), letters(9), 30)
    done: list[int] = []
    cache = build_prefix(
        llama, rows, 3, batch_size=4, budget_bytes=10**9, folder=tmp_path, on_rows=done.append
    )
    assert done[-1] == 9
    batch = cache.batch([4, 0], 31)
    assert batch.shape == (2, 31, llama.d_model)
    for place, number in enumerate([4, 0]):
        row = rows.rows[number]
        expected = llama.record(torch.tensor([row]), keep=[3], stop_at=3).inputs[3][0]
        torch.testing.assert_close(batch[place, : len(row)], expected, rtol=1e-5, atol=1e-6)
        assert not batch[place, len(row) :].any()


def test_a_family_that_hands_text_to_every_block_does_not_use_the_cache(
    llama: HookedModel, tmp_path: Path
) -> None:
    assert text_free(llama, 2)

    class Feeding(torch.nn.Module):
        """Adds to the stream what the decoder passes to each block: here the token ids."""

    decoder, embed = llama.hf.model, llama.hf.model.embed_tokens
    seen: dict[str, torch.Tensor] = {}
    embed.register_forward_pre_hook(lambda _m, given: seen.__setitem__("ids", given[0]))
    for block in decoder.layers:
        block.register_forward_pre_hook(
            lambda _m, given, named: (given, {**named, "token_ids": seen["ids"]}), with_kwargs=True
        )
    assert not text_free(llama, 2)
    result = train(llama, letters(6), tmp_path / "out", _recipe(max_steps=2))
    assert result.prefix == "none"
