"""Random damage and random values: only the one exception family, only the stated exit codes.

What was found once stays in tests/corpus and is tried first, every time.
"""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperinterp.checkpoints import manifest, sandbox, zipscreen
from hyperinterp.checkpoints.adapters import screen_adapter_config
from hyperinterp.checkpoints.attaching import for_peft
from hyperinterp.checkpoints.bundle import seal
from hyperinterp.checkpoints.screen import (
    Screened,
    parse_json,
    screen_generation_config,
    screen_model_config,
    screen_tokenizer_config,
)
from hyperinterp.cli.main import main
from hyperinterp.errors import InputRefused
from hyperinterp.text import Passages, read_passages
from tests.hyperinterp.checkpoints import hostile
from tests.hyperinterp.checkpoints.hostile_configs import ADAPTERS, CONFIGS

CORPUS = Path(__file__).parent / "corpus"
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
LONG = settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))


def corpus(kind: str) -> list[Path]:
    found = sorted((CORPUS / kind).iterdir())
    assert found, kind
    return found


def refused_or(kind: type, action: Callable[[], object]) -> object:
    """The result, which must be of a kind, or None after a refusal in one clear line."""
    refusal = None
    try:
        found = action()
    except InputRefused as error:
        found, refusal = None, error
    if refusal is not None:
        assert refusal.exit_code == 2
        assert 0 < len(str(refusal)) < 5000
    else:
        assert isinstance(found, kind)
    return found


def fuzzed(*arguments: object) -> Callable[[Callable], Callable]:
    """Two tests of one property: a quick one, and a long one that draws afresh every time."""

    def decorate(check: Callable) -> Callable:
        quick = QUICK(given(*arguments)(check))
        long = pytest.mark.full(LONG(given(*arguments)(_copied(check))))
        namespace = sys._getframe(1).f_globals
        namespace[f"{check.__name__}_at_length"] = long
        return quick

    return decorate


def _copied(check: Callable) -> Callable:
    import types

    return types.FunctionType(
        check.__code__, check.__globals__, f"{check.__name__}_at_length", check.__defaults__
    )


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(0, 10**400),
    st.floats(),
    st.text(max_size=9),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)


# -- passages ----------------------------------------------------------------------------------

SUFFIXES = (".jsonl", ".json", ".txt", ".csv", ".tsv", ".parquet")
FIELDS = st.fixed_dictionaries({}, optional={"text": VALUES, "id": VALUES, "split": VALUES})
LISTS = st.lists(FIELDS | VALUES, max_size=4)
WRITTEN = st.one_of(
    st.binary(max_size=200),
    st.lists(FIELDS | VALUES, max_size=4).map(
        lambda rows: "\n".join(map(json.dumps, rows)).encode()
    ),
    st.lists(FIELDS | VALUES, max_size=4).map(lambda rows: json.dumps(rows).encode()),
    st.lists(st.sampled_from([b"text", b",", b"\t", b'"', b"\n", b"\r", b"\0", b"id", b"x y"])).map(
        b"".join
    ),
)


def check_passages(path: Path) -> None:
    found = refused_or(Passages, lambda: read_passages(path))
    if isinstance(found, Passages):
        assert len(found) > 0
        assert len(found.sha256) == 64
        "".join(found.texts).encode()  # what a tokenizer does first
        "".join(item.id for item in found).encode()


@pytest.mark.parametrize("path", corpus("passages"), ids=lambda p: p.name)
def test_corpus_of_passages(path):
    check_passages(path)


@fuzzed(WRITTEN, st.sampled_from(SUFFIXES))
def test_passages(tmp_path_factory, content, suffix):
    path = tmp_path_factory.getbasetemp() / f"fuzzed{suffix}"
    path.write_bytes(content)
    check_passages(path)


# -- configurations ----------------------------------------------------------------------------


