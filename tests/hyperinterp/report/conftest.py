import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from hyperinterp.models import HookedModel, load
from hyperinterp.report import html
from hyperinterp.report.schema import Report
from hyperinterp.sizes import Sizes
from tests.hyperinterp.report.watching import CHROMIUM, browser


def _load() -> ModuleType:
    """The factory beside this file; tests are not a package."""
    name = "report_factory"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("factory.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def factory() -> ModuleType:
    return _load()


@pytest.fixture(scope="session")
def complete(factory: ModuleType) -> Report:
    return factory.complete()


@pytest.fixture(scope="session")
def sparse(factory: ModuleType) -> Report:
    return factory.sparse()


@pytest.fixture(scope="session")
def complete_html(complete: Report) -> str:
    return html.render(complete)


@pytest.fixture(scope="session")
def sparse_html(sparse: Report) -> str:
    return html.render(sparse)


@pytest.fixture(scope="session")
def complete_file(complete_html: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(complete_html, encoding="utf-8")
    return path


FEW = Sizes(
    prompts=8, prompt_tokens=16, new_tokens=16, window=16, context_tokens=32,
    contexts_per_prompt=4, order_contexts=16, lens_contexts=8, components=False, variants=(),
    control_prompts=2, seeds=1, sweep=(), alphas=(1.0,), bias_steps=4, patch_prompts=2,
    null_draws=1, null_blocks=1, stitched=1, choices=1,
)  # fmt: skip
"""Every analysis, on little text."""


def compared(base: HookedModel, fitted: HookedModel, folder: Path) -> Path:
    """The saved page of a comparison of a pair in all claims."""
    from hyperinterp.comparison import compare
    from hyperinterp.text import builtin_passages

    report = compare(
        base, fitted, control=base, late_stage=[fitted], elsewhere=[fitted], sizes=FEW,
        prompts=builtin_passages("heldout").head(8),
    )  # fmt: skip
    assert not report.absent
    return report.save(folder / "report")["report.html"]


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small model beside its twin: real tokens and texts, in little time."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    from hyperinterp.checkpoints import load_tokenizer, save_checkpoint
    from hyperinterp.text import builtin_passages
    from hyperinterp.training import TrainConfig, train

    folder = tmp_path_factory.mktemp("small")
    tokenizer = load_tokenizer("smollm2")
    shape = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
        initializer_range=0.2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = AutoModelForCausalLM.from_config(shape)
    base = save_checkpoint(made, tokenizer, folder / "base", provenance={})
    recipe = TrainConfig(max_steps=6, batch_size=4, seq_len=48, rank=8, blocks="last:2", lr=1e-2)
    twin = train(str(base), builtin_passages("train").head(8), folder / "twin", recipe).out
    return compared(load(base, device="cpu"), load(twin, base=base, device="cpu"), folder)


@pytest.fixture(scope="session")
def real_file(smollm2: Any, twin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the real model beside a twin trained for a few steps."""
    fitted = load(twin, base="smollm2", device="cpu")
    return compared(smollm2, fitted, tmp_path_factory.mktemp("real"))


@pytest.fixture(
    scope="session",
    params=["made up", "small", pytest.param("real", marks=[pytest.mark.real, pytest.mark.full])],
)
def any_file(request: pytest.FixtureRequest) -> Path:
    """A made-up page full of hostile text, and those of comparisons."""
    name = {"made up": "complete_file"}.get(request.param, f"{request.param}_file")
    return request.getfixturevalue(name)


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    if not CHROMIUM.exists():
        pytest.fail(
            f"{CHROMIUM}: expected Debian's chromium; install it with `apt-get install chromium`"
        )
    with browser() as started:
        yield started
