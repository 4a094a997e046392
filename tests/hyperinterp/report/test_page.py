import re
from html.parser import HTMLParser

from hyperinterp.claims.registry import CLAIMS
from hyperinterp.drawing.escape import html_text
from hyperinterp.report import html
from hyperinterp.report.schema import Report

NAMES = (*(spec.slug for spec in CLAIMS), "training_curve")


class Collector(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def parsed(page: str) -> list[tuple[str, dict[str, str | None]]]:
    collector = Collector()
    collector.feed(page)
    return collector.tags


def test_page_is_small_and_self_contained(complete_html: str) -> None:
    assert len(complete_html.encode()) < 8_000_000
    assert complete_html.count("plotly.js v") == 1
    tags = parsed(complete_html)
    assert not [t for t, _ in tags if t in ("link", "img", "iframe", "object", "embed", "base")]
    assert not [a for _, a in tags if "src" in a or any(name.startswith("on") for name in a)]
    links = [a["href"] for t, a in tags if t == "a"]
    assert all(link is not None and link.startswith("#") for link in links)
    assert not [a for _, a in tags if "style" in a]


def test_anchors_exist_and_ids_are_unique(complete_html: str) -> None:
    tags = parsed(complete_html)
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for t, a in tags if t == "a"} <= set(ids)


def test_policy_names_the_hash_of_every_script_and_style(complete_html: str) -> None:
    policy = next(a["content"] for t, a in parsed(complete_html) if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "'unsafe-inline'" not in policy
    assert "'unsafe-eval'" not in policy
    for tag in ("script", "style"):
        for text in re.findall(rf"<{tag}>(.*?)</{tag}>", complete_html, re.DOTALL):
            assert html._digest(text) in policy


def test_absent_blocks_show_one_line_with_their_reason(sparse: Report, sparse_html: str) -> None:
    for name in NAMES:
        if getattr(sparse, name) is None:
            assert f"&lt;s&gt;{name}" in sparse_html
    assert "no decision was overridden" in sparse_html


def test_missing_parts_of_a_measurement_say_why(complete: Report, complete_html: str) -> None:
    for name, part, title in (
        ("causes", "heads", "Heads and MLPs of the last blocks"),
        ("loops", "ways", "Who leaves whose loops"),
    ):
        reason = html_text(getattr(complete, name).why[part])
        _, _, after = complete_html.partition(f"<h3>{title}</h3>")
        assert f"Not in this report: {reason}" in after[:400]


def test_missing_figures_are_a_dash_with_the_reason(complete_html: str) -> None:
    assert complete_html.count("<li>fewer than 2 complete generations</li>") == 1
    assert re.search(r'<span class="none">none<sup>1</sup></span>', complete_html)
    assert "the stitched model wrote nothing &lt;s&gt;" in complete_html


def test_embedded_json_cannot_end_its_script() -> None:
    made = str(html.embed({"x": "</script><!--&", "y": [1.23456789, None, True]}))
    assert "<" not in made
    assert "&" not in made
    assert "1.23457" in made


def test_without_scripts_the_page_says_what_is_missing(complete_html: str) -> None:
    assert "<noscript>" in complete_html
    assert not [a for _, a in parsed(complete_html) if "tabindex" in a]


def test_the_sample_of_texts_is_called_a_sample(complete_html: str) -> None:
    assert "the first 4 of 24 prompts" in complete_html


def test_settings_of_a_checkpoint_are_folded_words(complete_html: str) -> None:
    assert "{&#39;" not in complete_html
    assert "[0.1, 0.25" not in complete_html
    assert "0.1, 0.25, 0.5, 1, 2" in complete_html


def test_page_is_the_same_twice(sparse: Report, sparse_html: str) -> None:
    assert html.render(sparse) == sparse_html
