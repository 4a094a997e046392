"""A report's page in real Chromium, with everything it logged, ran and asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hyperinterp.drawing.escape import pieces, token
from hyperinterp.report import html
from hyperinterp.report.schema import Report

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
]
SHOWN = """(() => {
  const body = document.body.cloneNode(true);
  body.querySelectorAll("script, style").forEach(part => part.remove());
  return body.textContent;
})()"""
HEIGHT = "document.documentElement.scrollHeight"
WAITING = "document.querySelectorAll('figure.chart:not([data-drawn])').length"


@contextmanager
def browser() -> Iterator[Any]:
    """Debian's Chromium under playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield started
        started.close()


class Watched:
    """A page with everything it logged and asked for."""

    def __init__(
        self,
        browser: Any,
        file: Path,
        width: int,
        scheme: str = "light",
        *,
        touch: bool = False,
        part: str = "",
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            has_touch=touch,
            is_mobile=touch,
        )
        self.page = self.context.new_page()
        self.noise: list[str] = []
        self.requests: list[str] = []
        self.heights: tuple[int, int] = (0, 0)
        self.page.on("console", lambda m: self.noise.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda e: self.noise.append(f"error: {e}"))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.goto(file.as_uri() + (part and f"#{part}"), timeout=120_000)

    def settled(
        self, script: str, argument: Any = None, *, is_good: Callable[[Any], Any] = bool
    ) -> Any:
        """What a script tells once it is good, or after 15 s what it tells then.

        A busy machine takes seconds to draw many figures anew: a fixed wait would be a race.
        """
        for _ in range(150):
            found = self.page.evaluate(script, argument)
            if is_good(found):
                break
            self.page.wait_for_timeout(100)
        return found

    def unfold(self) -> None:
        """Open what is folded under a claim, and wait until the page has taken it in."""
        self.page.evaluate("document.querySelectorAll('.more').forEach(d => d.open = true)")
        self.page.wait_for_timeout(100)

    def draw_all(self) -> None:
        """Scroll past every figure, folded ones too, and wait until each is drawn.

        The height of the page before and after is in `heights`.
        """
        self.unfold()
        before = self.page.evaluate(HEIGHT)
        for figure in self.page.query_selector_all("figure.chart"):
            figure.scroll_into_view_if_needed()
        for _ in range(200):
            if self.page.evaluate(f"{WAITING} === 0"):
                self.heights = (before, self.page.evaluate(HEIGHT))
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("some figures were not drawn within 10 s of scrolling past them")


def all_drawn(browser: Any, file: Path, width: int) -> Iterator[Watched]:
    """A page with every figure drawn, closed afterwards."""
    watched = Watched(browser, file, width)
    watched.draw_all()
    yield watched
    watched.context.close()


def page_row(browser: Any, report: Report, hostile: tuple[str, ...], file: Path) -> dict[str, Any]:
    """Open a report full of hostile strings and draw its figures: what came of them.

    Args:
        browser: a running Chromium.
        report: a report that carries every string of `hostile` somewhere.
        hostile: strings that set `window.pwned` when they are run as markup.
        file: where the page is written.
    """
    file.write_text(html.render(report), encoding="utf-8")
    watched = Watched(browser, file, 1440)
    watched.draw_all()
    found = drawn_row(watched, report, hostile)
    watched.context.close()
    return found


def drawn_row(watched: Watched, report: Report, hostile: tuple[str, ...]) -> dict[str, Any]:
    """Tell what ran, what linked and what was requested by a page, as it is drawn by now."""
    page = watched.page
    links = page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    body = page.evaluate(SHOWN)
    labels = page.evaluate(
        "[...document.querySelectorAll('#fig-reranking-tokens .ytick text')]"
        ".map(t => t.textContent)"
    )
    policy = page.evaluate(
        "document.querySelector('meta[http-equiv=Content-Security-Policy]')?.content || ''"
    )
    shifts = (
        [] if report.reranking is None else report.reranking.teacher_forced.promoted[: len(labels)]
    )
    wanted = [token(shift.token, 22) for shift in shifts]
    found = [label.replace("\xa0", " ") for label in labels]
    return {
        "strings": len(hostile),
        "shown_as_text": sum("".join(run for run, _ in pieces(t)) in body for t in hostile),
        "executions": int(page.evaluate("window.pwned") is not None),
        "links_out": sum(not str(link).startswith("#") for link in links),
        "requests": len(watched.requests) - 1,  # the page itself
        "console_lines": len(watched.noise),
        "policy": policy,
        "labels": len(labels),
        "labels_round_tripped": sum(a == b for a, b in zip(found, wanted, strict=False)),
    }


def page_control(browser: Any, hostile: tuple[str, ...], file: Path) -> dict[str, Any]:
    """Positive control: the same strings as markup, in a page without a policy, do run."""
    file.write_text(
        "<!doctype html><body>" + "<br>".join(hostile), encoding="utf-8", errors="replace"
    )
    watched = Watched(browser, file, 800)
    watched.page.wait_for_timeout(300)
    found = {
        "executions": int(watched.page.evaluate("window.pwned") is not None),
        "links_out": watched.page.evaluate("document.querySelectorAll('a[href]').length"),
    }
    watched.context.close()
    return found
