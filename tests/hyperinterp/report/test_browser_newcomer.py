"""What a newcomer does with the page: ask, follow, unfold, click on a point."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hyperinterp.report.watching import Watched

pytestmark = pytest.mark.browser

ASKED = (
    "What was compared?", "What is the participation ratio?", "Which way is good?",
    "What would change the verdict?",
)  # fmt: skip
IN_VIEW = """place => {
  const part = document.getElementById(place);
  const box = part.getBoundingClientRect();
  return part.checkVisibility() && box.top >= -2 && box.top < innerHeight;
}"""
BOXES = """() => [...document.querySelectorAll(".data")].filter(table =>
  [...table.tHead.rows[0].cells].some(cell => cell.textContent === "fitted − base")
  && table.tHead.rows[0].cells.length === 4 && table.checkVisibility())
  .map(table => table.getBoundingClientRect().right)"""

WIDTH = "document.querySelector('#fig-temperature-arms .main-svg').getBoundingClientRect().width"


@pytest.fixture
def page(chromium: Any, complete_file: Path) -> Iterator[Watched]:
    watched = Watched(chromium, complete_file, 1440)
    yield watched
    watched.context.close()


def test_five_questions_are_answered_without_a_request(page: Watched) -> None:
    page.page.click("#questions > summary")
    asked = page.page.eval_on_selector_all("#questions dt", "all => all.map(q => q.textContent)")
    assert len(asked) == 5
    assert set(ASKED) < set(asked)
    assert any(words.startswith("Why is C") for words in asked)
    for number in range(5):
        link = page.page.locator("#questions dd a").nth(number)
        place = link.get_attribute("href")[1:]
        link.click()
        assert page.settled(IN_VIEW, place), asked[number]
        assert len(page.page.locator(f"[id='{place}']").text_content()) > 40
    assert "eigenvalues" in page.page.locator("[id^='term-expansion-participation']").text_content()
    assert len(page.requests) == 1
    assert page.noise == []


def test_what_is_folded_is_drawn_when_it_is_opened(page: Watched) -> None:
    fold = page.page.locator("#temperature .more")
    assert page.page.locator("#fig-temperature-arms").is_hidden()
    fold.locator("> summary").click()
    page.page.wait_for_selector("#fig-temperature-arms .point")
    page.page.click("[data-set-theme=dark]")
    fold.locator("> summary").click()
    page.page.click("[data-set-theme='']")  # redrawn while it is folded, and after
    fold.locator("> summary").click()
    assert page.settled(WIDTH, is_good=lambda width: width > 600) > 600
    assert page.noise == []


def test_a_prompts_point_leads_to_its_text(page: Watched) -> None:
    page.page.locator("#diversity .more > summary").click()
    page.page.wait_for_selector("#fig-diversity-paired .point")
    page.page.evaluate(
        "document.querySelector('#fig-diversity-paired .plot').emit('plotly_click',"
        " {points: [{customdata: ['', '', 'generations-9']}]})"
    )
    assert page.settled(IN_VIEW, "generations-9")  # it was folded
    shown = page.page.evaluate(
        "document.querySelector('#fig-diversity-paired .plot').data.flatMap(t => t.customdata)"
        ".map(c => c[2]).filter(Boolean)"
    )
    ids = page.page.eval_on_selector_all(".generation", "all => all.map(part => part.id)")
    assert set(shown) <= set(ids)


def test_the_difference_is_in_view_on_a_phone(chromium: Any, complete_file: Path) -> None:
    watched = Watched(chromium, complete_file, 390, touch=True)
    watched.unfold()
    rights = watched.page.evaluate(BOXES)
    assert rights
    assert max(rights) <= 390
    watched.context.close()


def test_nothing_is_split_in_print(chromium: Any, complete_file: Path) -> None:
    watched = Watched(chromium, complete_file, 1440)
    watched.page.emulate_media(media="print")
    wrong = watched.page.evaluate(
        "['.chart', '.generation', '.terms div', '.claims tr', '.data tr', '.warnings']"
        ".filter(s => getComputedStyle(document.querySelector(s)).breakInside !== 'avoid')"
    )
    assert wrong == []
    near = watched.page.evaluate(
        "[...document.querySelectorAll('.claims th .id')]"
        ".map(id => id.getBoundingClientRect().right"
        " - id.parentElement.getBoundingClientRect().left"
        " - parseFloat(getComputedStyle(id.parentElement).paddingLeft))"
    )
    assert max(near) <= -2  # the longest id ends before its statement
    watched.context.close()
