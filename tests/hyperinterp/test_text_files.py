"""Files of texts as people have them: every layout gives the same texts, all else one line."""

import csv
import gzip
import io
import json

import pytest

from hyperinterp.errors import InputRefused, UnsafeFile
from hyperinterp.text import opening, read_passages

TEXTS = ["The tide went out.", "Naïve 日本, it came back.", 'He said "now", then "never".']
ROWS = [{"text": text, "n": number} for number, text in enumerate(TEXTS)]
LINES = "\n".join(map(json.dumps, ROWS))


def table(delimiter):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerows([("n", "text"), *enumerate(TEXTS)])
    return stream.getvalue()


def frame(orient):
    import pandas as pd

    return pd.DataFrame(ROWS).to_json(orient=orient)


LAYOUTS = {
    "lines.json": lambda: LINES,
    "lines.ndjson": lambda: LINES,
    "list.json": lambda: json.dumps(ROWS),
    "indented.json": lambda: json.dumps(ROWS, indent=2),
    "list.jsonl": lambda: json.dumps(ROWS),
    "strings.json": lambda: json.dumps(TEXTS),
    "columns.json": lambda: json.dumps({"text": TEXTS, "n": [0, 1, 2]}),
    "indented-columns.json": lambda: json.dumps({"n": [0, 1, 2], "text": TEXTS}, indent=1),
    "pandas.json": lambda: frame("columns"),
    "split.json": lambda: frame("split"),
    "schema.json": lambda: frame("table"),
    "inside.json": lambda: json.dumps({"version": "1.0", "data": ROWS}),
    "strings-inside.json": lambda: json.dumps({"prompts": TEXTS}),
    "a.csv": lambda: table(","),
    "semicolons.csv": lambda: table(";"),
    "a.tsv": lambda: table("\t"),
    "a.txt": lambda: "\n".join(TEXTS),
    "empty-lines.jsonl": lambda: "\n\n" + LINES.replace("\n", "\n\n\n"),
    "CAPITALS.JSONL": lambda: LINES,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_texts(tmp_path, name):
    path, text = tmp_path / name, LAYOUTS[name]()
    path.write_text(text, encoding="utf-8")
    assert read_passages(path).texts == TEXTS
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        path.write_bytes(text.encode(encoding))
        assert read_passages(path).texts == TEXTS, encoding
    path.write_bytes(text.replace("\r\n", "\n").replace("\n", "\r\n").encode())
    assert read_passages(path).texts == TEXTS
    packed = tmp_path / (name + ".gz")
    packed.write_bytes(gzip.compress(text.encode()))
    assert read_passages(packed).texts == TEXTS
    path.write_bytes(gzip.compress(text.encode()))  # packed, and not named so
    assert read_passages(path).texts == TEXTS


def test_zstd_is_read_where_the_library_is(tmp_path, monkeypatch):
    import sys

    import pyarrow as pa

    path = tmp_path / "a.jsonl.zst"
    with pa.output_stream(str(path), compression="zstd") as stream:
        stream.write(LINES.encode())
    assert read_passages(path).texts == TEXTS
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputRefused, match=r"zstd, found none; pip install .*unzstd"):
        read_passages(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "FREE_BYTES", 2**16)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(LINES.encode() + b"\n" * 2**22))
    with pytest.raises(UnsafeFile, match=r"200 times its size .*unpack it yourself"):
        read_passages(path)


def test_one_endless_line_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MAX_LINE", 1000)
    path = tmp_path / "a.txt"
    path.write_text("one\n" + "x" * 1001)
    with pytest.raises(InputRefused, match="line 2: expected at most 1000 characters"):
        read_passages(path)


