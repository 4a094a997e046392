"""What stands beside T1."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.spec import Beaten
from toy_claim.result import LengthResult


def beats(result: LengthResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield what had to be beaten."""
    yield Beaten("tokens in the base's texts", result.tokens.base)
