"""Equal logits: one rule, the lowest id, in every measure and in greedy text."""

import ast
from pathlib import Path

import pytest
import torch

from probes import rogue_dimensions, token_ranks, top_tokens
from probes.ranks.tokens import order_rows, top1_rows

ROOT = Path(__file__).resolve().parent.parent
HOME = "probes/ranks/tokens.py"  # where the rule is written down


def breaks_ties_by_chance(source: str) -> list[int]:
    """Lines whose outcome among equal values is not defined, or not by the one helper."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ("argmax", "argmin"):
            found.append(node.lineno)
        if isinstance(node, ast.Attribute) and node.attr == "indices":
            inner = node.value
            if isinstance(inner, ast.Call) and not _stable(inner):
                found.append(node.lineno)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "argsort":
            found += [] if _stable(node) else [node.lineno]
    return found


def _stable(call: ast.Call) -> bool:
    return any(item.arg in ("stable", "kind") for item in call.keywords)


def test_ties_are_broken_in_one_place() -> None:
    for bad in ("x.argmax(-1)", "x.topk(3).indices", "x.argsort()", "torch.sort(x).indices"):
        assert breaks_ties_by_chance(bad) == [1]
    wrong = {
        str(path.relative_to(ROOT)): lines
        for root in ("hyperinterp", "probes")
        for path in sorted((ROOT / root).rglob("*.py"))
        if str(path.relative_to(ROOT)) != HOME
        and (lines := breaks_ties_by_chance(path.read_text(encoding="utf-8")))
    }
    assert wrong == {"probes/diversity/copying.py": wrong["probes/diversity/copying.py"]}
    assert len(wrong["probes/diversity/copying.py"]) == 1  # numpy's argmax, of run lengths


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("size", [7, 151, 50_000])
def test_the_lowest_id_of_a_tie(dtype: torch.dtype, size: int) -> None:
    draw = torch.Generator().manual_seed(size)
    logits = torch.randint(-2, 3, (5, size), generator=draw).to(dtype)
    logits[0] = 0.0
    logits[1] = float("-inf")
    order = order_rows(logits)
    assert top1_rows(logits).tolist() == order[:, 0].tolist()
    assert order[0].tolist() == list(range(size))
    for row, ids in zip(logits[2:].tolist(), order[2:].tolist(), strict=True):
        assert ids == sorted(range(size), key=lambda i: (-row[i], i))
    finite = logits[2:]
    assert top_tokens(finite, 5).tolist() == order[2:, :5].tolist()
    assert token_ranks(finite, order[2:, 3]).tolist() == [4, 4, 4]


def test_equal_variances_are_told_by_index() -> None:
    variances = torch.ones(4000)
    variances[torch.tensor([3000, 17, 900])] = 400.0
    assert rogue_dimensions(variances) == (17, 900, 3000)
