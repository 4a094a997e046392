"""Hostile model, tokenizer and adapter configurations, and copies of checkpoints with them."""

import json
import shutil

CONFIGS = {
    "auto_map": {"auto_map": {"AutoModelForCausalLM": "evil--model.Evil"}},
    "auto_map text": {"auto_map": "evil.Evil"},
    "nested auto_map": {"text_config": {"auto_map": {"AutoConfig": "x.Y"}}},
    "attn repository": {"attn_implementation": "evil/kernel"},
    "private attn repository": {"_attn_implementation": "kernels-community/flash-attn2"},
    "internal attn": {"_attn_implementation_internal": "evil/kernel:fn"},
    "attn table": {"attn_implementation": {"text_config": "evil/kernel"}},
    "nested attn": {"text_config": {"_attn_implementation": "evil/kernel@main"}},
    "paged attn": {"attn_implementation": "paged|evil/kernel"},
    "experts": {"experts_implementation": "evil/kernel"},
    "kernel config": {"kernel_config": {"RMSNorm": "evil/kernels:RMSNorm"}},
    "use kernels": {"use_kernels": ["evil/kernels"]},
    "quantised": {"quantization_config": {"quant_method": "quark"}},
    "nested quantised": {"text_config": {"quantization_config": {"quant_method": "gptq"}}},
    "layers": {"num_hidden_layers": 10**9},
    "n_layer": {"n_layer": 10**6},
    "hidden": {"hidden_size": 1 << 40},
    "vocabulary": {"vocab_size": 10**12},
    "experts count": {"num_local_experts": 10**7},
    "positions": {"max_position_embeddings": 10**10},
    "negative": {"intermediate_size": -(10**9)},
    "weights elsewhere": {"transformers_weights": "../../other.safetensors"},
    "pipelines": {"custom_pipelines": {"x": {"impl": "evil.Evil"}}},
    "model_type path": {"model_type": "../evil"},
    "model_type missing": {"model_type": None},
    "architectures": {"architectures": ["os.system('x')"]},
}

TOKENIZERS = {
    "auto_map": {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}},
    "class path": {"tokenizer_class": "../evil.Evil"},
    "class list": {"tokenizer_class": ["x"]},
    "remote code": {"trust_remote_code": True},
}

ADAPTERS = {
    "regex that hangs": {"target_modules": "(a+)+$"},
    "regex in a list": {"target_modules": ["(a+)+$"]},
    "dot-star": {"target_modules": [".*"]},
    "rank 10**9": {"r": 10**9},
    "rank 0": {"r": 0},
    "rank true": {"r": True},
    "rank text": {"r": "8"},
    "rank missing": {"r": None},
    "alpha infinite": {"lora_alpha": float("inf")},
    "alpha nan": {"lora_alpha": float("nan")},
    "megatron": {"megatron_config": {"x": 1}, "megatron_core": "os"},
    "megatron core": {"megatron_core": "evil.module"},
    "auto_mapping": {"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"}},
    "replication": {"layer_replication": [[0, 10**6]]},
    "loftq": {"loftq_config": {"loftq_bits": 4}},
    "eva": {"eva_config": {"rho": 2.0}},
    "corda": {"corda_config": {"cache_file": "/etc/passwd"}},
    "runtime": {"runtime_config": {"ephemeral_gpu_offload": True}},
    "pissa": {"init_lora_weights": "pissa"},
    "rank regex": {"rank_pattern": {"(a+)+$": 4}},
    "rank pattern size": {"rank_pattern": {"q_proj": 10**9}},
    "alpha regex": {"alpha_pattern": {"(.*)*": 4}},
    "layers pattern": {"layers_pattern": "(a+)+$"},
    "layers to transform": {"layers_to_transform": [10**9]},
    "modules_to_save": {"modules_to_save": ["../x"]},
    "exclude regex": {"exclude_modules": "(a+)+$"},
    "base parent": {"base_model_name_or_path": "../../etc"},
    "base inner parent": {"base_model_name_or_path": "/srv/../etc"},
    "base URL": {"base_model_name_or_path": "https://evil.example/x"},
    "base home": {"base_model_name_or_path": "~root/x"},
    "base control": {"base_model_name_or_path": "a\nb"},
    "base list": {"base_model_name_or_path": ["x"]},
    "kind": {"peft_type": "PROMPT_TUNING"},
    "task": {"task_type": "SEQ_CLS"},
    "unknown": {"evil_hook": "os.system"},
    "tokens": {"trainable_token_indices": [1]},
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
