import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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


SMALL = Sizes(
    prompts=8, prompt_tokens=16, new_tokens=16, window=16, context_tokens=32,
    contexts_per_prompt=4, order_contexts=16, lens_contexts=8, components=False, variants=(),
    control_prompts=2, seeds=1, sweep=(), alphas=(1.0,), bias_steps=4, patch_prompts=2,
    null_draws=1, null_blocks=1, stitched=1,
)  # fmt: skip
"""Every analysis, on so little text that it takes half a minute."""


@pytest.fixture(scope="session")
def real_file(smollm2: Any, twin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved page of a comparison of the real model with a twin trained for a few steps."""
    from hyperinterp.comparison import compare
    from hyperinterp.models import load
    from hyperinterp.text import builtin_passages

    fitted = load(twin, base="smollm2", device="cpu")
    report = compare(
        smollm2, fitted, control=smollm2, late_stage=[fitted], elsewhere=[fitted], sizes=SMALL,
        prompts=builtin_passages("heldout").head(8),
    )  # fmt: skip
    assert not report.absent
    return report.save(tmp_path_factory.mktemp("real") / "report")["report.html"]


@pytest.fixture(scope="session", params=["made up", pytest.param("real", marks=pytest.mark.real)])
def any_file(request: pytest.FixtureRequest) -> Path:
    """A made-up page full of hostile text, then a real one."""
    name = "real_file" if request.param == "real" else "complete_file"
    return request.getfixturevalue(name)


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    if not CHROMIUM.exists():
        pytest.fail(
            f"{CHROMIUM}: expected Debian's chromium; install it with `apt-get install chromium`"
        )
    with browser() as started:
        yield started
