"""What the pages take from the code, so that no page can disagree with it.

A page holds a mark such as `<!-- rule: C5 -->`; mkdocs calls `on_page_markdown` for every page.
"""

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer.main

import hyperinterp
from hyperinterp.claims import registry
from hyperinterp.claims.spec import ClaimSpec
from hyperinterp.cli.app import app
from hyperinterp.config import specs_of
from hyperinterp.drawing.words import TERMS, TYPICAL, terms, words
from hyperinterp.report.schema import json_schema
from hyperinterp.sizes import PRESETS, Sizes

MARK = re.compile(r"<!-- ([a-z]+)(?:: (?!begin -->|end -->)([\w .-]+))? -->")
FORMULA = re.compile(r"^```math\n(.+?)\n```$", flags=re.MULTILINE | re.DOTALL)
SCHEMA_PATH = "reference/report.schema.json"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", r"\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def rule(claim: str) -> str:
    """The declared rule of one claim."""
    spec = _spec(claim)
    found = spec.rule
    rows = [
        [item.words, f"{'above' if item.above else 'below'} {item.threshold:g}"]
        for item in found.criteria
    ]
    return "\n\n".join(
        [
            f"> **{spec.id}.** {found.statement}",
            table(["condition", "whole interval"], rows),
            f"Effect (the first condition): {found.unit}.  \n"
            f"What it must beat: {found.null}.  \n"
            f"Needs: {spec.needs}.",
        ]
    )


def rules(_: str) -> str:
    """All claims with the threshold of the effect."""
    rows = [
        [
            f"[{item.id}]({item.id.lower()}.md)", f"`{item.slug}`", item.rule.statement,
            f"{'>' if item.rule.criteria[0].above else '<'} {item.rule.criteria[0].threshold:g}",
            str(len(item.rule.criteria)),
        ]
        for item in registry.by_id(registry.CLAIMS)
    ]  # fmt: skip
    return table(["", "slug", "claim", "effect", "conditions"], rows)


def _spec(claim: str) -> ClaimSpec:
    return {spec.id: spec for spec in registry.CLAIMS}[claim]


def figures(claim: str) -> str:
    """What the figures of one claim show, and what in them would count against it."""
    spec = _spec(claim)
    found = words(spec.package)
    typical = found.get(TYPICAL, {})
    rows = [
        [f"`{name}`", told["title"]]
        + [told[part].format(**typical) for part in ("shows", "interval", "against")]
        for name, told in found.items()
        if name != TYPICAL and not name.startswith(TERMS)
    ]
    parts = ("", *(item.id for item in spec.sections))
    told = [
        f"**{name}**: {text}" for part in parts for name, text in terms(spec.package, part).items()
    ]
    return "\n\n".join(
        [table(["figure", "", "shows", "intervals", "against the claim"], rows), *told]
    )


def presets(_: str) -> str:
    """The sizes of every preset."""
    words = re.findall(r"^ {8}(\w+): (.+?)$", Sizes.__doc__ or "", flags=re.MULTILINE)
    told = dict(words)
    rows = [
        [f"`{field.name}`", told.get(field.name, "")]
        + [_plain(getattr(preset, field.name)) for preset in PRESETS.values()]
        for field in fields(Sizes)
    ]
    return table(["size", "what it is", *PRESETS], rows)


def _plain(value: Any) -> str:
    if value is None:
        return "all"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def cli(_: str) -> str:
    """Every command with its arguments and options."""
    parts = []
    for name, command in sorted(typer.main.get_command(app).commands.items()):  # type: ignore
        rows = []
        for item in command.params:
            if item.name == "help":
                continue
            shown = ", ".join(f"`{o}`" for o in item.opts if o.startswith("-"))
            told = getattr(item, "help", None) or ""
            plain = item.default in (None, False, (), []) or callable(item.default)
            fallback = "" if plain or not shown else f"`{item.default}`"
            rows.append([shown or f"`{(item.name or '').upper()}`", told, fallback])
        told = (command.help or "").strip().split("\n\n")
        parts.append(f"## hyperinterp {name}\n\n" + "\n\n".join(told))
        parts.append(table(["", "", "default"], rows))
    return "\n\n".join(parts)


