"""The answers of human judges, read back against the key."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from hyperinterp.analyses.intervals import mean_of
from hyperinterp.errors import CorruptFile, InputRefused
from hyperinterp.report.judging.result import JudgedPair, Judgement
from hyperinterp.report.judging.sheet import LAYOUT, SIDES

SAME = "same"
MOST_BYTES = 64 << 20
NEEDED = ("sheet", "pair", "preferred")


class _KeyPair(BaseModel):
    pair: int
    prompt_id: str
    A: str
    B: str


class _Key(BaseModel):
    judge_sheet: str
    sheet: str
    base: str
    fitted: str
    pairs: list[_KeyPair]


def judge_read(sheet: str | Path, *answers: str | Path) -> Judgement:
    """Return what human judges preferred.

    Args:
        sheet: directory that `judge_sheet` made, with its key.
        answers: CSV files, one per judge, with the columns `sheet`, `pair` and `preferred`: "A",
            "B", "same", or nothing where a pair was left out.

    Raises:
        InputRefused: no files, a file of another sheet, a pair that the sheet has not or that is
            answered twice, another word than these, or no answer at all.
        CorruptFile: the key or a file cannot be read.
    """
    key = _key(Path(sheet))
    if not answers:
        raise InputRefused("answers: expected at least one CSV file, found none; name some")
    known = {item.pair: item for item in key.pairs}
    votes: dict[int, Counter[str]] = {number: Counter() for number in known}
    for file in answers:
        for number, said in _answers(Path(file), key.sheet, known).items():
            votes[number][said] += 1
    judged = tuple(_pair(known[number], votes[number]) for number in known if votes[number])
    if not judged:
        raise InputRefused(
            "answers: expected at least one preference, found none; write "
            f"{', '.join(SIDES)} or {SAME} into the column preferred"
        )
    decided = [
        number[SIDES[0]] / (number[SIDES[0]] + number[SIDES[1]])
        for number in votes.values()
        if number[SIDES[0]] + number[SIDES[1]]
    ]
    return Judgement(
        sheet=key.sheet,
        base=key.base,
        fitted=key.fitted,
        judges=len(answers),
        unanswered=len(known) - len(judged),
        preference=mean_of([item.preference for item in judged], unit="pair"),
        first=mean_of(decided, unit="pair"),
        pairs=judged,
    )


def _pair(known: _KeyPair, votes: Mapping[str, int]) -> JudgedPair:
    by_role = {known.A: votes[SIDES[0]], known.B: votes[SIDES[1]]}
    return JudgedPair(known.pair, known.prompt_id, by_role["fitted"], by_role["base"], votes[SAME])


def _key(folder: Path) -> _Key:
    path = folder / "key.json" if folder.is_dir() else folder
    text = _text(path, "the key.json of hyperinterp judge-sheet")
    try:
        found = _Key.model_validate(json.loads(text))
    except (ValueError, ValidationError):
        raise CorruptFile(
            f"{path}: expected the key of a judge sheet, found something else; name the directory "
            "that hyperinterp judge-sheet made"
        ) from None
    roles = {frozenset((item.A, item.B)) for item in found.pairs}
    if found.judge_sheet != LAYOUT or roles != {frozenset(("base", "fitted"))}:
        raise CorruptFile(
            f"{path}: expected a key of layout {LAYOUT} with base and fitted in every pair, found "
            f"layout {found.judge_sheet!r}; make the sheet again"
        )
    return found


def _text(path: Path, wanted: str) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputRefused(
                f"{path}: expected {wanted}, found a file of over 64 MiB; name another"
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CorruptFile(
            f"{path}: expected {wanted} in UTF-8, found other bytes; save it as UTF-8"
        ) from None
    except OSError as error:
        raise InputRefused(
            f"{path}: expected {wanted}, found none that can be read "
            f"({error.strerror or error}); check the path"
        ) from None


def _answers(path: Path, sheet: str, known: Mapping[int, _KeyPair]) -> dict[int, str]:
    """A judge's answers by the number of the pair; those left out are not there."""
    text = _text(path, "a CSV file of answers")
    head = text.partition("\n")[0]
    separator = ";" if head.count(";") > head.count(",") else ","  # as some spreadsheets write
    try:
        rows = list(csv.DictReader(io.StringIO(text), delimiter=separator, strict=True))
    except csv.Error as error:
        raise CorruptFile(
            f"{path}: expected a CSV file, found none ({error}); save it as CSV"
        ) from None
    missing = [name for name in NEEDED if not rows or name not in rows[0]]
    if missing:
        raise InputRefused(
            f"{path}: expected the columns {', '.join(NEEDED)} and a row per pair, found no "
            f"{missing[0]}; use a copy of sheet.csv, or sheet.html"
        )
    found: dict[int, str] = {}
    for line, row in enumerate(rows, 2):
        where = f"{path}, row {line}"
        if (row["sheet"] or "").strip() != sheet:
            raise InputRefused(
                f"{where}: expected answers to the sheet {sheet}, found {row['sheet']!r}; name the "
                "directory of their sheet"
            )
        number, said = (row["pair"] or "").strip(), (row["preferred"] or "").strip()
        if not number.isdecimal() or int(number) not in known:
            raise InputRefused(
                f"{where}: expected a pair of 1 to {len(known)}, found {row['pair']!r}; leave the "
                "column pair as it was"
            )
        if not said:
            continue
        words = {name.lower(): name for name in (*SIDES, SAME)}
        if said.lower() not in words:
            raise InputRefused(
                f"{where}: expected {', '.join(SIDES)}, {SAME} or nothing in the column preferred, "
                f"found {said!r}; write one of these"
            )
        if int(number) in found:
            raise InputRefused(
                f"{where}: expected one answer to each pair, found a second to {number}; keep one "
                "file per judge"
            )
        found[int(number)] = words[said.lower()]
    return found
