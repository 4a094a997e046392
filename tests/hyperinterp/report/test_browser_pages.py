"""What must hold for any page in Chromium: a made-up one; what its figures and texts decide
also for those of comparisons."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hyperinterp.report.watching import WAITING, Watched, all_drawn

pytestmark = pytest.mark.browser
SHOTS = Path(__file__).parents[3] / "artefacts" / "screenshots"

OFFSET = """id => {
  const part = document.getElementById(id);
  const pad = parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop);
  const end = document.documentElement.scrollHeight - innerHeight - scrollY < 2;
  return [part.getBoundingClientRect().top - pad, end];
}"""
SWITCHES = """() => {
  const wrong = [];
  let count = 0;
  const check = (figure, what) => {
    count += 1;
    const drawn = figure.dataset.drawn !== "none";
    const shown = !figure.querySelector(".plot").hidden;
    const told = !figure.querySelector(".not-computed").hidden;
    const keys = [...figure.querySelectorAll("[data-choice]")].map(part =>
      (part.querySelector("select") || part.querySelector("input:checked")).value);
    const right = drawn ? figure.dataset.drawn === keys.join("|") : !shown;
    if (!right || shown === told) wrong.push([figure.id, what]);
  };
  for (const figure of document.querySelectorAll("figure.chart")) {
    for (const input of figure.querySelectorAll("input")) {
      input.click();
      check(figure, input.value);
    }
    for (const select of figure.querySelectorAll("select")) {
      for (const option of select.options) {
        select.value = option.value;
        select.dispatchEvent(new Event("change", { bubbles: true }));
        check(figure, option.value);
      }
    }
  }
  return [count, wrong];
}"""
CLIPPED = """() => [...document.querySelectorAll(".plot")].flatMap(plot => {
  const frame = plot.getBoundingClientRect();
  return [...plot.querySelectorAll(".annotation-text, .xtick text, .ytick text, .legendtext")]
    .filter(text => {
      const box = text.getBoundingClientRect();
      return box.width && (box.top < frame.top - 1 || box.left < frame.left - 1
        || box.right > frame.right + 1 || box.bottom > frame.bottom + 1);
    }).map(text => [plot.parentElement.id, text.textContent]);
})"""
OVERRUN = """wide => {
  const wrong = [];
  for (const box of document.querySelectorAll(".table, .scroll, .chart, .plot, .claims")) {
    const edge = box.getBoundingClientRect();
    if (!edge.width) continue;
    const name = box.getAttribute("aria-label") || (box.closest("[id]") || box).id;
    if (edge.right > document.documentElement.clientWidth + 1) wrong.push([name, "page"]);
    const scrolls = wide && box.matches(".scroll");
    if (scrolls && box.scrollWidth > box.clientWidth + 1) wrong.push([name, box.scrollWidth]);
    const drawn = box.matches(".plot") && box.querySelector(".main-svg");
    if (drawn && drawn.getBoundingClientRect().right > edge.right + 1) wrong.push([name, "figure"]);
  }
  return wrong;
}"""
CURRENT = "document.querySelector('nav a[aria-current]')?.hash"
ALONE = """number => {
  document.querySelector("nav").style.position = "static";
  document.querySelectorAll("main > header, main > section").forEach((part, place) => {
    part.style.display = place === number ? "" : "none";
  });
}"""
SCROLLS = """() => [...document.querySelectorAll(".text, .scroll")].filter(part =>
  (part.scrollHeight > part.clientHeight + 1 || part.scrollWidth > part.clientWidth + 1)
    !== (part.tabIndex === 0)).length"""
SMALL = """() =>
  [...document.querySelectorAll("nav a, .themes button, summary, fieldset label span, select")]
    .filter(part => part.offsetParent && part.getBoundingClientRect().height < 44)
    .map(part => part.textContent)"""


def landed(found: tuple[float, bool]) -> bool:
    """Whether a section's head is at the top, or as near as the page's end lets it."""
    offset, end = found
    return abs(offset) <= 2 or (end and offset > 0)


@pytest.fixture(scope="module")
def opened(chromium: Any, any_file: Path) -> Iterator[Watched]:
    yield from all_drawn(chromium, any_file, 1440)


@pytest.fixture
def phone(chromium: Any, complete_file: Path) -> Iterator[Watched]:
    watched = Watched(chromium, complete_file, 390, touch=True)
    yield watched
    watched.context.close()


def test_every_figure_is_drawn_and_nothing_is_logged_or_requested(opened: Watched) -> None:
    drawn = opened.page.evaluate(
        "[...document.querySelectorAll('figure.chart')].map(f => [f.id,"
        " f.dataset.drawn !== 'none' && f.querySelectorAll('.main-svg').length > 0,"
        " f.querySelectorAll('.point, .js-line, .heatmaplayer image').length])"
    )
    assert len(drawn) >= 28
    assert [name for name, there, marks in drawn if not there or not marks] == []
    assert opened.noise == []
    assert len(opened.requests) == 1


def test_every_button_and_menu_works(opened: Watched) -> None:
    count, wrong = opened.page.evaluate(SWITCHES)
    assert count > 60
    assert wrong == []
    assert opened.noise == []


@pytest.mark.parametrize("width", [1440, 390])
def test_links_of_the_navigation_land_on_their_section(
    chromium: Any, complete_file: Path, width: int
) -> None:
    watched = Watched(chromium, complete_file, width)
    page = watched.page
    names = page.evaluate("[...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    assert len(names) >= 14
    for name in [*reversed(names), *names]:
        page.evaluate("name => document.querySelector(`nav a[href='#${name}']`).click()", name)
        page.wait_for_timeout(250)  # figures near the section are drawn meanwhile
        offset, end = watched.settled(OFFSET, name, is_good=landed)
        assert landed((offset, end)), (name, offset)
        if not end:
            current = watched.settled(CURRENT, is_good=lambda found, name=name: found == f"#{name}")
            assert current == f"#{name}"
        box = page.locator("nav a[aria-current]").bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width, name
    watched.context.close()


def test_a_link_from_outside_lands_too(chromium: Any, complete_file: Path) -> None:
    watched = Watched(chromium, complete_file, 1440, part="temperature")
    watched.page.wait_for_timeout(500)
    offset, _ = watched.settled(OFFSET, "temperature", is_good=lambda found: abs(found[0]) <= 2)
    assert abs(offset) <= 2
    watched.context.close()


def test_figures_keep_their_place(opened: Watched) -> None:
    before, after = opened.heights
    assert before == after > 2000


def test_no_table_or_figure_overruns_its_box(opened: Watched) -> None:
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for width in (1440, 1280, 1001, 761):
        page.set_viewport_size({"width": width, "height": 900})
        assert opened.settled(OVERRUN, width >= 1280, is_good=lambda found: not found) == [], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1440, "height": 900})


def test_phone_has_no_horizontal_scroll_and_nothing_is_cut(chromium: Any, any_file: Path) -> None:
    phone = Watched(chromium, any_file, 390, touch=True)
    phone.draw_all()
    assert phone.heights[0] == phone.heights[1]
    assert phone.page.evaluate(CLIPPED) == []
    phone.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.settled(OVERRUN, False, is_good=lambda found: not found) == []
    assert phone.noise == []
    phone.context.close()


def test_fingers_find_what_they_touch(phone: Watched) -> None:
    assert phone.page.evaluate("matchMedia('(pointer: coarse)').matches")
    phone.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert phone.page.evaluate(SMALL) == []


def test_only_what_scrolls_stops_the_keyboard(phone: Watched) -> None:
    page = phone.page
    assert page.evaluate("document.querySelectorAll('[tabindex]').length") > 0
    assert page.evaluate(SCROLLS) == 0
    page.evaluate("document.querySelectorAll('details.fold').forEach(d => d.open = true)")
    assert phone.settled(SCROLLS, is_good=lambda found: not found) == 0


def test_the_claims_are_seen_first(chromium: Any, any_file: Path) -> None:
    watched = Watched(chromium, any_file, 1440)
    top = watched.page.evaluate("document.querySelector('.claims').getBoundingClientRect().top")
    watched.context.close()
    assert top < 800  # the first claim is on the first screen, under what the page is about


def test_the_first_paint_waits_for_no_figure_out_of_sight(
    chromium: Any, complete_file: Path
) -> None:
    watched = Watched(chromium, complete_file, 1440)
    painted = watched.page.evaluate("performance.getEntriesByName('first-contentful-paint').length")
    waiting = watched.page.evaluate(WAITING)
    watched.context.close()
    assert painted == 1
    assert waiting > 20


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


def test_printing_draws_everything_and_says_what_it_leaves_out(
    chromium: Any, complete_file: Path
) -> None:
    watched = Watched(chromium, complete_file, 1440, "dark")
    page = watched.page
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(WAITING) == 0
    assert page.evaluate("document.querySelectorAll('details:not([open], .fold)').length") == 0
    widths = page.evaluate(
        "[...document.querySelectorAll('.plot .main-svg')].map(s => s.clientWidth)"
    )
    assert max(widths) <= 660
    told = page.evaluate(
        "[...document.querySelectorAll('.fold:not([open]) > summary')].map(s =>"
        " [s.offsetHeight > 0, getComputedStyle(s, '::after').content])"
    )
    assert all(shown and "not printed" in text for shown, text in told)
    opens = page.evaluate(
        "[...document.querySelectorAll('main > section > .opens')].map(part =>"
        " [part.querySelectorAll('h2').length, part.querySelectorAll('.chart').length,"
        " getComputedStyle(part).breakInside])"
    )
    assert len(opens) > 12
    assert {(heads, inside) for heads, _, inside in opens} == {(1, "avoid")}
    assert sum(charts for _, charts, _ in opens) > 8  # a heading goes with its first figure
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.querySelectorAll('details[open]').length") == 0
    watched.context.close()


@pytest.mark.parametrize(
    ("kind", "name", "width", "scheme"),
    [
        ("small", "small", 1440, "light"),
        pytest.param("real", "light", 1440, "light", marks=[pytest.mark.real, pytest.mark.full]),
        pytest.param("real", "dark", 1440, "dark", marks=[pytest.mark.real, pytest.mark.full]),
        pytest.param("real", "phone", 390, "light", marks=[pytest.mark.real, pytest.mark.full]),
    ],
)
def test_pictures_of_the_page_are_kept(
    chromium: Any, request: pytest.FixtureRequest, kind: str, name: str, width: int, scheme: str
) -> None:
    watched = Watched(chromium, request.getfixturevalue(f"{kind}_file"), width, scheme)
    watched.draw_all()
    SHOTS.mkdir(parents=True, exist_ok=True)
    sections = watched.page.query_selector_all("main > header, main > section")
    for number, section in enumerate(sections):  # one at a time: all others are painted along
        watched.page.evaluate(ALONE, number)
        stem = section.get_attribute("id") or "top"
        section.screenshot(path=str(SHOTS / f"{name}-{stem}.png"), timeout=120_000)
    watched.context.close()
    assert len(list(SHOTS.glob(f"{name}-*.png"))) >= 14
