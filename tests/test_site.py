"""The built pages as a reader has them: opened as files, searched, without a request elsewhere."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hyperinterp.report.watching import browser
from tests.test_docs import loaded

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def reference() -> Any:
    return loaded("reference")


@pytest.fixture(scope="module")
def gallery() -> Any:
    return loaded("gallery")


def test_a_default_that_no_table_tells_is_found(reference: Any) -> None:
    row = "<tr><td><code>{}</code></td><td>words</td><td>{}</td></tr>"
    html = row.format("one", "<code>1</code>") + row.format("two", "<em>required</em>")
    assert reference.lacking(html, {"one": "1", "two": "2", "three": "3"}) == ["two", "three"]


def test_defaults_are_those_of_the_signature(reference: Any) -> None:
    def some(one: int, two: str = "a|b", *, three: Any = len, **rest: Any) -> None:
        """Do nothing."""

    assert reference.defaults(some) == {"two": "'a|b'", "three": "len"}
    assert reference.defaults((1, 2)) == {}
    text = reference.page("hyperinterp.Sizes", {})
    assert "## Defaults" in text
    assert "| `prompts` |" in text


def test_lists_lead_to_pages_and_links_follow(reference: Any) -> None:
    class Place:
        src_uri = "reference/probes.md"

    class Page:
        file = Place

    text = "::: probes.rep_n\n    options: {members: []}\nSee [x](probes.md#probes.drift).\n"
    assert reference.listed(text) == {"probes.rep_n": {"members": []}}
    found = reference.on_page_markdown(text, Page)
    assert found.startswith("* [`probes.rep_n`](../reference/names/probes.rep_n.md): ")
    assert "[x](../reference/names/probes.drift.md)" in found


def test_the_sample_is_of_todays_layout_and_of_its_pair(gallery: Any) -> None:
    assert gallery.SAMPLE.stat().st_size < 300_000
    report = gallery.sample()
    names = {item.role: item.name for item in report.provenance.checkpoints}
    assert names["base"] == "smollm2"
    assert names["fitted"] == "demo/late-stage"
    data = json.loads(gzip.decompress(gallery.SAMPLE.read_bytes()))
    assert data["provenance"]["preset"] == "quick"


def test_notebooks_become_pages(gallery: Any, tmp_path: Path) -> None:
    cells = [
        {
            "cell_type": "markdown",
            "source": ["Take $x^2$ and `$y$`. [Next](02_feature_space.ipynb)"],
        },
        {
            "cell_type": "code",
            "source": ["1 + 1"],
            "outputs": [
                {"output_type": "stream", "text": ["\x1b[1mtwo\x1b[0m\n"]},
                {"output_type": "display_data", "data": {"image/png": "aGk="}},
            ],
        },
    ]
    path = tmp_path / "01_some.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    text, pictures = gallery.rendered(path)
    assert "<msup>" in text
    assert "`$y$`" in text
    assert "(02_feature_space.md)" in text
    assert "```python\n1 + 1\n```" in text
    assert "```text\ntwo\n```" in text
    assert pictures == {"01_some-1.png": b"hi"}


@pytest.mark.full
@pytest.mark.browser
def test_the_site_opens_from_the_disk(tmp_path: Path) -> None:
    """Strict build; then search, a page of a name, a notebook and the sample, as files."""
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        cwd=ROOT, check=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "index.html").as_uri())
        page.click(".md-search__input")
        page.keyboard.type("participation ratio")
        page.wait_for_selector(".md-search-result__item a", timeout=30_000)
        first = page.get_attribute(".md-search-result__item a", "href")
        assert first.startswith("file://")
        page.goto((tmp_path / "reference/names/probes.self_bleu.html").as_uri())
        assert "max_sample" in page.text_content("table")
        assert page.locator(".doc-signature").count() == 1  # the function, not its module
        clipped = page.evaluate(
            "[...document.querySelectorAll('.doc-signature code')]"
            ".filter(code => code.scrollWidth > code.clientWidth + 1).length"
        )
        assert clipped == 0
        page.goto((tmp_path / "tutorials/02_feature_space.html").as_uri())
        widths = page.eval_on_selector_all("article img", "all => all.map(i => i.naturalWidth)")
        assert widths
        assert min(widths) > 300
        page.goto((tmp_path / "gallery.html").as_uri())
        page.click("text=Open the report")
        page.wait_for_selector("#claims-title")
        assert all(url.startswith(("file:", "blob:", "data:")) for url in asked), asked
