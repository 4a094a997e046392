"""The rows of docs/inputs.md: a maker for each kind of input that people bring."""

import contextlib
import functools
import gzip
import json
import os
import shutil
import tarfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from torch import Tensor, nn

import hyperinterp as hi
from hyperinterp.models.wrapping import as_hooked
from tests.hyperinterp import people
from tests.hyperinterp.families import VOCAB
from tests.hyperinterp.training.factory import byte_tokenizer, tiny_hf

OLD = Path(__file__).parent.parent / "tests" / "old"
WORDS = (
    "the river carried a letter under seven quiet houses in winter and no one wrote back".split()
)
TEXTS = [" ".join(WORDS[(7 * n + k * (n + 1)) % len(WORDS)] for k in range(12)) for n in range(8)]
IDS = torch.tensor([[256, 5, 6, 12, 40, 33, 5, 6, 7]])


@dataclass
class Case:
    """One input, ready to be tried.

    Attributes:
        base: what stands for BASE.
        fitted: what stands for FITTED; its logits are looked at.
        wanted: what the logits should be; None where only the comparison counts.
        options: further arguments of `hyperinterp.compare`.
        loading: further arguments of `hyperinterp.load`.
        ids: token ids that the logits are of.
    """

    base: Any
    fitted: Any
    wanted: Tensor | None = None
    options: dict[str, Any] = field(default_factory=lambda: {"prompts": TEXTS})
    loading: dict[str, Any] = field(default_factory=dict)
    ids: Tensor = field(default_factory=lambda: IDS)

    def logits(self) -> Tensor:
        """What hyperinterp computes."""
        if isinstance(self.fitted, str | Path):
            return hi.load(self.fitted, device="cpu", **self.loading).logits(self.ids)
        return as_hooked(self.fitted).logits(self.ids)