PAGE = b"\n<!DOCTYPE html>\n<html><head><title>data</title></head></html>"
REFUSED = {
    "page.jsonl": (PAGE, "found an HTML page; download the file itself"),
    "page.json": (PAGE, "found an HTML page"),
    "page.txt": (PAGE, "found an HTML page"),
    "lfs.jsonl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull"),
    "table.jsonl": (b"PAR1\x00\x01", r"a parquet file; give its name the ending \.parquet"),
    "archive.jsonl": (b"PK\x03\x04\x00", "a zip archive; unpack it"),
    "picture.txt": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01", "found binary data"),
    "little.txt": ("some words".encode("utf-16-le"), "iconv -f UTF-16LE -t UTF-8"),
    "latin.txt": ("one\ntwo\nça".encode("latin-1"), "found other bytes after line .*iconv"),
    "half.jsonl.gz": (gzip.compress(LINES.encode())[:-20], "expected a whole packed file"),
    "words.jsonl": (b"The tide went out.\n", r"line 1: expected JSON, .* are a \.txt file"),
    "broken.jsonl": (b'{"text": "a"}\n{"text": "b"\n', "line 2: expected JSON"),
    "broken.json": (b'[\n{"text": "a"},\n', "file: expected JSON"),
    "several.json": (b'{"train": [{"text": "a"}], "test": [{"text": "b"}]}', "name a list with"),
    "a.arrow": (b"ARROW1", r"expected one of the endings .*found \.arrow"),
    "none": (b"text", "expected one of the endings .*found no such ending"),
    "a.gz": (gzip.compress(b"text"), "expected one of the endings"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_text_is_named_with_the_way_out(tmp_path, name):
    content, words = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputRefused, match=words) as caught:
        read_passages(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert len(str(caught.value).splitlines()) == 1


def test_a_list_of_an_object_is_chosen_by_the_split(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"train": [{"text": "a"}], "test": ["b", "c"]}')
    assert read_passages(path, split="test").texts == ["b", "c"]
    with pytest.raises(InputRefused, match="train"):
        read_passages(path, split="dev")


def test_a_split_that_no_row_has_is_refused_with_those_there_are(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "split": "x"}\n{"text": "b", "split": "y"}')
    with pytest.raises(InputRefused, match="'split' is 'z', found split x, y; leave"):
        read_passages(path, split="z")
    path.write_text(LINES)
    with pytest.raises(InputRefused, match="found no field split"):
        read_passages(path, split="z")


def test_fields_are_named_with_dots_where_they_are_nested(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"data": {"body": text, "n.m": text + "!"}, "parts": [text]} for text in TEXTS]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert read_passages(path, column="data.body").texts == TEXTS
    assert read_passages(path, column="parts.0").texts == TEXTS
    with pytest.raises(InputRefused, match=r"'data\.title', found the fields 'data', 'parts'"):
        read_passages(path, column="data.title")
    path.write_text('{"a.b": "x"}\n{"a.b": "y"}')
    assert read_passages(path, column="a.b").texts == ["x", "y"]


def test_the_error_names_the_fields_found_and_the_option(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "id": "7"}\n{"prompt": "b"}')
    message = r"row 1: .*'text', found the fields 'prompt', 'id'; .*--column prompt \(column="
    with pytest.raises(InputRefused, match=message):
        read_passages(path)
    found = read_passages(path, column="prompt")
    assert [(item.id, item.text) for item in found] == [("7", "a"), ("2", "b")]


def test_a_mistyped_path_is_no_matter_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "heldout.jsonl").write_text(LINES)
    for name in ("heldut.jsonl", "heldout.json", "heldout", str(tmp_path / "heldout.jsnl")):
        with pytest.raises(InputRefused, match=r"found nothing there; did you mean .*heldout\.j"):
            read_passages(name)
    with pytest.raises(InputRefused, match="there is no directory texts"):
        read_passages("texts/heldout.jsonl")
    with pytest.raises(InputRefused, match="holds nothing like it"):
        read_passages("zebra.txt")


def test_an_id_is_looked_for_only_after_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "heldout.jsonl").write_text(LINES)
    import datasets

    def offline(*given):
        raise ConnectionError("Hub is off")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    message = r"expected a file, found none \(did you mean texts/heldout.jsonl\?\); as a data set"
    with pytest.raises(InputRefused, match=message):
        read_passages("texts/heldout")


def test_a_configuration_is_named_behind_the_id(tmp_path, monkeypatch):
    import datasets

    monkeypatch.chdir(tmp_path)
    asked = []

    def load(*given):
        asked.append(given)
        if given[1] is None:
            raise ValueError("Config name is missing.\nPlease pick one: ['en', 'de']")
        return datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)})

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert read_passages("owner/name:en").texts == TEXTS
    assert asked == [("owner/name", "en")]
    with pytest.raises(InputRefused, match=r"\['en', 'de'\]\); write owner/name:CONFIG"):
        read_passages("owner/name")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text(LINES)

    def closed(self, *given, **more):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "open", closed)
    with pytest.raises(InputRefused, match="found Permission denied; change its permissions"):
        read_passages(path)


def test_a_pipe_is_refused(tmp_path):
    import os

    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(InputRefused, match="a pipe or a device"):
        read_passages(tmp_path / "a.jsonl")
