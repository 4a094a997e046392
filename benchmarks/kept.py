"""Tell which values of a report another state of the code gives otherwise.

`python -m benchmarks.kept BEFORE AFTER` compares two `report.json` of one pair, made on one machine
with the same options, value by value; with `--as NAME` it also keeps the counts in
`benchmarks/results/kept.json` and in CONTRIBUTING's table. Numbers, verdicts, tokens and the texts
of models are values; words for readers (names of conditions, notes) and provenance are not. Layouts
differ: `RENAMED` has every field that has another name since. `DECIDED` says which values were
changed on purpose, and why. It ends with 1 where any other value changed or is gone.
"""

import argparse
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.pages import ROOT, rewrite_block, table

KEPT = Path(__file__).parent / "results" / "kept.json"


RENAMED = {
    r"^(diversity|temperature|static_bias|quotation|control)/": r"results/\1/",
    r"^ranks/": "results/reranking/",
    r"^geometry/": "results/expansion/",
    r"^transplant/": "results/last_block/",
    r"^sufficiency/": "results/late_stage/",
    r"^course/": "training_curve/",
    r"/transplants/": "/patches/",
    r"/hybrids/": "/stitched/",
}
"""Fields by the names that they had in layout 1.0."""

WORDS = re.compile(
    r"/(words|why|reason|method|unit|null|statement|note|rule|label|kind|title|missing|source)(/|$)"
)
SKIPPED = re.compile(r"^(provenance|schema_version|absent)(/|$)")
NAMES = ("key", "label", "kind", "direction", "name", "role", "prompt_id", "layer", "temperature")
ROUNDING = 1e-4
"""Largest change, relative above 1 and absolute below, that another order of sums may make.

A difference is as exact as the two sides that it is of, so it is held relative to these."""

DECIDED = {
    r"^results/last_block/(nulls|last_above_null)/|^claims/C6/(conditions/2/|p_value|verdict)": (
        "random changes of weights are functions of a count, the same on every device"
    ),
    r"^results/late_stage/twins/.*/(trained_layers|share_of_layers)$": (
        "a twin trained before blocks were recorded by index has no record of them"
    ),
    r"^claims/C\d+/p_adjusted$": "adjusted along with the p value of another claim",
}
"""Values that were changed on purpose, by their place, and why."""


def renamed(place: str) -> str:
    """Return a place in a report of layout 1.0 as it is called today."""
    for old, new in RENAMED.items():
        place = re.sub(old, new, place)
    return place


def values(item: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a report by its place; items of lists go by what they are called."""
    if isinstance(item, dict):
        for name, value in item.items():
            yield from values(value, f"{place}/{name}" if place else name)
    elif isinstance(item, list):
        called = [_called(value) for value in item]
        often = Counter(called)
        for number, (name, value) in enumerate(zip(called, item, strict=True)):
            own = name if name and often[name] == 1 else str(number)
            yield from values(value, f"{place}/{own}")
    else:
        yield place, item


def _called(item: Any) -> str:
    """What tells an item of a list from the others; "" where nothing does."""
    if not isinstance(item, dict):
        return ""
    return " ".join(str(item[name]) for name in NAMES if item.get(name) is not None)


@dataclass
class Kept:
    """Two reports, value by value.

    Attributes:
        common: values that both have.
        same: those equal to the bit.
        rounded: others that are apart by rounding.
        largest: how far these are apart at most, relative above 1 and absolute below.
        decided: how many others changed for which declared reason.
        changed: the rest, as place, before, after.
        gone: places that only the first has.
        new: places that only the second has.
    """

    common: int = 0
    same: int = 0
    rounded: int = 0
    largest: float = 0.0
    decided: Counter[str] = field(default_factory=Counter)
    changed: list[tuple[str, Any, Any]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """The values of a report that a rearrangement of the code must keep, by today's names."""
    found = ((renamed(place), value) for place, value in values(report))
    return {
        place: value
        for place, value in found
        if not SKIPPED.search(place) and not WORDS.search(place)
    }


def held(before: dict[str, Any], after: dict[str, Any]) -> Kept:
    """Return what two reports of one pair have in common, and what not."""
    one, other = figures(before), figures(after)
    gone = {place for place in one.keys() - other if one[place] is not None}
    found = Kept(gone=sorted(gone), new=sorted(other.keys() - one))
    for place in sorted(one.keys() & other.keys()):
        old, new = one[place], other[place]
        found.common += 1
        reason = next((why for pattern, why in DECIDED.items() if re.search(pattern, place)), "")
        gap = apart(old, new, sides(one, place))
        if old == new:
            found.same += 1
        elif gap <= ROUNDING:
            found.rounded += 1
            found.largest = max(found.largest, gap)
        elif reason:
            found.decided[reason] += 1
        else:
            found.changed.append((place, old, new))
    return found


def sides(found: dict[str, Any], place: str) -> tuple[float, ...]:
    """The two values that a difference is of; none for other places."""
    pair, _, end = place.rpartition("/delta/")
    values = [found.get(f"{pair}/{role}/value") for role in ("base", "fitted")] if end else []
    return tuple(float(value) for value in values if isinstance(value, int | float))


def apart(one: Any, other: Any, beside: tuple[float, ...] = ()) -> float:
    """How far two numbers are apart, relative above 1 and absolute below; infinity for others.

    Args:
        one: of the first report.
        other: of the second.
        beside: what they are held relative to, where that is larger.
    """
    if any(isinstance(item, bool) or not isinstance(item, int | float) for item in (one, other)):
        return math.inf
    return abs(one - other) / max(1.0, *map(abs, (one, other, *beside)))


def kept_row(name: str, item: dict[str, Any]) -> list[str]:
    """One pair as a row of the table."""
    largest = f" (at most {item['largest']:.0e})" if item["rounded"] else ""
    return [
        name, str(item["common"]), str(item["same"]), f"{item['rounded']}{largest}",
        str(sum(item["decided"].values())), str(item["changed"] + item["gone"]),
    ]  # fmt: skip


def page(found: dict[str, Any]) -> str:
    """CONTRIBUTING's table."""
    head = ["pair", "values", "same to the bit", "by rounding", "on purpose", "otherwise"]
    return table(head, [kept_row(name, item) for name, item in found.items()])


def keep(name: str, before: dict[str, Any], after: dict[str, Any], found: Kept) -> None:
    """Write the counts of one pair beside those of others."""
    known = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    known[name] = {
        "commits": [report["provenance"]["git_hash"] for report in (before, after)],
        "prompts": after["provenance"]["prompts"]["used"],
        "claims": [id for id, claim in after["claims"].items() if claim["effect"] is not None],
        "common": found.common, "same": found.same, "rounded": found.rounded,
        "largest": found.largest, "decided": dict(found.decided), "changed": len(found.changed),
        "gone": len(found.gone), "new": len(found.new),
    }  # fmt: skip
    KEPT.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    rewrite_block(ROOT / "CONTRIBUTING.md", "kept", page(known))


def general(places: list[str]) -> list[str]:
    """The first three names of places, each once, with how often it was there."""
    counts = Counter("/".join(place.split("/")[:3]) for place in places)
    return [f"{count:6} {place}" for place, count in sorted(counts.items())]


def main() -> None:
    """Compare two reports; exit with 1 where a value changed without a declared reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--as", dest="name", help="keep the counts under this name")
    given = parser.parse_args()
    paths = (
        path / "report.json" if path.is_dir() else path for path in (given.before, given.after)
    )
    before, after = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
    found = held(before, after)
    print(f"{found.common} values: {found.same} the same to the bit, {found.rounded} by rounding")
    for why, count in found.decided.items():
        print(f"{count:6} changed: {why}")
    for title, places in (("only before", found.gone), ("only after", found.new)):
        print("\n".join([f"{len(places)} {title}", *general(places)]))
    for place, old, new in found.changed:
        print(f"CHANGED {place}: {old!r:.60} -> {new!r:.60}")
    if given.name:
        keep(given.name, before, after, found)
    sys.exit(1 if found.changed or found.gone else 0)


if __name__ == "__main__":
    main()
