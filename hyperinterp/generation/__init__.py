"""Greedy and sampled generations, by one model or several."""

from hyperinterp.generation.continuing import continue_text
from hyperinterp.generation.decoding import GREEDY, Decoding, Generated
from hyperinterp.generation.writer import Writer, stop_tokens
from hyperinterp.generation.writing import generate, write_all

__all__ = [
    "GREEDY",
    "Decoding",
    "Generated",
    "Writer",
    "continue_text",
    "generate",
    "stop_tokens",
    "write_all",
]
