"""The page in real Chromium. `playwright` objects are typed loosely: it is a test dependency."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from markupsafe import Markup

from hyperinterp.report import html
from hyperinterp.report.escape import label, token, visible
from hyperinterp.report.schema import Report
from tests.hyperinterp.report.watching import WAITING, Watched, page_control, page_row

pytestmark = pytest.mark.browser
SHOTS = Path(__file__).parents[3] / "build" / "screenshots"


@pytest.fixture(scope="module")
def wide(chromium: Any, complete_file: Path) -> Iterator[Watched]:
    watched = Watched(chromium, complete_file, 1440)
    watched.draw_all()
    yield watched
    watched.context.close()


def test_every_figure_is_drawn_and_nothing_is_logged_or_requested(wide: Watched) -> None:
    drawn = wide.page.evaluate(
        "[...document.querySelectorAll('figure.chart')].map(f => [f.id,"
        " f.dataset.drawn !== 'none' && f.querySelectorAll('.main-svg').length > 0,"
        " f.querySelectorAll('.point, .js-line, .heatmaplayer image').length])"
    )
    assert len(drawn) >= 28
    assert [name for name, there, marks in drawn if not there or not marks] == []
    assert wide.noise == []
    assert len(wide.requests) == 1


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
    chromium: Any, complete: Report, factory: ModuleType, tmp_path: Path
) -> None:
    row = page_row(chromium, complete, factory.HOSTILE, tmp_path / "report.html")
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
        monkeypatch.setitem(html._environment().filters, name, unescaped)
    monkeypatch.setattr(html, "bdi", unescaped)  # the cells of tables
    row = page_row(chromium, complete, factory.HOSTILE[2:8], tmp_path / "report.html")
    assert row["links_out"] >= 1  # a string became a link
    assert row["executions"] == 0  # the policy still holds


def test_axis_labels_round_trip(wide: Watched, complete: Report) -> None:
    assert complete.ranks is not None
    found = wide.page.evaluate(
        "[...document.querySelectorAll('#fig-ranks-tokens .ytick text')].map(t => t.textContent)"
    )
    wanted = [token(shift.token, 22) for shift in complete.ranks.teacher_forced.promoted[:15]]
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
    figure = page.locator("#fig-geometry-profile")
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
    figure = page.locator("#fig-transplant-cumulative")
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


def test_dark_is_followed_from_the_system(chromium: Any, complete_file: Path) -> None:
    watched = Watched(chromium, complete_file, 1440, "dark")
    page = watched.page
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 25, 29)"
    page.locator("#fig-diversity-scores").scroll_into_view_if_needed()
    page.wait_for_selector("#fig-diversity-scores .point")
    fill = page.evaluate(
        "getComputedStyle(document.querySelector('#fig-diversity-scores .point')).fill"
    )
    assert fill == "rgb(86, 180, 233)"
    assert watched.noise == []
    watched.context.close()


def test_phone_has_no_horizontal_scroll(chromium: Any, complete_file: Path) -> None:
    watched = Watched(chromium, complete_file, 390)
    watched.draw_all()
    watched.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert watched.noise == []
    watched.context.close()


def test_first_paint_is_quick_and_figures_wait(chromium: Any, complete_file: Path) -> None:
    watched = Watched(chromium, complete_file, 1440)
    paint = watched.page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )
    waiting = watched.page.evaluate(WAITING)
    watched.context.close()
    assert paint < 2000
    assert waiting > 20


def test_printing_draws_everything_and_opens_the_notes(chromium: Any, complete_file: Path) -> None:
    watched = Watched(chromium, complete_file, 1440, "dark")
    page = watched.page
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(WAITING) == 0
    assert page.evaluate("document.querySelectorAll('details:not([open], .fold)').length") == 0
    widths = page.evaluate(
        "[...document.querySelectorAll('.plot .main-svg')].map(s => s.clientWidth)"
    )
    assert max(widths) <= 660
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.querySelectorAll('details[open]').length") == 0
    watched.context.close()


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("light", 1440, "light"), ("dark", 1440, "dark"), ("phone", 390, "light")],
)
def test_screenshots(
    chromium: Any, complete_file: Path, name: str, width: int, scheme: str
) -> None:
    watched = Watched(chromium, complete_file, width, scheme)
    watched.draw_all()
    SHOTS.mkdir(parents=True, exist_ok=True)
    for section in watched.page.query_selector_all("main > header, main > section"):
        stem = section.get_attribute("id") or "top"
        section.screenshot(path=str(SHOTS / f"{name}-{stem}.png"), timeout=120_000)
    watched.context.close()
    assert len(list(SHOTS.glob(f"{name}-*.png"))) >= 14
