import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from hyperinterp.report import html
from hyperinterp.report.schema import Report
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


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    if not CHROMIUM.exists():
        pytest.fail(
            f"{CHROMIUM}: expected Debian's chromium; install it with `apt-get install chromium`"
        )
    with browser() as started:
        yield started
