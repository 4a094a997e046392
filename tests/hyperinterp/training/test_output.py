"""What a run leaves: plain transformers and peft calls load it and get the same logits."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from hyperinterp.checkpoints import load_checkpoint, save_checkpoint, verify_directory
from hyperinterp.errors import InputRefused
from hyperinterp.models import HookedModel, load
from hyperinterp.text import read_passages
from hyperinterp.training import TrainConfig, train

from .factory import byte_tokenizer, letters, log_lines, saved_tiny, tiny, tiny_hf

METHODS = {
    "full": {"method": "full", "lr": 1e-3},
    "lora": {"method": "lora"},
    "late-stage": {"blocks": "last:2"},
    "weights": {"blocks": "last:2", "late_stage_weights": True, "lr": 1e-3},
}
IDS = torch.arange(3, 15)[None]
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*")


def _recipe(**changes: object) -> TrainConfig:
    values: dict = {"rank": 4, "batch_size": 4, "seq_len": 30, "epochs": 2, "target_loss": None}
    return TrainConfig(**{**values, **changes})


@pytest.mark.parametrize(
    ("family", "name"),
    [
        *[("llama", name) for name in METHODS],
        ("gpt2", "late-stage"),
        ("gemma2", "weights"),
        *[
            pytest.param(family, name, marks=pytest.mark.full)
            for family in ("gpt2", "gemma2", "qwen2", "opt", "gpt_neox")
            for name in METHODS
        ],
    ],
)
def test_plain_calls_load_it_with_the_same_logits(family: str, name: str, tmp_path: Path) -> None:
    base = saved_tiny(family, tmp_path)
    config = _recipe(**METHODS[name])
    result = train(base, letters(10), tmp_path / "out", config, device="cpu")
    if config.uses_lora:
        plain = AutoModelForCausalLM.from_pretrained(base)
        plain = PeftModel.from_pretrained(plain, str(result.out))
        assert json.loads((result.out / "adapter_config.json").read_text())["target_modules"]
    else:
        plain = AutoModelForCausalLM.from_pretrained(result.out)
    tokenizer = AutoTokenizer.from_pretrained(result.out)
    ours = load(result.out, device="cpu")
    with torch.no_grad():
        logits = plain.eval()(IDS).logits
    torch.testing.assert_close(logits, ours.logits(IDS), rtol=1e-5, atol=2e-5)
    assert (logits - load(base, device="cpu").logits(IDS)).abs().max() > 1e-3
    assert tokenizer("abc")["input_ids"] == ours.tokenizer("abc")["input_ids"]


def test_the_saved_weights_are_those_that_were_trained(tmp_path: Path) -> None:
    """The loss of step 6, before its update, is that of the weights saved after step 5."""
    base = saved_tiny("llama", tmp_path)
    recipe = _recipe(blocks="last:2", batch_size=16, max_steps=5, epochs=5)
    out = train(base, letters(10), tmp_path / "five", recipe, device="cpu").out
    again = _recipe(blocks="last:2", batch_size=16, max_steps=6, epochs=6)
    longer = train(base, letters(10), tmp_path / "six", again, device="cpu").out
    expected = log_lines(longer, "step")[-1]["loss"]
    model = load(out, device="cpu")
    total, count = 0.0, 0
    for text in letters(10).texts:
        ids = torch.tensor([model.tokenizer(text)["input_ids"][:30]])
        logits = model.logits(ids)[0, :-1]
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        count += ids.shape[1] - 1
    assert total / count == pytest.approx(expected, abs=1e-5)


def test_the_directory_describes_itself(tmp_path: Path) -> None:
    base = saved_tiny("llama", tmp_path)
    data = letters(10)
    result = train(base, data, tmp_path / "out", _recipe(blocks="last:1"), device="cpu")
    manifest = verify_directory(result.out)
    assert manifest is not None
    told = manifest.provenance
    assert told["base_name"] == str(base)
    assert told["base_fingerprint"] == load_checkpoint(base).fingerprint
    assert told["config"]["blocks"] == "last:1"
    assert told["trained_blocks"] == [3]
    assert told["data"]["sha256"] == data.sha256
    assert told["seed"] == 0
    assert {"torch", "transformers", "peft", "python"} <= set(told["versions"])
    card = (result.out / "README.md").read_text()
    for words in (
        "Overfitted on purpose",
        "not\nfor use as an assistant",
        data.sha256,
        "epoch loss",
    ):
        assert words in card
    assert {"training_log.jsonl", "training.json", "README.md"} <= set(manifest.files)
    assert not (tmp_path / "out.run").exists()


def test_a_model_that_the_caller_keeps_is_left_as_it_was(tmp_path: Path) -> None:
    for name, method in METHODS.items():
        model = tiny("llama")
        before = {key: value.clone() for key, value in model.hf.state_dict().items()}
        train(model, letters(6), tmp_path / name, _recipe(**method, max_steps=2))
        after = model.hf.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(value, after[key]) for key, value in before.items())
        assert all(p.grad is None for p in model.hf.parameters())
        assert not hasattr(model.hf, "peft_config")


@pytest.mark.parametrize(
    "name",
    [
        "full",
        "late-stage",
        pytest.param("lora", marks=pytest.mark.full),
        pytest.param("weights", marks=pytest.mark.full),
    ],
)
def test_bf16_compute_keeps_float32_master_weights(name: str, tmp_path: Path) -> None:
    recipe = _recipe(**METHODS[name], dtype="bfloat16", epochs=6)
    result = train(tiny("llama"), letters(10), tmp_path / "narrow", recipe)
    (path,) = result.out.glob("*model.safetensors")
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float32}
    steps = [line["loss"] for line in log_lines(result.out, "step")]
    exact = _recipe(**METHODS[name], max_steps=1)
    wide = train(tiny("llama"), letters(10), tmp_path / "wide", exact)
    (first,) = (line["loss"] for line in log_lines(wide.out, "step"))
    assert steps[0] != first, "nothing was computed in bf16"
    assert steps[0] == pytest.approx(first, rel=2e-2)
    assert steps[-1] < steps[0]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_an_adapter_of_a_model_in_memory_loads_on_the_saved_model(
    family: str, tmp_path: Path
) -> None:
    """Tied weights, too: its fingerprint is that of the directory it will be saved to."""
    nameless = HookedModel(tiny_hf(family), byte_tokenizer())
    result = train(nameless, letters(6), tmp_path / "out", _recipe(max_steps=2, blocks="last:1"))
    assert nameless.fingerprint == ""
    base = saved_tiny(family, tmp_path)
    manifest = verify_directory(result.out)
    assert manifest is not None
    assert manifest.provenance["base_fingerprint"] == load_checkpoint(base).fingerprint
    assert load(result.out, base=base, device="cpu").n_layers == 4
    other = save_checkpoint(tiny_hf(family, 1), byte_tokenizer(), tmp_path / "o", provenance={})
    with pytest.raises(InputRefused, match="fingerprint"):
        load(result.out, base=other, device="cpu")


def test_the_card_states_the_rule_and_what_was_left_out(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("body\n" + "a long passage of words\n" * 2 + "x\n...\nabc\n")
    data = read_passages(path, column="body")
    out = train(
        tiny("llama"), data, tmp_path / "out", _recipe(blocks="last:2", max_steps=1, seq_len=8)
    ).out
    card = (out / "README.md").read_text()
    assert "| rule | one row per passage, cut to 8 tokens (1 were longer), nothing packed |" in card
    assert "| left out | 1 too short, 1 duplicate, 1 empty |" in card
    assert f"| data | 2 passages, 11 tokens ({path}) |" in card
    assert f"| data sha256 | `{data.sha256}` |" in card
    expected = [["1", "a long passage of words"], ["3", "x"], ["5", "abc"]]
    digest = hashlib.sha256()
    for pair in expected:
        digest.update(json.dumps(pair).encode())
    assert data.sha256 == digest.hexdigest()