def options(name: str) -> str:
    """Every option of a config by group: what it is, what it may be, and its default."""
    rows = [
        [
            f"`{spec.group}`", f"`{spec.name}`", spec.option.help, spec.allowed(),
            "" if spec.default in (None, ()) else f"`{spec.default}`",
        ]
        for spec in specs_of(getattr(hyperinterp, name))
    ]  # fmt: skip
    return table(["group", "option", "", "what it may be", "default"], rows)


def schema(_: str) -> str:
    """Every object of report.json, from its JSON Schema."""
    document = json_schema()
    parts = [_object("Report", document)]
    parts += [
        _object(name, item) for name, item in document["$defs"].items() if "properties" in item
    ]
    enums = {name: item["enum"] for name, item in document["$defs"].items() if "enum" in item}
    parts += [
        f"### {name}\n\nOne of {', '.join(f'`{v}`' for v in e)}." for name, e in enums.items()
    ]
    return "\n\n".join(parts)


def _object(name: str, item: dict[str, Any]) -> str:
    told = item.get("description", "")
    notes = {}
    if "Attributes:" in told:
        body = re.sub(r"\n\s{8,}", " ", told.split("Attributes:")[1])
        notes = dict(re.findall(r"^\s+(\w+): (.+)$", body, flags=re.MULTILINE))
    rows = [
        [f"`{key}`", _type(value), notes.get(key, "")] for key, value in item["properties"].items()
    ]
    first = told.split("\n\n")[0].replace("\n", " ")
    return f"### {name}\n\n{first}\n\n{table(['field', 'type', 'what it is'], rows)}"


def _type(item: dict[str, Any]) -> str:
    if "$ref" in item:
        name = item["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in item:
        return " or ".join(_type(part) for part in item["anyOf"])
    if item.get("type") == "array":
        inner = item.get("items") or {}
        if "prefixItems" in item:
            return "list of " + ", ".join(_type(part) for part in item["prefixItems"])
        return f"list of {_type(inner)}" if inner else "list"
    if item.get("type") == "object" and isinstance(item.get("additionalProperties"), dict):
        return f"object of {_type(item['additionalProperties'])}"
    return item.get("type", "any")


def nothing(_: str) -> str:
    """Marks for the tests (`full`, `needs: PACKAGE`) leave no trace on the page."""
    return ""


def notebooks(_: str) -> str:
    """The pages of the notebooks, by their titles."""
    found = []
    for path in sorted((Path(__file__).parent.parent / "tutorials").glob("[0-9]*.py")):
        title = re.search(r"^# # (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        found.append(f"* [{title[1] if title else path.stem}](tutorials/{path.stem}.md)")
    return "\n".join(found)


def version(_: str) -> str:
    """The version of hyperinterp."""
    return hyperinterp.__version__


MADE: dict[str, Callable[[str], str]] = {
    "rule": rule,
    "rules": rules,
    "figures": figures,
    "presets": presets,
    "cli": cli,
    "options": options,
    "schema": schema,
    "notebooks": notebooks,
    "version": version,
    "full": nothing,
    "needs": nothing,
}


def filled(markdown: str) -> str:
    """A page with its marks replaced.

    Raises:
        KeyError: a mark that nothing here makes, or a claim that does not exist.
    """
    return MARK.sub(lambda mark: MADE[mark[1]](mark[2] or ""), markdown)


def formulas(markdown: str) -> str:
    """A page with its LaTeX (fences of `math`) as MathML, which browsers draw without a script."""
    from latex2mathml.converter import convert

    def drawn(found: re.Match[str]) -> str:
        return f"<p>{convert(found[1], display='block')}</p>"

    return FORMULA.sub(drawn, markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for every page."""
    return formulas(filled(markdown))


def on_files(files: Any, config: Any) -> Any:
    """Called by mkdocs once: adds the JSON Schema as a file of the site."""
    from mkdocs.structure.files import File

    text = json.dumps(json_schema(), indent=1) + "\n"
    files.append(File.generated(config, SCHEMA_PATH, content=text))
    return files
