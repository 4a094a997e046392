"""The made-up page in Chromium: hostile text, buttons, themes.

`playwright` objects are typed loosely: it is a test dependency.
"""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from markupsafe import Markup

from hyperinterp.drawing.escape import label, token, visible
from hyperinterp.report import html
from hyperinterp.report.schema import Report
from tests.hyperinterp.report.watching import Watched, all_drawn, drawn_row, page_control

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def wide(chromium: Any, complete_file: Path) -> Iterator[Watched]:
    yield from all_drawn(chromium, complete_file, 1440)


def test_hostile_strings_stay_text(wide: Watched, factory: ModuleType) -> None:
    page = wide.page
    assert page.evaluate("window.pwned") is None
    hrefs = page.evaluate(
        "[...document.querySelectorAll('a, svg a')].map(a => a.getAttribute('href'))"
    )
    assert [href for href in hrefs if not str(href).startswith("#")] == []
    assert (
        page.evaluate("document.querySelectorAll('img, iframe, main s, main b > script').length")
        == 0
    )
    body = page.evaluate("document.body.textContent")
    for text in ("<s>", "</s>", "<img src=x onerror=window.pwned=3>", r"$\LaTeX$ and $x^2$"):
        assert text in body
    assert "\u202e" not in body
    assert "\x07" not in body


def test_the_trust_row_and_its_control(
    chromium: Any, wide: Watched, complete: Report, factory: ModuleType, tmp_path: Path
) -> None:
    row = drawn_row(wide, complete, factory.HOSTILE)
    assert row["strings"] == row["shown_as_text"] >= 10
    assert row["labels"] == row["labels_round_tripped"] >= 10
    assert [row[n] for n in ("executions", "links_out", "requests", "console_lines")] == [0] * 4
    assert "default-src 'none'" in row["policy"]
    control = page_control(chromium, factory.HOSTILE, tmp_path / "control.html")
    assert control["executions"] == 1
    assert control["links_out"] >= 1


def test_control_without_escaping_the_row_fails(
    chromium: Any,
    complete: Report,
    factory: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unescaped(text: str, **_: object) -> Markup:
        return Markup(text)

    for name in ("bdi", "plain"):
        monkeypatch.setitem(html.environment().filters, name, unescaped)
    monkeypatch.setattr(html, "bdi", unescaped)  # the cells of tables
    file = tmp_path / "report.html"
    file.write_text(html.render(complete), encoding="utf-8")
    watched = Watched(chromium, file, 1440)
    row = drawn_row(watched, complete, factory.HOSTILE[2:8])
    watched.context.close()
    assert row["links_out"] >= 1  # a string became a link
    assert row["executions"] == 0  # the policy still holds


def test_axis_labels_round_trip(wide: Watched, complete: Report) -> None:
    assert complete.reranking is not None
    found = wide.page.evaluate(
        "[...document.querySelectorAll('#fig-reranking-tokens .ytick text')]"
        ".map(t => t.textContent)"
    )
    wanted = [token(shift.token, 22) for shift in complete.reranking.teacher_forced.promoted[:15]]
    assert [text.replace("\xa0", " ") for text in found] == wanted
    assert label("<s>") == "&lt;s&gt;"
    names = wide.page.evaluate(
        "[...document.querySelectorAll('#fig-lens-trajectory .legendtext')].map(t => t.textContent)"
    )
    assert any("<script>" in name for name in names)
    menu = wide.page.evaluate(
        "[...document.querySelectorAll('#fig-lens-trajectory option')].map(o => o.textContent)"
    )
    assert any(visible("\u202e") in text for text in menu)


def test_buttons_and_menus_redraw(wide: Watched) -> None:
    page = wide.page
    figure = page.locator("#fig-expansion-profile")
    figure.locator("input[value=d90]").check(force=True)
    assert figure.get_attribute("data-drawn") == "d90|raw|stream"
    assert "PCA dimension 90 %" in figure.locator(".plot").text_content()
    figure.locator("input[value=attn]").check(force=True)
    assert figure.get_attribute("data-drawn") == "d90|raw|attn"
    figure.locator("input[value=d95]").check(force=True)
    figure.locator("input[value=with_first]").check(force=True)
    assert figure.locator(".not-computed").is_visible()
    figure.locator("input[value=raw]").check(force=True)
    assert figure.locator(".plot").is_visible()
    menu = page.locator("#fig-lens-trajectory select")
    menu.select_option(index=3)
    assert page.locator("#fig-lens-trajectory").get_attribute("data-drawn") == "3"


def test_buttons_work_from_the_keyboard(wide: Watched) -> None:
    page = wide.page
    figure = page.locator("#fig-last_block-cumulative")
    figure.locator("input").first.focus()
    page.keyboard.press("ArrowRight")
    assert figure.get_attribute("data-drawn") == "recovered_logit"
    page.locator("#claim-C1 summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#claim-C1 .conditions").is_visible()


def test_theme_button_recolours_page_and_figures(wide: Watched) -> None:
    page = wide.page
    path = "#fig-diversity-scores .point"
    light = page.evaluate(f"getComputedStyle(document.querySelector('{path}')).fill")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("[data-set-theme=dark]")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    assert page.evaluate(f"getComputedStyle(document.querySelector('{path}')).fill") != light
    page.click("[data-set-theme='']")
    assert page.evaluate(f"getComputedStyle(document.querySelector('{path}')).fill") == light
    assert wide.noise == []