def check_adapter(text: str) -> None:
    found = refused_or(dict, lambda: screen_adapter_config(parse_json(text, "adapter_config.json")))
    if isinstance(found, dict):
        refused_or(dict, lambda: for_peft(found, {}, "x"))


REQUIRED = ("peft_type", "r", "target_modules")
ADAPTER = st.fixed_dictionaries(
    {"peft_type": st.just("LORA"), "r": st.integers(1, 9) | VALUES, "target_modules": VALUES},
    optional={n: VALUES for change in ADAPTERS.values() for n in change if n not in REQUIRED},
)


@pytest.mark.parametrize("path", corpus("adapters"), ids=lambda p: p.name)
def test_corpus_of_adapters(path):
    check_adapter(path.read_text(encoding="utf-8"))


@fuzzed(ADAPTER)
def test_adapters(config):
    check_adapter(json.dumps(config))


def check_config(text: str) -> None:
    for screen in (screen_model_config, screen_tokenizer_config, screen_generation_config):
        refused_or(Screened, lambda screen=screen: screen(parse_json(text, "config.json"), "x"))


CONFIG = st.fixed_dictionaries(
    {"model_type": st.just("llama") | VALUES},
    optional={
        name: VALUES for change in CONFIGS.values() for name in change if name != "model_type"
    },
)


@pytest.mark.parametrize("path", corpus("configs"), ids=lambda p: p.name)
def test_corpus_of_configs(path):
    check_config(path.read_text(encoding="utf-8"))


@fuzzed(CONFIG)
def test_configs(config):
    check_config(json.dumps(config))


@fuzzed(st.text(max_size=200) | st.text(alphabet='{}[]":,0eE+-.\\u', max_size=60))
def test_texts_that_may_be_json(text):
    check_config(text)


# -- manifests ---------------------------------------------------------------------------------


def check_manifest(folder: Path, content: bytes) -> None:
    (folder / manifest.MANIFEST_NAME).write_bytes(content)
    refused_or(manifest.Manifest, lambda: manifest.verify_directory(folder))


@pytest.mark.parametrize("path", corpus("manifests"), ids=lambda p: p.name)
def test_corpus_of_manifests(tmp_path, path):
    check_manifest(tmp_path, path.read_bytes())


NAMES = st.text(max_size=12) | st.sampled_from(["a", "../a", "/a", "a/../../b", ".", "x" * 400])
ENTRIES = st.builds(
    manifest.FileEntry, st.integers(-1, 9) | st.integers(0, 10**400), st.text(max_size=64)
)


@fuzzed(st.dictionaries(NAMES, ENTRIES, max_size=3))
def test_manifests_with_a_right_digest(tmp_path_factory, files):
    folder = tmp_path_factory.getbasetemp() / "fuzzed-manifest"
    folder.mkdir(exist_ok=True)
    check_manifest(folder, manifest._serialise(files, {}))


@fuzzed(
    st.fixed_dictionaries(
        {"format": st.just(manifest.FORMAT), "format_version": st.just(1), "files": VALUES},
        optional={"provenance": VALUES, "digest": VALUES},
    )
)
def test_manifests_of_any_shape(tmp_path_factory, document):
    folder = tmp_path_factory.getbasetemp() / "fuzzed-manifest"
    folder.mkdir(exist_ok=True)
    check_manifest(folder, json.dumps(document).encode())


# -- bundles -----------------------------------------------------------------------------------

CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "copy", "put"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=4,
)