class Bench(contextlib.ExitStack):
    """A folder with a base model, and an environment that is put back afterwards."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    @functools.cached_property
    def base(self) -> Path:
        """The base that most rows are compared with."""
        return people.base(self.root)

    def use_cache(self, cache: Path) -> None:
        """Let the Hub be this cache alone, out of reach of the network."""
        before = constants.HF_HUB_CACHE
        self.callback(setattr, constants, "HF_HUB_CACHE", before)
        constants.HF_HUB_CACHE = str(cache)
        self.callback(os.environ.pop, "HF_HUB_OFFLINE", None)
        os.environ["HF_HUB_OFFLINE"] = "1"


def plain(folder: Path, adapter: Path | None = None) -> Tensor:
    """Logits of plain transformers, and of plain peft on top of it."""
    return people.logits(people.plain(folder, adapter))


def configured(file: str = "config.json", **changes: object) -> Callable[[Bench], Case]:
    """A checkpoint whose configuration another tool has written to."""

    def make(bench: Bench) -> Case:
        wanted = plain(people.fitted(bench.root))
        return Case(bench.base, people.with_config(bench.root, file, **changes), wanted)

    return make


def adapted(**settings: object) -> Callable[[Bench], Case]:
    """An adapter as peft leaves it."""

    def make(bench: Bench) -> Case:
        folder = people.adapter(bench.root, **settings)
        wanted = plain(bench.base, folder)
        return Case(bench.base, folder, wanted, loading={"base": bench.base})

    return make


def other_revision(bench: Bench) -> Case:
    """An adapter that names another base than the one given."""
    case = adapted()(bench)
    people.edit(
        case.fitted / "adapter_config.json",
        base_model_name_or_path="someone/base-4bit", revision="main-4bit",
    )  # fmt: skip
    return case


def two_adapters(bench: Bench) -> Case:
    """Two fine-tunes of one base."""
    first = people.adapter(bench.root, "first")
    second = people.adapter(bench.root, "second", task_type=None, target_modules=["down_proj"])
    return Case(first, second, plain(bench.base, second), loading={"base": bench.base})


def hub(*, shared: bool, suffix: str = "") -> Callable[[Bench], Case]:
    """Ids of a Hub cache."""

    def make(bench: Bench) -> Case:
        fitted = people.fitted(bench.root)
        names = {"me/base": bench.base, "me/fitted": fitted}
        bench.use_cache(people.hub_cache(bench.root / "hub-home", names, shared=shared))
        return Case("me/base", f"me/fitted{suffix}", plain(fitted))

    return make


def link_outside(bench: Bench) -> Case:
    """A Hub cache of which one link leads elsewhere."""
    case = hub(shared=False)(bench)
    (weights,) = (bench.root / "hub-home").rglob("models--me--fitted/snapshots/*/model.safetensors")
    weights.unlink()
    weights.symlink_to(bench.root / "fitted" / "model.safetensors")
    return case


def vocabulary(
    base_rows: int, fitted_rows: int, *, swapped: bool = False
) -> Callable[[Bench], Case]:
    """A pad token added for fine-tuning, in a grown embedding or in spare rows."""

    def make(bench: Bench) -> Case:
        tokenizer = byte_tokenizer()
        first, second = tiny_hf("llama"), people.nudged(tiny_hf("llama"))
        for model, rows in ((first, base_rows), (second, fitted_rows)):
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.resize_token_embeddings(rows)
        first.save_pretrained(bench.root / "small")
        tokenizer.save_pretrained(bench.root / "small")
        while len(tokenizer) < 261:
            tokenizer.add_special_tokens({"additional_special_tokens": [f"<new{len(tokenizer)}>"]})
        second.save_pretrained(bench.root / "grown")
        tokenizer.save_pretrained(bench.root / "grown")
        pair = [bench.root / "small", bench.root / "grown"]
        pair = pair[::-1] if swapped else pair
        return Case(*pair, wanted=plain(pair[1]))

    return make


def without_tokenizer(bench: Bench) -> Case:
    """A base that was saved without its tokenizer."""
    base = people.saved(tiny_hf("llama"), bench.root / "bare", tokenizer=False)
    fitted = people.fitted(bench.root)
    return Case(base, fitted, plain(fitted))


def setting(**changes: object) -> Callable[[Bench], Case]:
    """Equal weights under other settings."""

    def make(bench: Bench) -> Case:
        folder = people.base(bench.root / "other")
        people.edit(folder / "config.json", **changes)
        return Case(bench.base, folder, plain(folder))

    return make


def wider(bench: Bench) -> Case:
    """Another width of the MLP."""
    model = tiny_hf("llama")
    for block in model.model.layers:
        block.mlp.gate_proj, block.mlp.up_proj = (nn.Linear(32, 64, bias=False) for _ in range(2))
        block.mlp.down_proj = nn.Linear(64, 32, bias=False)
    model.config.intermediate_size = 64
    folder = people.saved(model, bench.root / "wider")
    return Case(bench.base, folder, plain(folder))


def state_dict(
    name: str = "state.pt", wrap: Callable[[Any], Any] = dict, like: bool = True
) -> Callable[[Bench], Case]:
    """Weights as `torch.save(model.state_dict())` leaves them."""

    def make(bench: Bench) -> Case:
        fitted = people.fitted(bench.root)
        path = bench.root / name
        torch.save(wrap(people.plain(fitted).state_dict()), path)
        more: dict[str, Any] = {"like": bench.base} if like else {}
        options = {"prompts": TEXTS, **more}
        return Case(bench.base, path, plain(fitted), options=options, loading=more)

    return make


def pickled(shards: int = 1) -> Callable[[Bench], Case]:
    """A repository that holds pytorch_model.bin only."""

    def make(bench: Bench) -> Case:
        fitted = people.fitted(bench.root)
        wanted, weights = plain(fitted), people.plain(fitted).state_dict()
        (fitted / "model.safetensors").unlink()
        weights.pop("lm_head.weight", None)
        if shards == 1:
            torch.save(weights, fitted / "pytorch_model.bin")
            return Case(bench.base, fitted, wanted)
        places = {name: n % shards for n, name in enumerate(weights)}
        files = [f"pytorch_model-{n + 1:05d}-of-{shards:05d}.bin" for n in range(shards)]
        for n, file in enumerate(files):
            torch.save({k: v for k, v in weights.items() if places[k] == n}, fitted / file)
        index = {"metadata": {}, "weight_map": {k: files[n] for k, n in places.items()}}
        (fitted / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        return Case(bench.base, fitted, wanted)

    return make


def adapter_bin(bench: Bench) -> Case:
    """An adapter of an older peft."""
    case = adapted()(bench)
    path = case.fitted / "adapter_model.safetensors"
    torch.save(load_file(path), case.fitted / "adapter_model.bin")
    path.unlink()
    return case


def lens_weights(bench: Bench) -> Case:
    """A state dict of TransformerLens."""
    path = bench.root / "lens.pt"
    torch.save({"embed.W_E": torch.ones(8, 4), "blocks.0.attn.W_Q": torch.ones(2, 4, 2)}, path)
    return Case(bench.base, path, loading={"like": bench.base}, wanted=torch.ones(1))


def trainer(bench: Bench) -> Case:
    """The folder of a Trainer's run, whose newest checkpoint is cut short."""
    run = people.trainer_run(bench.root)
    return Case(bench.base, run, plain(run / "checkpoint-10"))


