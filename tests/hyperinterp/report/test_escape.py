import csv
import html as stdlib_html
import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperinterp.drawing import escape

ANY = st.text(st.characters(blacklist_categories=()), max_size=60)


@given(ANY)
def test_nothing_hidden_is_left(text: str) -> None:
    shown = escape.visible(text)
    kept = [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert set(kept) <= {"\u200c", "\u200d"}


@given(ANY)
def test_html_text_round_trips_and_has_no_markup(text: str) -> None:
    made = str(escape.html_text(text))
    bare = re.sub(r'<span class="cp">([^<]*)</span>', r"\1", made)
    assert "<" not in bare
    assert stdlib_html.unescape(bare).replace("↵", "").replace("⇥", "") == "".join(
        run for run, _ in escape.pieces(text)
    ).replace("↵", "").replace("⇥", "")


@given(ANY)
def test_plotly_labels_have_no_tag_and_no_maths(text: str) -> None:
    made = escape.label(text, 1000)
    assert not set("<>$") & set(made)
    assert stdlib_html.unescape(made) == escape.visible(text)


def test_a_path_that_is_cut_keeps_its_end() -> None:
    path = "runs/study/cells/lora-last5-seed0/twin"
    assert escape.label(path, 20, left=True) == "…" + path[-19:]
    assert escape.label(path, 20) == path[:19] + "…"
    assert escape.label(path, left=True) == path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("\x00", "⟨U+0000⟩"),
        ("a\nb", "a↵b"),
        ("\ud800", "⟨U+D800⟩"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("שלום", "שלום"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert escape.visible(text) == shown


def test_tokens_show_their_spaces() -> None:
    assert escape.token(" the") == "␣the"
    assert escape.token("  ") == "␣␣"
    assert escape.token("x" * 90, 10) == "x" * 9 + "…"


@given(ANY)
def test_markdown_code_spans_close(text: str) -> None:
    made = escape.code(text)
    fence = re.match(r"`+", made)
    assert fence is not None
    assert made.endswith(fence.group())
    inner = made[len(fence.group()) : -len(fence.group())]
    assert fence.group() not in re.findall(r"`+", inner)
    assert "\n" not in made


def test_markdown_leaves_no_markup_link_or_mention() -> None:
    made = escape.markdown("<b>*x*</b> [a](b) | @me https://e.example www.e.example `c` $m$ #1")
    assert re.search(r"(?<!\\)[*<>|@`$#\[\]]", made) is None
    assert "://" not in made.replace("\\://", "")
    assert "www\\." in made


def test_latex_specials() -> None:
    made = escape.latex(r"\input{x} $a$ & 50% #1 _b_ ^c~ <s>")
    assert made == (
        r"\textbackslash{}input\{x\} \$a\$ \& 50\% \#1 \_b\_ \textasciicircum{}c"
        r"\textasciitilde{} \textless{}s\textgreater{}"
    )


@given(ANY)
def test_csv_cells_run_no_formula_and_round_trip(text: str) -> None:
    made = escape.cell(text)
    assert not made.startswith(("=", "+", "-", "@"))
    out = io.StringIO()
    csv.writer(out).writerow([made, "end"])
    assert next(csv.reader(io.StringIO(out.getvalue()))) == [made, "end"]
