"""Hostile model, tokenizer and adapter configurations, and copies of checkpoints with them."""

import json
import shutil

CONFIGS = {
    "auto_map of a family nobody knows": {
        "model_type": "evil",
        "auto_map": {"AutoModelForCausalLM": "evil.Evil"},
    },
    "attn text": {"attn_implementation": "evil"},
    "cache repository": {"cache_implementation": "evil/cache"},
    "attn repository": {"attn_implementation": "evil/kernel"},
    "private attn repository": {"_attn_implementation": "kernels-community/flash-attn2"},
    "internal attn": {"_attn_implementation_internal": "evil/kernel:fn"},
    "attn table": {"attn_implementation": {"text_config": "evil/kernel"}},
    "nested attn": {"text_config": {"_attn_implementation": "evil/kernel@main"}},
    "paged attn": {"attn_implementation": "paged|evil/kernel"},
    "experts": {"experts_implementation": "evil/kernel"},
    "kernel config": {"kernel_config": {"RMSNorm": "evil/kernels:RMSNorm"}},
    "use kernels": {"use_kernels": ["evil/kernels"]},
    "layers": {"num_hidden_layers": 10**9},
    "n_layer": {"n_layer": 10**6},
    "hidden": {"hidden_size": 1 << 40},
    "vocabulary": {"vocab_size": 10**12},
    "experts count": {"num_local_experts": 10**7},
    "positions": {"max_position_embeddings": 10**10},
    "negative": {"intermediate_size": -(10**9)},
    "weights elsewhere": {"transformers_weights": "../../other.safetensors"},
    "model_type path": {"model_type": "../evil"},
    "model_type missing": {"model_type": None},
    "architectures": {"architectures": ["os.system('x')"]},
}

# Left out, so that nobody sees it: by file, what is added to it.
LEFT_OUT = {
    "auto_map": ("config.json", {"auto_map": {"AutoModelForCausalLM": "evil.Evil"}}),
    "auto_map of a repository": (
        "config.json", {"auto_map": {"AutoModelForCausalLM": "evil--model.Evil"}}
    ),
    "auto_map text": ("config.json", {"auto_map": "evil.Evil"}),
    "nested auto_map": ("config.json", {"extra": {"auto_map": {"AutoConfig": "evil.Evil"}}}),
    "pipelines": ("config.json", {"custom_pipelines": {"x": {"impl": "evil.Evil"}}}),
    "trust": ("config.json", {"trust_remote_code": True, "auto_map": {"AutoConfig": "evil.X"}}),
    "generate": ("generation_config.json", {"custom_generate": "evil/generate"}),
    "generation auto_map": ("generation_config.json", {"auto_map": {"x": "evil.Evil"}}),
    "tokenizer auto_map": (
        "tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    ),
    "tokenizer trust": (
        "tokenizer_config.json",
        {"trust_remote_code": True, "auto_map": {"AutoTokenizer": [None, "evil.Evil"]}},
    ),
}  # fmt: skip

TOKENIZERS = {
    "class path": {"tokenizer_class": "../evil.Evil"},
    "class list": {"tokenizer_class": ["x"]},
}

# Kept as text and never run: what the tensors say counts.
UNRUN = {
    "targets that hang": {"target_modules": "(a+)+$"},
    "targets in a list": {"target_modules": ["(a+)+$", ".*"]},
    "excluded": {"exclude_modules": "(a+)+$"},
    "layers pattern": {"layers_pattern": "(a+)+$"},
    "rank pattern": {"rank_pattern": {"(a+)+$": 4}},
    "library": {"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"}},
}

ADAPTERS = {
    "rank 10**9": {"r": 10**9},
    "rank 0": {"r": 0},
    "rank true": {"r": True},
    "rank text": {"r": "8"},
    "rank missing": {"r": None},
    "alpha infinite": {"lora_alpha": float("inf")},
    "alpha nan": {"lora_alpha": float("nan")},
    "megatron": {"megatron_config": {"x": 1}, "megatron_core": "os"},
    "megatron core": {"megatron_core": "evil.module"},
    "replication": {"layer_replication": [[0, 10**6]]},
    "loftq": {"loftq_config": {"loftq_bits": 4}},
    "eva": {"eva_config": {"rho": 2.0}},
    "corda": {"corda_config": {"cache_file": "/etc/passwd"}},
    "runtime": {"runtime_config": {"ephemeral_gpu_offload": True}},
    "pissa": {"init_lora_weights": "pissa"},
    "rank pattern size": {"rank_pattern": {"q_proj": 10**9}},
    "alpha regex": {"alpha_pattern": {"(.*)*": 4}},
    "layers to transform": {"layers_to_transform": [10**9]},
    "modules_to_save": {"modules_to_save": ["../x"]},
    "base parent": {"base_model_name_or_path": "../../etc"},
    "base inner parent": {"base_model_name_or_path": "/srv/../etc"},
    "base URL": {"base_model_name_or_path": "https://evil.example/x"},
    "base home": {"base_model_name_or_path": "~root/x"},
    "base control": {"base_model_name_or_path": "a\nb"},
    "base list": {"base_model_name_or_path": ["x"]},
    "kind": {"peft_type": "PROMPT_TUNING"},
    "task": {"task_type": "SEQ_CLS"},
    "unknown": {"evil_hook": "os.system"},
    "scale that a pattern decides": {"alpha_pattern": {".*_proj": 32}},
    "tokens text": {"trainable_token_indices": {"embed_tokens": ["1"]}},
    "tokens elsewhere": {"trainable_token_indices": {"(a+)+$": [1]}},
    "tokens beyond": {"trainable_token_indices": [10**9]},
    "rank of another adapter": {"r": 8},
    "a thousand tokens files": {"trainable_token_indices": {f"m{i}": [1] for i in range(99)}},
    "bias": {"bias": "evil"},
}


def copy_foreign(source, target, **changes):
    """A checkpoint directory without manifest, with a changed config."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    (target / "hyperinterp-manifest.json").unlink()
    change_json(target / "config.json", changes)


def change_adapter(source, target, **changes):
    shutil.copytree(source, target)
    (target / "hyperinterp-manifest.json").unlink()
    change_json(target / "adapter_config.json", changes)


def change_json(path, changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
