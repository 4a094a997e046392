"""Passages: every bad input has its rule, and rows never need padding."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperinterp.errors import InputRefused
from hyperinterp.text import (
    Passage,
    TokenRows,
    builtin_passages,
    collect,
    hub,
    read_passages,
    reading,
    shared_ngrams,
    split_half,
)


def words(text):
    return [part.strip(".,;:!?\"'()").lower() for part in text.split()]


def test_the_built_in_passages_are_as_promised():
    train, heldout, other = map(builtin_passages, ("train", "heldout", "other"))
    assert (len(train), len(heldout), len(other)) == (96, 64, 48)
    assert min(len(text.split()) for text in [*train.texts, *other.texts]) >= 130
    assert min(len(text.split()) for text in heldout.texts) >= 110
    known: dict[str, int] = {}
    texts = [*train.texts, *heldout.texts, *other.texts]
    rows = [[known.setdefault(word, len(known)) for word in words(text)] for text in texts]
    for index, row in enumerate(rows):
        assert shared_ngrams([row], rows[:index] + rows[index + 1 :], 8) == 0


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", '{"text": "one two"}\n{"id": "x", "text": "three"}\n', ["one two", "three"]),
        ("a.jsonl", '"plain"\n\n"strings"\n', ["plain", "strings"]),
        ("a.json", '[{"text": "one"}, "two"]', ["one", "two"]),
        ("a.txt", "one line\nanother\n\n", ["one line", "another"]),
        ("a.csv", "id,text\n1,one\n2,two\n", ["one", "two"]),
        ("a.tsv", "id\ttext\n1\tone\n", ["one"]),
    ],
)
def test_every_format_is_read(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert read_passages(path).texts == expected


def test_parquet_is_read(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["one", "two"]}), path)
    assert read_passages(path).texts == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "found none"),
        ("a.jsonl", b'{"text": 3}\n', "row 1: expected a string field 'text'"),
        ("a.jsonl", b'{"txt": "x"}\n', "row 1"),
        ("a.jsonl", b'{"text": "x"\n', "line 1: expected JSON"),
        ("a.jsonl", b'{"text": "\xff\xfe"}\n', "expected UTF-8"),
        ("a.json", b"{}", "row 1: expected a string field 'text', found the fields none"),
        ("a.json", b"3", "expected rows .*, found int"),
        ("a.txt", b"\n\n - \n", "without any letter"),
        ("a.pdf", b"x", "expected one of"),
        ("a.parquet", b"not parquet", "parquet"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputRefused, match=message) as caught:
        read_passages(path)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"text": NaN}', "float: nan there"),
        ('{"text": null}', r"nothing \(null\) there"),
        ('{"text": ["a"]}', r"list: \['a'\] there"),
        ('{"txt": "a", "id": 1}', "found the fields 'txt', 'id'; .*: --column txt"),
    ],
)
def test_what_stands_in_place_of_a_text_is_said(tmp_path, line, found):
    path = tmp_path / "a.jsonl"
    path.write_text(line + '\n{"text": "b"}')
    with pytest.raises(InputRefused, match=f"row 1: expected a string field 'text', .*{found}"):
        read_passages(path)


def test_a_long_field_of_a_table_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "a" * 200_000 + "\n")
    assert len(read_passages(path).texts[0]) == 200_000
    path.write_text("text\n" + "a" * 10_000_001 + "\n")
    with pytest.raises(InputRefused, match="at most 10000000 characters, found 10000001"):
        read_passages(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="nothing there"):
        read_passages(tmp_path / "none.jsonl")


def test_deep_json_is_refused(tmp_path):
    path = tmp_path / "deep.jsonl"
    path.write_text("[" * 200_000 + "]" * 200_000)
    with pytest.raises(InputRefused):
        read_passages(path)


def test_duplicates_and_empty_texts_are_counted():
    pairs = [("a", "one"), ("b", "one"), ("c", " \n"), ("d", "two")]
    found = collect([Passage(*pair) for pair in pairs], "here")
    assert (found.texts, found.duplicates, found.empty) == (["one", "two"], 1, 1)


def test_a_split_of_a_file_can_be_chosen(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": "one", "split": "x"}, {"text": "two", "split": "y"}]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert read_passages(path, split="y").texts == ["two"]


def test_head_counts_from_one():
    passages = collect([Passage("a", "one"), Passage("b", "two")], "here")
    assert passages.head(1).texts == ["one"]
    assert passages.head(9) is passages
    with pytest.raises(InputRefused, match="at least 1"):
        passages.head(0)


@given(lengths=st.lists(st.integers(2, 6), min_size=1, max_size=20), size=st.integers(1, 7))
def test_batches_are_rectangular_and_complete(lengths, size):
    rows = TokenRows(tuple(tuple(range(n)) for n in lengths), tuple(range(len(lengths))), 6, 0)
    seen = []
    for numbers, ids in rows.batches(size):
        assert ids.shape[0] == len(numbers) <= size
        for number, row in zip(numbers, ids.tolist(), strict=True):
            assert tuple(row) == rows.rows[number]
        seen += numbers
    assert sorted(seen) == list(range(len(lengths)))


@given(st.integers(0, 50), st.integers(0, 5))
def test_halves_are_disjoint_and_complete(count, seed):
    first, second = split_half(count, seed)
    assert sorted(first + second) == list(range(count))
    assert 0 <= len(first) - len(second) <= 1


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_another_column_can_be_named(tmp_path, suffix):
    import pandas as pd

    path = tmp_path / f"a.{suffix}"
    frame = pd.DataFrame({"body": ["one", "two", "two"], "text": ["x", "y", "z"]})
    writers = {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
    }
    writers[suffix]()
    found = read_passages(path, column="body")
    assert (found.texts, found.duplicates) == (["one", "two"], 1)
    with pytest.raises(InputRefused, match="'title', found the fields 'body', 'text'"):
        read_passages(path, column="title")


def test_a_directory_of_data_files_is_a_data_set(tmp_path, own_cache):
    folder = tmp_path / "fiction"
    folder.mkdir()
    for split, texts in (("train", ["one", "two"]), ("test", ["three"])):
        lines = [json.dumps({"body": text}) for text in texts]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    found = read_passages(folder, split="train", column="body")
    assert found.texts == ["one", "two"]
    assert found.origin == f"{folder}, split train"
    assert read_passages(folder, split="test", column="body").texts == ["three"]
    with pytest.raises(InputRefused, match="splits train, test, found no split named"):
        read_passages(folder, column="body")
    with pytest.raises(InputRefused, match="found split 'dev'"):
        read_passages(folder, split="dev", column="body")
    with pytest.raises(InputRefused, match="row 1: expected a string field 'text'"):
        read_passages(folder, split="train")


def test_a_saved_data_set_is_read_from_its_directory(tmp_path, own_cache):
    import datasets

    datasets.Dataset.from_dict({"text": ["one", "two"]}).save_to_disk(tmp_path / "saved")
    assert read_passages(tmp_path / "saved").texts == ["one", "two"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputRefused, match="expected a directory of data files") as caught:
        read_passages(empty)
    assert "\n" not in str(caught.value)


def test_only_a_name_that_looks_like_an_id_reaches_the_data_set_library(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(reading, "dataset_rows", lambda *given: asked.append(given) or iter(()))
    monkeypatch.chdir(tmp_path)
    for name in ("none", "./a/b", "a/b/c", "a/b.jsonl", "/a/b", "../b", "a/..b"):
        with pytest.raises(InputRefused, match="nothing there"):
            read_passages(name)
    assert asked == []
    with pytest.raises(InputRefused, match="at least one text"):
        read_passages("owner/name", split="train")
    assert asked == [("owner/name", "train")]


def test_without_the_library_the_command_to_install_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputRefused, match=r"pip install 'hyperinterp\[data\]'"):
        read_passages("owner/name")