def changed(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    body = bytearray(content)
    for how, share, extra in changes:
        place = int(share * len(body))
        if how == "flip":
            body[place] ^= extra[0] or 1
        elif how == "cut":
            del body[place : place + extra[0]]
        elif how == "copy":
            body[place:place] = body[place : place + extra[0]]
        else:
            body[place : place + len(extra)] = extra
        if len(body) < 2:
            body = bytearray(b"PK")
    return bytes(body)


@pytest.fixture(scope="module")
def plain() -> bytes:
    """A bundle of ours before it is sealed."""
    content = hostile.saved(hostile.payload({"x": __import__("torch").arange(6.0)}))
    return content[: -len(zipscreen.TRAILER) - 64 - 2] + b"\0\0"


def check_screen(folder: Path, content: bytes) -> bool:
    """Whether the screens let it through."""
    path = folder / "fuzzed.pt"
    path.write_bytes(content)
    return isinstance(refused_or(str, lambda: zipscreen.screen_bundle(path)), str)


@pytest.mark.parametrize("path", corpus("bundles"), ids=lambda p: p.name)
def test_corpus_of_bundles(tmp_path, path):
    assert not check_screen(tmp_path, path.read_bytes())


@fuzzed(CHANGES)
def test_bundles_that_were_sealed_again(tmp_path_factory, plain, changes):
    stream = io.BytesIO(changed(plain, changes))
    seal(stream)
    check_screen(tmp_path_factory.getbasetemp(), stream.getvalue())


@pytest.mark.full
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(CHANGES)
def test_what_passes_the_screens_is_still_read_in_one_piece(tmp_path_factory, plain, changes):
    stream = io.BytesIO(changed(plain, changes))
    seal(stream)
    folder = tmp_path_factory.mktemp("bundle")
    if check_screen(folder, stream.getvalue()):
        refused_or(type(None), lambda: sandbox.convert_untrusted(folder / "fuzzed.pt", folder))


# -- arguments ---------------------------------------------------------------------------------

WORDS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=[]), max_size=12
) | st.sampled_from(["", ".", "..", "/", "-", "--", "./nowhere", "x.pt", "a/b", "~", "nan", "-1"])
OPTIONS = {
    "inspect": ["--json"],
    "export": ["--force"],
    "compare": ["--prompts", "--claims", "--preset", "--seed", "--batch-size", "--dtype",
                "--device", "--out", "--figures", "--quick", "--control", "--late-stage"],
    "train": ["--method", "--data", "--blocks", "--rank", "--lr", "--epochs", "--max-steps",
              "--target-loss", "--seq-len", "--seed", "--save-at", "--passages", "--dtype"],
    "demo": ["--preset", "--passages"],
}  # fmt: skip
COMMANDS = st.sampled_from(sorted(OPTIONS)).flatmap(
    lambda name: st.tuples(
        st.just([name]),
        st.lists(
            st.tuples(st.sampled_from(OPTIONS[name]), WORDS), min_size=name == "demo", max_size=3
        ),
        st.lists(WORDS, max_size=3),
    )
)


def run_in_process(arguments: list[str], monkeypatch, capsys, folder: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["hyperinterp", *arguments])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code in (0, 2, 3, 130), (arguments, said.err)
    assert "Traceback" not in said.err
    assert "internal error" not in said.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("path", corpus("arguments"), ids=lambda p: p.name)
def test_corpus_of_arguments(path, monkeypatch, capsys, tmp_path):
    run_in_process(json.loads(path.read_text()), monkeypatch, capsys, tmp_path)


def check_arguments(monkeypatch, capsys, tmp_path, drawn):
    (command, options, words) = drawn
    flat = [*command, *(part for pair in options for part in pair), *words]
    if command == ["demo"]:
        flat += ["--preset", "no-such-preset"]  # a valid one would train for minutes
    if command in (["train"], ["compare"]):
        flat += ["./no-such-model"] * (len(words) == 0)
    run_in_process(flat, monkeypatch, capsys, tmp_path)


@settings(QUICK, max_examples=40)
@given(drawn=COMMANDS)
def test_arguments(monkeypatch, capsys, tmp_path, drawn):
    check_arguments(monkeypatch, capsys, tmp_path, drawn)


@pytest.mark.full
@settings(LONG, max_examples=1500)
@given(drawn=COMMANDS)
def test_arguments_at_length(monkeypatch, capsys, tmp_path, drawn):
    check_arguments(monkeypatch, capsys, tmp_path, drawn)
