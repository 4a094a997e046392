"""One page per public name, made from the lists in `reference/*.md`, and a check of its defaults.

A list keeps its order and headings; each `::: name` in it becomes a line that leads to its page.
"""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import yaml

import hyperinterp
import probes

LISTS = ("reference/hyperinterp.md", "reference/probes.md")
FOLDER = "reference/names"
LISTED = re.compile(r"^::: ([\w.]+)\n((?:    .+\n)*)", flags=re.MULTILINE)
LINK = re.compile(r"\((?:[./\w-]*/)?(?:hyperinterp|probes)\.md#((?:hyperinterp|probes)\.[\w.]+)\)")
ROW = re.compile(r"<tr.*?</tr>", flags=re.DOTALL)
CELL = re.compile(r"<td.*?</td>", flags=re.DOTALL)


def listed(text: str) -> dict[str, dict[str, Any]]:
    """The names of a list with the options of each."""
    return {
        name: (yaml.safe_load(block) or {}).get("options", {})
        for name, block in LISTED.findall(text)
    }


def first_sentence(name: str) -> str:
    """Return the first sentence of a name's docstring; "" for a constant."""
    item = resolve_name(name)
    told = inspect.getdoc(item) if callable(item) or inspect.ismodule(item) else None
    first = (told or "").split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.:])\s", first)[0].rstrip(":")


def defaults(item: Any) -> dict[str, str]:
    """The parameters of a class or function that have a default, as code."""
    if not callable(item):
        return {}
    found = {}
    for name, given in inspect.signature(item).parameters.items():
        if given.default is not inspect.Parameter.empty:
            shown = getattr(given.default, "__qualname__", None) or repr(given.default)
            found[name] = "..." if "factory" in shown else shown.replace("\n", " ")
    return found


def _place(name: str, item: Any) -> str:
    """Return where a name is defined, where a module of the same name would be shown for it."""
    home = getattr(item, "__module__", None) or ""
    return f"{home}.{item.__qualname__}" if home.endswith(f".{name.rpartition('.')[2]}") else name


def page(name: str, options: dict[str, Any]) -> str:
    """The page of one name: signature, words, and its defaults where its table has none."""
    block = json.dumps({"heading_level": 1, "show_root_full_path": True, **options})
    item = resolve_name(name)
    text = f"---\ntitle: {name}\n---\n\n::: {_place(name, item)}\n    options: {block}\n"
    found = defaults(item)
    made_at_run_time = hasattr(item, "__signature__")  # its options are those of a config
    if not found or not (inspect.isclass(item) or made_at_run_time):
        return text
    rows = [f"| `{key}` | `{value.replace('|', chr(92) + '|')}` |" for key, value in found.items()]
    return "\n".join([text, "## Defaults", "", "| name | default |", "| --- | --- |", *rows, ""])


def on_files(files: Any, config: Any) -> Any:
    """Called by mkdocs once: adds the pages."""
    from mkdocs.structure.files import File

    for place in LISTS:
        text = Path(config.docs_dir, place).read_text(encoding="utf-8")
        for name, options in listed(text).items():
            made = page(name, options)
            files.append(File.generated(config, f"{FOLDER}/{name}.md", content=made))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by mkdocs for every page: lists become links, and links lead to the pages."""
    source = page.file.src_uri
    up = "../" * source.count("/")
    if source in LISTS:
        markdown = LISTED.sub(
            lambda found: (
                f"* [`{found[1]}`]({up}{FOLDER}/{found[1]}.md): {first_sentence(found[1])}\n"
            ),
            markdown,
        )
    return LINK.sub(lambda found: f"({up}{FOLDER}/{found[1]}.md)", markdown)


def lacking(html: str, names: dict[str, str]) -> list[str]:
    """Return the parameters whose default no table of a built page tells."""
    told = set()
    for row in ROW.findall(html):
        cells = CELL.findall(row)
        code = [re.findall(r"<code>(.*?)</code>", cell, flags=re.DOTALL) for cell in cells]
        if len(cells) > 1 and code[0] and code[-1]:
            told.add(re.sub(r"<[^>]+>", "", code[0][0]))
    return [name for name in names if name not in told]


def faults(site: Path) -> Iterator[str]:
    """Yield the faults of the pages of the public names of a built site."""
    for package in (hyperinterp, probes):
        for name in package.__all__:
            if name == "__version__":
                continue
            item = getattr(package, name)
            path = site / FOLDER / f"{package.__name__}.{name}.html"
            if not path.is_file():
                yield f"{path.name}: expected a page, found none; list the name in reference/"
                continue
            for parameter in lacking(path.read_text(encoding="utf-8"), defaults(item)):
                yield f"{path.name}: expected the default of {parameter} in a table, found none"


def on_post_build(config: Any) -> None:
    """Called by mkdocs at the end: a public name without its page or a default is an error."""
    from mkdocs.exceptions import PluginError

    found = list(faults(Path(config.site_dir)))
    if found:
        raise PluginError("\n".join(found))
