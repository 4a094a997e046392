"""The real pretrained model and a real fine-tuned twin, made once per test process."""

import json
import signal
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
from hypothesis import settings

HELD_OUT = 8

# Property tests draw the same examples in every run, so that a red run says what a change did;
# `make full` draws new ones (--hypothesis-profile=default).
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


# A function inside another is made anew in every call of that one, and its checks with it, which
# took longer than the work of many a tiny model: the first that is made is checked.
_typed, _made = jaxtyping.jaxtyped, set[int]()


def _typed_once(*, typechecker: Any) -> Any:
    def decorate(made: Any) -> Any:
        if "<locals>" in made.__qualname__ and hasattr(made, "__code__"):
            if id(made.__code__) in _made:
                return made
            _made.add(id(made.__code__))
        return _typed(made, typechecker=typechecker)

    return decorate


jaxtyping.jaxtyped = _typed_once


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the real model or a browser come first: the end would wait for them."""
    longest = {
        item.path
        for item in items
        if item.get_closest_marker("real") or item.get_closest_marker("browser")
    }
    items.sort(key=lambda item: item.path not in longest)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
    """A shell starts background jobs with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def prompts_file(tmp_path_factory) -> Path:
    """A few held-out passages as a user's file."""
    from hyperinterp.text import builtin_passages

    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    passages = builtin_passages("heldout").head(HELD_OUT)
    lines = [json.dumps({"id": item.id, "text": item.text}) for item in passages]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def smollm2():
    """SmolLM2-135M-Instruct from its installed package."""
    from hyperinterp.models import load

    return load("smollm2", device="cpu")


@pytest.fixture(scope="session")
def twin(tmp_path_factory) -> Path:
    """An adapter of smollm2 trained for a few steps on a few passages: a real, small change."""
    from hyperinterp.text import builtin_passages
    from hyperinterp.training import TrainConfig, train

    out = tmp_path_factory.mktemp("twin") / "adapter"
    config = TrainConfig(max_steps=6, batch_size=4, seq_len=48, rank=8, resume_every=600.0)
    train("smollm2", builtin_passages("train").head(8), out, config, device="cpu")
    return out
