"""Tiny checkpoints of every kind that we write, and a network that cannot be reached."""

import socket
import sys
from pathlib import Path

import peft
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hyperinterp.checkpoints import export_bundle, load_checkpoint, save_adapter, save_checkpoint

sys.path.insert(0, str(Path(__file__).parents[3]))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """No code path but the kind `hub` may open a socket; returns the attempts."""
    attempts = []

    def refuse(*args, **kwargs):
        attempts.append(args)
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    yield attempts
    assert attempts == []


def make_tokenizer():
    words = {w: i for i, w in enumerate(["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(60))])}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def make_model(seed=0, *, tied=True, hidden=32, layers=2):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


def make_adapter(model, seed=0, **settings):
    torch.manual_seed(seed)
    options = {
        "r": 4,
        "target_modules": ["q_proj", "up_proj"],
        "layers_to_transform": [1],
        "task_type": "CAUSAL_LM",
        **settings,
    }
    adapted = peft.get_peft_model(model, peft.LoraConfig(**options))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return adapted.eval()


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="session")
def ids():
    return torch.tensor([[1, 5, 9, 12, 40, 33]])


@pytest.fixture(scope="session")
def made(tmp_path_factory, tokenizer):
    """One of each: directory, untied directory, adapter, bundle, adapter bundle."""
    root = tmp_path_factory.mktemp("made")
    save_checkpoint(make_model(), tokenizer, root / "whole", provenance={"seed": 0})
    save_checkpoint(make_model(1, tied=False), tokenizer, root / "untied", provenance={})
    base = load_checkpoint(root / "whole")
    facts = {"base_name": str(root / "whole"), "base_fingerprint": base.fingerprint}
    save_adapter(make_adapter(base.model), tokenizer, root / "adapter", provenance=facts)
    export_bundle(root / "whole", root / "whole.pt")
    export_bundle(root / "adapter", root / "adapter.pt")
    return root


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits
