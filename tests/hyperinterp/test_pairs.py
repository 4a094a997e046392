"""Pairs that nobody hyperfitted: they are compared, and no word says that they were."""

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig

from hyperinterp.checkpoints import load_checkpoint, save_checkpoint
from hyperinterp.claims.registry import CLAIMS
from hyperinterp.comparison import compare
from hyperinterp.errors import InputRefused, MismatchedPair
from hyperinterp.frequencies import Frequencies
from hyperinterp.models import HookedModel
from hyperinterp.report import markdown, summary
from hyperinterp.sizes import Sizes
from hyperinterp.text import Passage, Passages
from tests.hyperinterp.training.factory import byte_tokenizer, letters, tiny_hf

SIZES = Sizes(
    prompts=9, prompt_tokens=5, new_tokens=18, window=18, context_tokens=12,
    contexts_per_prompt=4, order_contexts=8, lens_contexts=2, components=False, variants=(),
)  # fmt: skip


def prune(hf, share=0.1):
    """Set the smallest weights of every matrix of the blocks to zero."""
    pruned = total = 0
    with torch.no_grad():
        for module in hf.modules():
            if isinstance(module, torch.nn.Linear) and module is not hf.get_output_embeddings():
                size = module.weight.abs()
                limit = size.flatten().kthvalue(max(1, int(share * size.numel()))).values
                module.weight[size <= limit] = 0
                pruned += int((module.weight == 0).sum())
                total += size.numel()
    return pruned / total


def _pruned(hf, tokenizer):
    assert prune(hf) == pytest.approx(0.1, abs=0.01)


def _trained_further(hf, tokenizer):
    ids = torch.tensor([tokenizer("abc def abc def")["input_ids"]])
    optimiser = torch.optim.SGD(hf.parameters(), lr=0.05)
    for _ in range(2):
        hf(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def _instruct(hf, tokenizer):
    _trained_further(hf, tokenizer)
    hf.generation_config = GenerationConfig(
        do_sample=True, temperature=0.6, repetition_penalty=1.3, eos_token_id=[257, 258]
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"


KINDS = {"pruned": _pruned, "a later step": _trained_further, "instruct": _instruct, "seed": None}


def pair(kind):
    base = tiny_hf("llama")
    tokenizers = byte_tokenizer(), byte_tokenizer()
    other = tiny_hf("llama", 1) if kind == "seed" else deepcopy(base)
    if KINDS[kind] is not None:
        KINDS[kind](other, tokenizers[1])
    return (
        HookedModel(base, tokenizers[0], name="first", fingerprint="1" * 64),
        HookedModel(other.eval(), tokenizers[1], name="second", fingerprint="2" * 64),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_any_two_checkpoints_are_compared_without_pretending(kind):
    report = compare(*pair(kind), prompts=letters(9), claims="C1,C4,C5", sizes=SIZES)
    assert all(report.claims[name].effect is not None for name in ("C1", "C4", "C5"))
    text = markdown.render(report)
    assert "hyperfit" not in text.lower()
    assert "only the name of the second checkpoint" in text


def test_a_twin_that_says_how_it_was_made_gets_no_such_remark():
    base, fitted = pair("a later step")
    fitted.provenance["kind"] = "hyperfitted"
    report = compare(base, fitted, prompts=letters(9), claims="C5", sizes=SIZES)
    assert "only the name" not in " ".join(summary.notes(report))


def test_no_rule_speaks_of_hyperfitting():
    for spec in CLAIMS:
        words = [spec.rule.statement, spec.rule.unit, spec.rule.null, spec.needs]
        words += [criterion.words for criterion in spec.rule.criteria]
        assert "hyperfit" not in " ".join(words).lower()


@pytest.mark.real
@pytest.mark.full
def test_a_pruned_copy_of_the_real_model_from_the_command_line(tmp_path):
    found = load_checkpoint("smollm2")
    prune(found.model)
    save_checkpoint(found.model, found.tokenizer, tmp_path / "pruned", provenance={})
    command = Path(sys.executable).parent / "hyperinterp"
    prompts = tmp_path / "prompts.jsonl"
    from hyperinterp.text import builtin_passages

    lines = [json.dumps({"text": text}) for text in builtin_passages("heldout").head(8).texts]
    prompts.write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run(
        [command, "compare", "smollm2", tmp_path / "pruned", "--preset", "quick",
         "--claims", "C1,C4,C5", "--prompts", prompts, "--out", tmp_path / "report"],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "hyperfit" not in text.lower()
    assert "only the name of the second checkpoint" in text
    data = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert data["claims"]["C1"]["verdict"] != "supported"


def test_models_of_two_dtypes_are_refused():
    base, other = pair("seed")
    other.hf.to(torch.bfloat16)
    with pytest.raises(MismatchedPair, match="dtype float32 and bfloat16"):
        compare(base, other, prompts=letters(9), claims="C1", sizes=SIZES)


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused():
    base, other = pair("seed")
    for model in (base, other):
        model.hf.resize_token_embeddings(200)
    with pytest.raises(MismatchedPair, match=r"first: .*tokens, the embedding 200 rows"):
        compare(base, other, prompts=letters(9), claims="C1", sizes=SIZES)


@pytest.mark.parametrize("given", ["train_data", "frequencies"])
def test_further_texts_and_tables_are_looked_at_before_the_work(given, monkeypatch):
    monkeypatch.setattr("hyperinterp.generations.write_all", lambda *_, **__: pytest.fail("wrote"))
    short = Passages((Passage("1", "a"), Passage("2", "b")), "two letters")
    found = {"train_data": short, "frequencies": Frequencies({9999: 1}, "a table")}
    with pytest.raises(InputRefused, match="expected"):
        compare(
            *pair("seed"), prompts=letters(9), claims="C1,C4,C8", sizes=SIZES,
            **{given: found[given]},
        )  # fmt: skip
