"""Blocks of a documentation page that a benchmark rewrites, between two markers."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS, README = ROOT / "docs", ROOT / "README.md"


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def block_of(page: Path, name: str) -> str:
    """The text between the markers of a block.

    Raises:
        ValueError: the page has not exactly one such block.
    """
    text = page.read_text(encoding="utf-8")
    first, last = _marks(name)
    if text.count(first) != 1 or text.count(last) != 1:
        raise ValueError(f"{page.name}: expected one block {name!r} between markers")
    return text.partition(first)[2].partition(last)[0].strip("\n")


def rewrite_block(page: Path, name: str, content: str) -> None:
    """Replace the text between the markers of a block; the rest of the page stays."""
    block_of(page, name)
    first, last = _marks(name)
    before, _, rest = page.read_text(encoding="utf-8").partition(first)
    after = rest.partition(last)[2]
    page.write_text(f"{before}{first}\n{content.strip()}\n{last}{after}", encoding="utf-8")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
