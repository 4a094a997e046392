"""The sample report and the notebooks of the site.

    python docs/_gallery.py demo/report    keep the report of `make demo` as the sample

The sample is kept as its data alone; the page that opens is made from it when the site is built.
"""

import base64
import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SAMPLE = HERE / "gallery" / "demo.json.gz"
SHOWN = "gallery/report.html"
NOTEBOOKS = HERE.parent / "tutorials"
FOLDER = "tutorials"
MATHS = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", flags=re.DOTALL)
LINKED = re.compile(r"\((\d\d_\w+)\.ipynb\)")
CODES = re.compile(r"(```.*?```|`[^`\n]+`)", flags=re.DOTALL)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def pack(folder: str) -> None:
    """Keep a report's data, without anything that could be rounded away."""
    data = json.loads(Path(folder, "report.json").read_text(encoding="utf-8"))
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    SAMPLE.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def sample() -> Any:
    """The kept report, which need not be made anew where a layout only grew.

    Raises:
        InputRefused: it lacks what today's layout needs, or has what that does not know.
    """
    from hyperinterp import Report
    from hyperinterp.report.data import SCHEMA_VERSION

    data = json.loads(gzip.decompress(SAMPLE.read_bytes()))
    return Report.from_json(json.dumps(data | {"schema_version": SCHEMA_VERSION}), SAMPLE.name)


def maths(text: str) -> str:
    """Prose with its LaTeX as MathML; code stays."""
    from latex2mathml.converter import convert

    def drawn(found: re.Match[str]) -> str:
        if found[1]:
            return convert(found[1], display="block")
        return f"<span>{convert(found[2])}</span>"  # at a line's start it would be a block

    parts = CODES.split(text)
    return "".join(part if at % 2 else MATHS.sub(drawn, part) for at, part in enumerate(parts))


def prose(text: str) -> str:
    """A cell of words: links between notebooks become links between pages."""
    told = LINKED.sub(r"(\1.md)", maths(text))
    return told.replace("<details>", '<details markdown="1">')


def _output(item: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> str:
    data = item.get("data", {})
    if "image/png" in data:
        name = f"{stem}-{len(pictures) + 1}.png"
        pictures[name] = base64.b64decode(data["image/png"])
        return f"![What the cell draws]({name})"
    if "text/html" in data:
        return '<div style="overflow-x: auto" markdown="0">' + "".join(data["text/html"]) + "</div>"
    text = "".join(item.get("text", data.get("text/plain", "")))
    return f"```text\n{ANSI.sub('', text).rstrip()}\n```" if text.strip() else ""


def rendered(path: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as a page: Markdown, and its pictures by name."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(prose(source))
            continue
        parts.append(f"```python\n{source}\n```")
        parts += [_output(item, path.stem, pictures) for item in cell.get("outputs", [])]
    return "\n\n".join(part for part in parts if part) + "\n", pictures


def notebooks() -> Iterator[Path]:
    """The notebooks, in order."""
    yield from sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))


def on_files(files: Any, config: Any) -> Any:
    """Called by mkdocs once: adds the sample's page, the notebooks and their pictures."""
    from mkdocs.structure.files import File

    from hyperinterp.report import html

    files.append(File.generated(config, SHOWN, content=html.render(sample())))
    for path in notebooks():
        text, pictures = rendered(path)
        files.append(File.generated(config, f"{FOLDER}/{path.stem}.md", content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"{FOLDER}/{name}", content=content))
    return files


if __name__ == "__main__":
    pack(sys.argv[1])
