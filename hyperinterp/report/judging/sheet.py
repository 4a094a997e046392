"""A sheet of blind pairs: a page and a CSV file for the judges, and the key for whoever asks."""

import csv
import hashlib
import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hyperinterp.brief import Brief
from hyperinterp.claims import registry
from hyperinterp.drawing.escape import cell
from hyperinterp.errors import InputRefused
from hyperinterp.ranges import check_seed
from hyperinterp.report import html
from hyperinterp.report.data import ReportData
from hyperinterp.report.schema import Report
from hyperinterp.report.sections import texts_of
from hyperinterp.report.summary import name_of
from hyperinterp.report.writing import publish, refuse

FILES = ("sheet.html", "sheet.csv", "key.json")
LAYOUT = "1.0"
SIDES = ("A", "B")
COLUMNS = ("sheet", "pair", "prompt", *SIDES, "preferred")
PAIR = ("base", "fitted")


@dataclass(frozen=True)
class BlindPair(Brief):
    """Two texts after one prompt, in an order that does not say who wrote them.

    Attributes:
        number: from 1 on.
        prompt_id: of the passage whose beginning is the prompt.
        prompt: the prompt.
        texts: text A and text B.
        roles: who wrote them: "base" and "fitted", in the order of the texts.
    """

    number: int
    prompt_id: str
    prompt: str
    texts: tuple[str, str]
    roles: tuple[str, str]


@dataclass(frozen=True)
class JudgeSheet(Brief):
    """Blind pairs.

    Attributes:
        id: identifier that the sheet, its key and the answers share.
        seed: of the order.
        base: name of the model before.
        fitted: name of the model after.
        pairs: in the order of the sheet.
        alike: prompts that are left out, since both models wrote the same.
    """

    id: str
    seed: int
    base: str
    fitted: str
    pairs: tuple[BlindPair, ...]
    alike: int


def judge_sheet(
    report: Report | str | Path, out: str | Path, *, seed: int = 0, force: bool = False
) -> JudgeSheet:
    """Write blind pairs of a report's greedy texts for human judges.

    The directory gets `sheet.html`, a page that works offline and saves answers as a CSV file,
    `sheet.csv`, the same for a spreadsheet, and `key.json`, which says who wrote what: keep it from
    the judges. Each model's text stands first in half of the pairs.

    Args:
        report: a report in which both models wrote, or its path.
        out: directory to make.
        seed: of the order of pairs and of the texts in each, 0 to 4294967295.
        force: replace an earlier sheet there.

    Raises:
        InputRefused: no texts of both models in the report, all of them alike, a seed out of
            range, or `out` is there (without `force`) or holds other things.
        CorruptFile: the report cannot be read.
        OutOfResources: the disk is full; nothing is left behind.
    """
    check_seed(seed)
    target = Path(out)
    refuse(target, set(FILES), "a judge sheet", force=force)
    found = report if isinstance(report, ReportData) else Report.read(report)
    sheet = blind(found, seed)
    publish(target, contents(sheet), lambda: (), ())
    return sheet


def blind(report: ReportData, seed: int) -> JudgeSheet:
    """Return the pairs of a report in random order, each model first in half of them.

    Args:
        report: with texts of both models.
        seed: of the order.
    """
    every = list(_texts(report))
    rows = [row for row in every if row[2] != row[3]]
    if not rows:
        named = [spec.id for spec in registry.every_claim() if spec.part("texts", "texts")]
        raise InputRefused(
            "report: expected texts of both models that differ, found none; compare with "
            f"--claims {','.join(named)}"
        )
    draw = random.Random(seed)
    draw.shuffle(rows)
    swapped = [number % 2 == 1 for number in range(len(rows))]
    draw.shuffle(swapped)
    pairs = tuple(
        BlindPair(
            number, prompt_id, prompt,
            (texts[1], texts[0]) if turned else (texts[0], texts[1]),
            (PAIR[1], PAIR[0]) if turned else PAIR,
        )
        for number, ((prompt_id, prompt, *texts), turned) in enumerate(
            zip(rows, swapped, strict=True), 1
        )
    )  # fmt: skip
    told = [[item.prompt_id, item.prompt, *item.texts] for item in pairs]
    digest = hashlib.sha256(json.dumps([seed, told]).encode()).hexdigest()[:12]
    base, fitted = (name_of(report, role) for role in PAIR)
    return JudgeSheet(digest, seed, base, fitted, pairs, len(every) - len(rows))


def _texts(report: ReportData) -> Iterator[tuple[str, str, str, str]]:
    """Prompt, base's text and fitted model's text of the first section that has both."""
    found = [texts_of(report, spec) for spec in registry.every_claim()]
    for row in next((texts.rows for texts in found if texts is not None), ()):
        by_model = {item.model: item.text for item in row.passages}
        if all(role in by_model for role in PAIR):
            yield row.prompt_id, row.prompt, by_model[PAIR[0]], by_model[PAIR[1]]


def contents(sheet: JudgeSheet) -> dict[str, bytes]:
    """Return every file of a sheet by its name.

    Args:
        sheet: the pairs.
    """
    texts = {"sheet.html": _page(sheet), "sheet.csv": _csv(sheet), "key.json": _key(sheet)}
    return {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}


def _csv(sheet: JudgeSheet) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in sheet.pairs:
        writer.writerow([sheet.id, item.number, *map(cell, (item.prompt, *item.texts)), ""])
    return out.getvalue()


def _key(sheet: JudgeSheet) -> str:
    found: dict[str, Any] = {
        "judge_sheet": LAYOUT, "sheet": sheet.id, "seed": sheet.seed,
        "base": sheet.base, "fitted": sheet.fitted,
        "pairs": [
            {"pair": item.number, "prompt_id": item.prompt_id}
            | dict(zip(SIDES, item.roles, strict=True))
            for item in sheet.pairs
        ],
    }  # fmt: skip
    return json.dumps(found, indent=1) + "\n"


def _page(sheet: JudgeSheet) -> str:
    css, script = html.source("judge.css"), html.source("judge.js")
    return html.environment().get_template("judge.html.j2").render(
        css=Markup(css), script=Markup(script), sheet=sheet, sides=SIDES,
        policy=html.policy(scripts=[script], styles=[css]),
    )  # fmt: skip
