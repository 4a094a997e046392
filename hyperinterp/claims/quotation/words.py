"""Words beside C8: copying by both models and in the human continuations."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperinterp.claims.quotation.result import QuotationResult
from hyperinterp.claims.spec import Beaten


def beats(result: QuotationResult, results: Mapping[str, Any]) -> Iterator[Beaten]:
    """Yield the rates beside that of the fitted model."""
    yield Beaten("copied share in the base's text", result.copied_share.base)
    yield Beaten("in the fitted model's", result.copied_share.fitted)
    yield Beaten("in the held-out passages", result.heldout_share)