def merged_beside(bench: Bench) -> Case:
    """Merged weights beside an adapter's configuration."""
    fitted, adapter = people.fitted(bench.root), people.adapter(bench.root)
    wanted = plain(fitted)
    shutil.copy(adapter / "adapter_config.json", fitted)
    return Case(bench.base, fitted, wanted)


def prefixed(prefix: str) -> Callable[[Bench], Case]:
    """Weights under the prefix that a wrapper adds."""

    def make(bench: Bench) -> Case:
        fitted = people.fitted(bench.root)
        wanted = plain(fitted)
        return Case(bench.base, people.renamed(fitted, lambda name: prefix + name), wanted)

    return make


def single_file(bench: Bench) -> Case:
    """A weights file, named by its path."""
    fitted = people.fitted(bench.root)
    return Case(bench.base, fitted / "model.safetensors", plain(fitted))


def bundle(bench: Bench) -> Case:
    """A bundle of hyperinterp's own."""
    fitted = people.fitted(bench.root)
    from hyperinterp.checkpoints import export_bundle

    export_bundle(str(fitted), bench.root / "fitted.pt")
    return Case(bench.base, bench.root / "fitted.pt", plain(fitted))


def quantised(bench: Bench) -> Case:
    """Weights in a format whose library is not installed."""
    folder = people.with_config(
        bench.root, quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128}
    )
    people.renamed(folder, lambda n: n.replace("q_proj.weight", "q_proj.qweight"))
    return Case(bench.base, folder, torch.ones(1))


# -- texts ---------------------------------------------------------------------------------------

LINES = "\n".join(json.dumps({"text": text}) for text in TEXTS)


def text_file(name: str, content: str | bytes, **options: Any) -> Callable[[Bench], Case]:
    """Prompts as a file."""

    def make(bench: Bench) -> Case:
        path = bench.root / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        fitted = people.fitted(bench.root)
        return Case(bench.base, fitted, options={"prompts": str(path), **options})

    return make


def given_text(make_text: Callable[[], Any], **options: Any) -> Callable[[Bench], Case]:
    """Prompts as an object."""

    def make(bench: Bench) -> Case:
        fitted = people.fitted(bench.root)
        return Case(bench.base, fitted, options={"prompts": make_text(), **options})

    return make


def data_set() -> Any:
    """A Hugging Face Dataset."""
    import datasets

    return datasets.Dataset.from_dict({"text": TEXTS})


def conversation(template: bool) -> Callable[[Bench], Case]:
    """Rows of messages, for models with and without a chat template."""

    def make(bench: Bench) -> Case:
        pair = [bench.base, people.fitted(bench.root)]
        if template:
            for folder in pair:
                people.edit(
                    folder / "tokenizer_config.json",
                    chat_template="{% for m in messages %}<{{ m.role }}>{{ m.content }}\n"
                    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
                )
        path = bench.root / "messages.jsonl"
        rows = [{"messages": [{"role": "user", "content": text}]} for text in TEXTS]
        path.write_text("\n".join(map(json.dumps, rows)))
        return Case(*pair, options={"prompts": str(path)})

    return make


# -- objects -------------------------------------------------------------------------------------


def held(change: Callable[[Any], Any] = lambda model: model) -> Callable[[Bench], Case]:
    """A model in memory, after a change by its owner."""

    def make(bench: Bench) -> Case:
        folder = people.fitted(bench.root)
        given = change(people.plain(folder))
        options = {"prompts": TEXTS}
        base = hi.load(bench.base, device="cpu")
        return Case(base, given, plain(folder), options=options)

    return make


