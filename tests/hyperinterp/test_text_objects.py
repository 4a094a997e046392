"""Texts in memory: whatever holds them, the passages are the same."""

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import hyperinterp as hi
from hyperinterp.errors import InputRefused
from hyperinterp.text import Corpus, Passage, Passages, as_passages, open_stream, read_passages
from tests.hyperinterp.training.factory import byte_tokenizer

TEXTS = ["The tide went out.", "It came back at dusk.", "And so on."]
ROWS = [{"text": text, "n": number} for number, text in enumerate(TEXTS)]

FORMS = {
    "list": lambda: TEXTS,
    "tuple": lambda: tuple(TEXTS),
    "generator": lambda: (text for text in TEXTS),
    "dict keys": lambda: dict.fromkeys(TEXTS).keys(),
    "numpy strings": lambda: np.array(TEXTS),
    "numpy objects": lambda: np.array(TEXTS, dtype=object),
    "list of numpy strings": lambda: list(np.array(TEXTS)),
    "pandas column": lambda: pd.DataFrame(ROWS)["text"],
    "pandas table": lambda: pd.DataFrame(ROWS),
    "arrow table": lambda: pa.Table.from_pylist(ROWS),
    "arrow column": lambda: pa.Table.from_pylist(ROWS)["text"],
    "rows": lambda: ROWS,
    "rows of an iterator": lambda: map(dict, ROWS),
    "columns": lambda: {"text": TEXTS, "n": [0, 1, 2]},
    "data set": lambda: datasets.Dataset.from_list(ROWS),
    "column of a data set": lambda: datasets.Dataset.from_list(ROWS)["text"],
    "streaming data set": lambda: datasets.Dataset.from_list(ROWS).to_iterable_dataset(),
    "only split": lambda: datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}),
    "passages": lambda: [Passage(str(number), text) for number, text in enumerate(TEXTS, 1)],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_passages(form):
    found = as_passages(FORMS[form]())
    assert [(item.id, item.text) for item in found] == [
        (str(number), text) for number, text in enumerate(TEXTS, 1)
    ]
    assert all(type(item.text) is str for item in found)
    assert len(as_passages(FORMS[form](), limit=2)) == 2


def test_passages_and_paths_are_taken_too(tmp_path):
    given = as_passages(TEXTS)
    assert as_passages(given) is given
    assert as_passages(given, limit=2).texts == TEXTS[:2]
    path = tmp_path / "a.txt"
    path.write_text("\n".join(TEXTS))
    assert as_passages(path) == as_passages(str(path)) == read_passages(path)
    assert hi.as_passages is as_passages


def test_what_is_left_out_is_counted():
    found = as_passages(["a", " \n", "a", "", "...", "b"])
    assert (found.texts, found.duplicates, found.empty) == (["a", "b"], 1, 3)


REFUSED = {
    "a sentence": ("The tide went out again.", "one string that names no file, .*put it in a list"),
    "lines": ("one\ntwo", "put it in a list"),
    "bytes": (b"text", r"found bytes; decode it and put it in a list"),
    "None": (None, "found None; give texts as a list of strings"),
    "a number": (3, "found int; give texts"),
    "a truth value": (True, "found bool"),
    "a set": ({"a", "b"}, "whose order is not fixed; give sorted"),
    "one row": ({"text": "a"}, r"found one row; put it in a list: \[row\]"),
    "one conversation": ([{"role": "user", "content": "a"}], r"put it in a list: \[messages\]"),
    "nothing": ([], "expected at least one text, found none"),
    "empty texts": (["", " "], r"found none \(2 without any letter\)"),
    "bytes inside": (["a", b"b"], "row 2: expected a text or an object with fields, found bytes"),
    "None inside": (["a", None], r"row 2: .*found nothing \(null\)"),
    "a number inside": ([1, 2], "row 1: .*found int: 1"),
    "other fields": ([{"prompt": "a"}], "row 1: .*found the fields 'prompt'; .*--column prompt"),
    "several splits": (
        {"DatasetDict": 1}, r"one of the splits train, test, found no split named; .*given\['NAME'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_text_is_refused_in_one_line(kind):
    given, words = REFUSED[kind]
    if kind == "several splits":
        one = datasets.Dataset.from_list(ROWS)
        given = datasets.DatasetDict({"train": one, "test": one})
    with pytest.raises(InputRefused, match=words) as caught:
        as_passages(given, what="prompts")
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith("prompts")


def test_columns_and_splits_are_those_asked_for():
    rows = [{"body": "a", "split": "x"}, {"body": "b", "split": "y"}]
    for given in (rows, pd.DataFrame(rows), datasets.Dataset.from_list(rows)):
        assert as_passages(given, column="body", split="y").texts == ["b"]
        assert as_passages(given, column="body").texts == ["a", "b"]
    both = datasets.DatasetDict(
        {name: datasets.Dataset.from_list([row]) for name, row in zip("xy", rows, strict=True)}
    )
    assert as_passages(both, column="body", split="x").texts == ["a"]
    with pytest.raises(InputRefused, match="found split 'z'"):
        as_passages(both, column="body", split="z")


@pytest.mark.parametrize("form", FORMS)
def test_a_corpus_is_anything_that_can_be_read_twice(form):
    stream = open_stream(Corpus(FORMS[form]()), byte_tokenizer(), 16)
    rows = [ids.tolist() for _, ids in stream.batches(8)]
    assert sum(map(len, rows)) == stream.n_rows == len(TEXTS)
    assert "object at" not in str(stream.corpus)


@pytest.mark.parametrize("change", ["other", "order", "more", "fewer"])
def test_a_corpus_with_other_content_is_noticed_before_it_is_used(change):
    texts = [f"passage number {number}" for number in range(700)]
    given = list(texts)
    stream = open_stream(Corpus(given), byte_tokenizer(), 24)
    assert sum(len(numbers) for numbers, _ in stream.batches(50)) == 700
    if change == "other":
        given[600] = "passage Number 600"  # as many passages, as many tokens
    elif change == "order":
        given[600], given[601] = given[601], given[600]
    elif change == "more":
        given.append("one more passage")
    else:
        del given[512:]
    with pytest.raises(InputRefused, match=r"found .* after 512 passages: the file has changed"):
        list(stream.batches(50))


def test_a_list_of_strings_makes_passages():
    texts = ["a", " \n", "a", "b c"]
    found, wanted = Passages.from_list(texts), as_passages(texts)
    assert (found.items, found.sha256) == (wanted.items, wanted.sha256)
    assert (found.duplicates, found.empty) == (1, 1)
    assert as_passages(Passages.from_list(texts, "my texts")).origin == "my texts"
    for wrong in ("a text", ["a", 3], [{"text": "a"}], []):
        with pytest.raises(InputRefused, match="expected"):
            Passages.from_list(wrong)
