"""Whole comparisons of models in memory: the figures of names, whatever state the owner has set."""

import warnings

import peft
import torch
from transformers import AutoModelForCausalLM

from hyperinterp import compare, continue_text
from hyperinterp.checkpoints import save_checkpoint
from hyperinterp.sizes import Sizes
from hyperinterp.training import TrainConfig, train
from tests.hyperinterp.training.factory import byte_tokenizer, letters, tiny_hf

SIZES = Sizes(
    prompts=9, prompt_tokens=6, context_tokens=12, new_tokens=8, window=8, contexts_per_prompt=4,
    order_contexts=8, lens_contexts=2, components=False, variants=(), control_prompts=4, seeds=1,
)  # fmt: skip
TEXTS = letters(9)


def pair(folder):
    """A base on disk, and an adapter of it, live and on disk."""
    save_checkpoint(tiny_hf("llama"), byte_tokenizer(), folder / "base", provenance={})
    hf = AutoModelForCausalLM.from_pretrained(folder / "base")
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(1)
        live = peft.get_peft_model(hf, config)
        for weight in live.parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn_like(weight))
        live.save_pretrained(folder / "adapter")
    return AutoModelForCausalLM.from_pretrained(folder / "base"), live


def figures(report):
    blocks = ("claims", "diversity", "expansion", "reranking")
    marks = [facts.fingerprint for facts in report.provenance.checkpoints]
    return [repr(getattr(report, name)) for name in blocks], marks


def test_objects_give_the_report_of_names_to_the_bit_in_every_state(tmp_path):
    base, live = pair(tmp_path)
    given = {"prompts": TEXTS.texts, "claims": "C1,C4,C5", "sizes": SIZES}
    expected = figures(compare(tmp_path / "base", tmp_path / "adapter", **given))
    drawn = torch.get_rng_state()
    assert figures(compare(base, live, **given)) == expected
    assert figures(compare(live.get_base_model(), live, **given)) == expected
    assert figures(compare(base, tmp_path / "adapter", **given)) == expected
    base.train()
    live.train()
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.device("meta"):
            assert figures(compare(base, live, **given)) == expected
        assert torch.get_default_dtype() == torch.float64
        assert not torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
    with torch.inference_mode():
        assert figures(compare(base, live, **given)) == expected
    assert base.training
    assert live.training
    assert torch.equal(torch.get_rng_state(), drawn)


def test_a_model_in_memory_is_trained_as_a_copy_and_writes(tmp_path):
    base, live = pair(tmp_path)
    base.config.use_cache = False
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    recipe = TrainConfig(blocks="last:2", max_steps=1, batch_size=2, seq_len=16)
    result = train(base.train(), letters(2), tmp_path / "twin", recipe)
    assert base.training
    assert all(torch.equal(before[name], weight) for name, weight in base.state_dict().items())
    assert not any("lora" in name for name, _ in base.named_modules())
    report = compare(base, result.out, prompts=TEXTS, claims="C1", sizes=SIZES)
    assert report.provenance.checkpoints[1].fingerprint
    named = continue_text(tmp_path / "base", "abc", new_tokens=4)
    assert continue_text(base, "abc", new_tokens=4) == named
    assert continue_text(live, ["abc"], new_tokens=4)