def live_adapter(bench: Bench) -> Case:
    """A PeftModel."""
    folder = people.adapter(bench.root)
    model = people.plain(bench.base, folder)
    return Case(hi.load(bench.base, device="cpu"), model, people.logits(model))


def bridged(model: Any, *, compatible: bool = False) -> Any:
    """A TransformerBridge over the model."""
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    bridge: Any = build_bridge_from_module(
        model, type(model).__name__, hf_config=model.config, tokenizer=None, device="cpu"
    )
    if compatible:
        bridge.enable_compatibility_mode()
    return bridge


def nnsight_model(model: Any) -> Any:
    """An nnsight LanguageModel around the model."""
    from nnsight import LanguageModel

    return LanguageModel(model, tokenizer=byte_tokenizer())


class StandardizedTransformer:
    """As nnterp holds its model."""

    def __init__(self, model: Any) -> None:
        self._model, self.tokenizer = model, byte_tokenizer()


StandardizedTransformer.__module__ = "nnterp.standardized_transformer"


def with_hook(model: Any) -> Any:
    """A model with a hook of its owner."""
    model.model.layers[0].register_forward_hook(lambda *_: None)
    return model


def in_float64(bench: Bench) -> Case:
    """A session whose default dtype is float64."""
    case = held()(bench)
    bench.callback(torch.set_default_dtype, torch.get_default_dtype())
    torch.set_default_dtype(torch.float64)
    return case


# -- older versions --------------------------------------------------------------------------------


