"""Passages and prompts: read, checked, tokenised, and grouped by equal length."""

from hyperinterp.text.passages import MAX_TEXT_BYTES, Passage, Passages, collect
from hyperinterp.text.reading import builtin_passages, read_passages, read_prompts
from hyperinterp.text.rows import TokenRows, encoded, shared_ngrams, split_half, tokenise
from hyperinterp.text.stream import Corpus, TokenStream, open_stream

__all__ = [
    "MAX_TEXT_BYTES",
    "Corpus",
    "Passage",
    "Passages",
    "TokenRows",
    "TokenStream",
    "builtin_passages",
    "collect",
    "encoded",
    "open_stream",
    "read_passages",
    "read_prompts",
    "shared_ngrams",
    "split_half",
    "tokenise",
]
