import json

import pytest

from hyperinterp.errors import InputRefused
from hyperinterp.frequencies import Frequencies, read_frequencies


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "token_id,count\n2,7\n0,1\n"),
        ("a.tsv", "count\ttoken_id\textra\n7\t2\tx\n1\t0\ty\n"),
        ("a.json", json.dumps({"2": 7, "0": 1})),
        ("a.json", json.dumps([1, 0, 7])),
    ],
)
def test_every_form_gives_the_same_counts(tmp_path, name, text):
    path = tmp_path / name
    path.write_text("\ufeff" + text, encoding="utf-8")
    found = read_frequencies(path)
    assert found.of_size(5) == [1, 0, 7, 0, 0]
    assert found.origin == str(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "expected one of .json, .csv, .tsv"),
        ("a.csv", b"token,count\n1,2\n", "expected the columns token_id and count"),
        ("a.csv", b"", "found none"),
        ("a.csv", b"token_id,count\n1,2\n1,3\n", "found 1 twice"),
        ("a.csv", b"token_id,count\n1\n", "expected a whole number of at least 0"),
        ("a.csv", b"token_id,count\n1,-2\n", "expected a whole number of at least 0"),
        ("a.csv", b"token_id,count\n1,\xff\n", "expected UTF-8"),
        ("a.csv", b"token_id,count\n1,0\n", "expected a count above 0"),
        ("a.json", b"[1, 2.5]", "expected a whole number of at least 0"),
        ("a.json", b"[true]", "expected a whole number of at least 0"),
        ("a.json", b"[NaN]", "expected a whole number of at least 0"),
        ("a.json", b"7", "expected a JSON list or object"),
        ("a.json", b"[" * 100_000, "expected JSON"),
        ("a.json", b'{"1": 99999999999999999999}', "expected a whole number of at least 0"),
    ],
)
def test_anything_else_is_refused(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputRefused, match=words.replace(".", r"\.")):
        read_frequencies(path)


def test_a_table_for_a_larger_vocabulary_is_refused():
    with pytest.raises(InputRefused, match="expected token ids below 3, found 3"):
        Frequencies({3: 1}).of_size(3)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="found no file"):
        read_frequencies(tmp_path / "none.csv")
