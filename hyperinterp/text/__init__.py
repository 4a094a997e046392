"""Passages and prompts: read, checked, put into a chat template, tokenised, of equal length."""

from hyperinterp.text.chat import PLAIN, Chat, chat_of, check_chat, contents
from hyperinterp.text.each import Texts
from hyperinterp.text.notes import notes
from hyperinterp.text.passages import MAX_TEXT_BYTES, Passage, Passages, collect
from hyperinterp.text.reading import (
    as_passages,
    builtin_passages,
    read_passages,
    read_prompts,
    unlearnt,
)
from hyperinterp.text.rows import TokenRows, encoded, shared_ngrams, split_half, tokenise
from hyperinterp.text.stream import Corpus, TokenStream, as_corpus, open_stream

__all__ = [
    "MAX_TEXT_BYTES",
    "PLAIN",
    "Chat",
    "Corpus",
    "Passage",
    "Passages",
    "Texts",
    "TokenRows",
    "TokenStream",
    "as_corpus",
    "as_passages",
    "builtin_passages",
    "chat_of",
    "check_chat",
    "collect",
    "contents",
    "encoded",
    "notes",
    "open_stream",
    "read_passages",
    "read_prompts",
    "shared_ngrams",
    "split_half",
    "tokenise",
    "unlearnt",
]
