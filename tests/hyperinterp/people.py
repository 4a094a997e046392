"""Checkpoints as people and their tools leave them: tiny, offline, one maker each."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import torch
from huggingface_hub.utils import _shared_blobs
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.hyperinterp.training.factory import byte_tokenizer, tiny_hf


def plain(folder: Path, adapter: Path | None = None) -> Any:
    """Oracle: what plain transformers, and plain peft on top of it, read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = AutoModelForCausalLM.from_pretrained(folder)
        if adapter is not None:
            model = peft.PeftModel.from_pretrained(model, adapter)
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    ids = torch.tensor([[256, 5, 6, 12, 40, 33, 5, 6, 7]])
    with torch.no_grad():
        return model(input_ids=ids).logits


def nudged(model: Any, size: float = 0.05) -> Any:
    """The blocks' matrices moved a little: a stand-in for a fine-tune."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and ".layers." in name:
                parameter.add_(size * torch.randn(parameter.shape, generator=generator))
    return model


def saved(model: Any, folder: Path, *, tokenizer: bool = True) -> Path:
    model.save_pretrained(folder)
    if tokenizer:
        byte_tokenizer().save_pretrained(folder)
    return folder


def edit(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; None takes one out."""
    found = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))


def base(root: Path) -> Path:
    return saved(tiny_hf("llama"), root / "base")


def fitted(root: Path, name: str = "fitted") -> Path:
    return saved(nudged(tiny_hf("llama")), root / name)


def with_config(root: Path, file: str = "config.json", **changes: object) -> Path:
    folder = fitted(root, "configured")
    if not (folder / file).exists():
        (folder / file).write_text("{}")
    edit(folder / file, **changes)
    return folder


def adapter(root: Path, name: str = "adapter", tied: bool = True, **settings: object) -> Path:
    """A LoRA adapter of `base`, with weights that matter."""
    model = tiny_hf("llama")
    if not tied:
        model = AutoModelForCausalLM.from_pretrained(untied(root))
    asked = {"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = peft.get_peft_model(model, peft.LoraConfig(**{**asked, **settings}))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    folder = root / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    edit(folder / "adapter_config.json", base_model_name_or_path=str(root / "base"))
    return folder


def untied(root: Path) -> Path:
    folder = root / "base"
    if not folder.exists():
        model = tiny_hf("llama")
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
        saved(model, folder)
    return folder


def renamed(folder: Path, rename: Callable[[str], str], file: str = "model.safetensors") -> Path:
    tensors = load_file(folder / file)
    save_file({rename(n): t for n, t in tensors.items()}, folder / file, {"format": "pt"})
    return folder


def trainer_run(root: Path) -> Path:
    """A Trainer's folder: two whole checkpoints, and a newest one that a kill cut short."""
    for step in (5, 10, 100):
        folder = fitted(root, f"run/checkpoint-{step}")
        torch.save({"a": torch.ones(3)}, folder / "optimizer.pt")
        (folder / "trainer_state.json").write_text("{}")
    weights = root / "run" / "checkpoint-100" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return root / "run"


def hub_cache(root: Path, sources: dict[str, Path], *, shared: bool = True) -> Path:
    """Repositories in a Hub cache as huggingface_hub lays it out; returns the cache."""
    cache = root / "hub"
    for name, source in sources.items():
        repository = cache / f"models--{name.replace('/', '--')}"
        commit = hashlib.sha1(name.encode()).hexdigest()
        snapshot = repository / "snapshots" / commit
        (repository / "blobs").mkdir(parents=True)
        (repository / "refs").mkdir()
        for ref in ("main", "v1"):
            (repository / "refs" / ref).write_text(commit)
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            blob = repository / "blobs" / digest
            shutil.copy(file, blob)
            if shared and file.suffix == ".safetensors":
                assert _shared_blobs.publish_blob_to_shared_store(
                    blob_path=str(blob), xet_hash=digest, cache_dir=cache,
                    expected_size=file.stat().st_size,
                )  # fmt: skip
            link = snapshot / file.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            up = "../" * (len(link.relative_to(snapshot).parts) + 1)
            link.symlink_to(f"{up}blobs/{digest}")
    return cache