@functools.cache
def _members(archive: Path) -> dict[str, str]:
    """Name -> folder, of everything that an archive holds."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith("/name.txt"):
                stream: Any = tar.extractfile(member)
                found[stream.read().decode()] = member.name.partition("/")[0]
    return found


def older(archive: Path, name: str) -> Callable[[Bench], Case]:
    """A model or adapter as an older version wrote it, compared with itself after a nudge."""

    def make(bench: Bench) -> Case:
        with tarfile.open(archive) as tar:
            tar.extractall(bench.root, filter="data")
        folder = bench.root / _members(archive)[name]
        wanted = load_file(folder / "logits.safetensors")["logits"]
        ids = torch.randint(3, VOCAB, (2, 12), generator=torch.Generator().manual_seed(5))
        words = [
            " ".join(f"w{3 + (5 * n + k * (n + 2)) % 60}" for k in range(16)) for n in range(8)
        ]
        options = {"prompts": words}
        if name.startswith("adapter"):
            base = bench.root / _members(archive)["model llama"]
            return Case(base, folder, wanted, options=options, loading={"base": base}, ids=ids)
        moved = hi.load(folder, device="cpu")
        with torch.no_grad():
            for parameter in moved.blocks.parameters():
                parameter.mul_(1.02)
        return Case(moved, folder, wanted, options=options, ids=ids)

    return make


CHECKPOINTS: dict[str, Callable[[Bench], Case]] = {
    "Hub id, weights in the store that repositories share": hub(shared=True),
    "Hub id, blobs in the repository's own folder": hub(shared=False),
    "Hub id with a revision (`me/fitted@v1`)": hub(shared=True, suffix="@v1"),
    "Hub id, a link that leaves the cache": link_outside,
    "config.json with `cache_implementation`": configured(cache_implementation="hybrid"),
    "config.json with `_attn_implementation_autoset`": configured(
        _attn_implementation_autoset=True
    ),
    "config.json with `auto_map`, a family that is known": configured(
        auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"}
    ),
    "config.json of a family that is not known": configured(model_type="made_up"),
    "config.json that names a kernel repository": configured(
        _attn_implementation="kernels-community/flash-attn3"
    ),
    "config.json of Unsloth": configured(unsloth_version="2025.1", unsloth_fixed=True),
    "adapter": adapted(),
    "adapter without `task_type`": adapted(task_type=None),
    "adapter with a pattern of targets": adapted(
        target_modules=r".*layers\.\d+\.(self_attn|mlp)\.(q|v|up|down)_proj"
    ),
    "adapter with trained tokens": adapted(trainable_token_indices={"embed_tokens": [5, 6]}),
    "adapter with DoRA": adapted(use_dora=True),
    "adapter that names another base and revision": other_revision,
    "adapter against adapter": two_adapters,
    "adapter_model.bin": adapter_bin,
    "one pad token added, embedding grown": vocabulary(260, 261),
    "one pad token added, base and fitted the other way round": vocabulary(260, 261, swapped=True),
    "one pad token added, in a spare row": vocabulary(272, 272),
    "base without tokenizer files": without_tokenizer,
    "equal weights, other rotary base": setting(
        rope_parameters={"rope_theta": 50.0, "rope_type": "default"}
    ),
    "equal weights, other number of heads": setting(
        num_attention_heads=2, num_key_value_heads=1, head_dim=16
    ),
    "another MLP width": wider,
    "state dict (`.pt`) with `--like`": state_dict(),
    "state dict inside a dict": state_dict(wrap=lambda w: {"model": dict(w), "step": 3}),
    "state dict named `.pth`": state_dict("state.pth"),
    "state dict without `--like`": state_dict(like=False),
    "state dict of TransformerLens": lens_weights,
    "pytorch_model.bin": pickled(),
    "pytorch_model.bin in shards": pickled(3),
    "folder of a Trainer's run": trainer,
    "merged weights beside an adapter's configuration": merged_beside,
    "weights of `torch.compile` (`_orig_mod.`)": prefixed("_orig_mod."),
    "weights of DDP (`module.`)": prefixed("module."),
    "a `.safetensors` file beside its config": single_file,
    "hyperinterp bundle": bundle,
    "GPTQ, its library not installed": quantised,
}
TEXT: dict[str, Callable[[Bench], Case]] = {
    "JSON lines": text_file("p.jsonl", LINES),
    "JSON lines named `.json`": text_file("p.json", LINES),
    "JSON lines named `.ndjson`": text_file("p.ndjson", LINES),
    "JSON object of columns": text_file("p.json", json.dumps({"text": TEXTS})),
    "gzip of JSON lines": text_file("p.jsonl.gz", gzip.compress(LINES.encode())),
    "another field, `--column prompt`": text_file(
        "p.jsonl", LINES.replace('"text"', '"prompt"'), column="prompt"
    ),
    "another field, not named": text_file("p.jsonl", LINES.replace('"text"', '"prompt"')),
    "texts that begin with the begin token": text_file(
        "p.txt", "\n".join(f"<s>{text}" for text in TEXTS)
    ),
    "conversations, the tokenizer has a chat template": conversation(template=True),
    "conversations, no chat template": conversation(template=False),
    "an HTML page saved as JSON lines": text_file("p.jsonl", "<!doctype html><html></html>"),
    "a list of strings": given_text(lambda: TEXTS),
    "a Hugging Face Dataset": given_text(data_set),
    "one string": given_text(lambda: TEXTS[0]),
}
OBJECTS: dict[str, Callable[[Bench], Case]] = {
    "PreTrainedModel": held(),
    "PeftModel, live LoRA": live_adapter,
    "TransformerBridge": held(bridged),
    "TransformerBridge in compatibility mode": held(lambda m: bridged(m, compatible=True)),
    "nnsight LanguageModel": held(nnsight_model),
    "nnterp StandardizedTransformer": held(StandardizedTransformer),
    "HookedModel": held(lambda model: hi.HookedModel(model, byte_tokenizer())),
    "compiled (`torch.compile`)": held(torch.compile),
    "DataParallel": held(nn.DataParallel),
    "in training mode": held(lambda model: model.train()),
    "with hooks of its owner": held(with_hook),
    "default dtype float64": in_float64,
    "a tokenizer": held(lambda _: byte_tokenizer()),
}
GROUPS: dict[str, dict[str, Callable[[Bench], Case]]] = {
    "checkpoints": CHECKPOINTS,
    "texts": TEXT,
    "objects": OBJECTS,
    **{
        archive.name.removesuffix(".tar.xz"): {
            name: older(archive, name) for name in _members(archive)
        }
        for archive in sorted(OLD.glob("*.tar.xz"))
    },
}
"""Group of docs/inputs.md -> name of the input -> its maker."""
