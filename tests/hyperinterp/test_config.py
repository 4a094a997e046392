"""Options stated once: in Python, in a YAML file and on the command line they are the same."""

import inspect
import json
import random
import string
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

import hyperinterp as hi
from hyperinterp.claims import registry
from hyperinterp.cli.app import app
from hyperinterp.config import CompareConfig, TraceConfig, specs_of, written
from hyperinterp.errors import InputRefused
from hyperinterp.roles import compare_config, compare_specs
from hyperinterp.sizes import PRESETS, Sizes
from hyperinterp.tracing import trace_config

from . import people

SPECS = compare_specs(registry.roles())
CONFIGS = {"compare": (hi.compare, CompareConfig), "trace": (hi.trace, TraceConfig)}


@pytest.fixture
def file(tmp_path):
    """A function (text or bytes) -> the path of a file of options."""

    def make(content):
        path = tmp_path / "run.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def config_of(path=None, **options):
    return compare_config(registry.roles(), path, options)


@pytest.mark.parametrize("command", CONFIGS)
def test_every_option_is_one_of_python_and_of_the_command_line(command):
    function, kind = CONFIGS[command]
    shown = inspect.signature(function).parameters
    options = {item.name: item for item in get_command(app).commands[command].params}
    for spec in specs_of(kind):
        assert shown[spec.name].default == spec.default
        assert f"        {spec.name}: {spec.option.help}" in function.__doc__
        assert f"        {spec.name}: {spec.option.help}" in kind.__doc__
        if not spec.option.filed:
            assert options[spec.name].opts == [spec.flag]
            assert options[spec.name].default == spec.default


def test_a_file_holds_options_alone_or_in_their_groups(file):
    flat = "seed: 3\nbatch-size: 4\nchat: on\nclaims: C1,C5\ncontrol: ckpt\nlate_stage: [a, b]\n"
    grouped = (
        "measuring: {seed: 3, batch_size: 4, claims: 'C1,C5'}\ntexts:\n  chat: on\n"
        "roles: {control: ckpt, late-stage: [a, b]}\n"
    )
    wanted = CompareConfig(
        seed=3, batch_size=4, chat="on", claims="C1,C5",
        roles={"control": "ckpt", "late_stage": ["a", "b"]},
    )  # fmt: skip
    assert config_of(file(flat)) == config_of(file(grouped)) == wanted
    assert config_of(wanted) == wanted


def test_an_option_by_its_own_name_goes_before_the_file(file):
    path = file("seed: 3\nbatch_size: 4\ncontrol: a\n")
    found = config_of(path, seed=5, control="b")
    assert (found.seed, found.batch_size, found.roles) == (5, 4, {"control": "b"})
    found = config_of(CompareConfig(seed=3, batch_size=4), seed=5)
    assert (found.seed, found.batch_size) == (5, 4)


def test_sizes_of_a_file_are_those_that_differ_from_the_preset(file):
    path = file("preset: quick\nsizes: {prompts: 3, sweep: [0.5]}\n")
    found = config_of(path).sizes
    assert found == replace(PRESETS["quick"], prompts=3, sweep=(0.5,))
    assert trace_config(path, {}).sizes.prompts == 3


BAD = {
    "": "expected a mapping of options, found nothing in it",
    "# nothing\n": "found nothing in it",
    "{}": "found an empty one",
    "- seed: 1\n": "found a list",
    "seed 1": "found 'seed 1'",
    b"\x00\x01\x02": "characters that no text holds",
    b"\xff\xfes\x00": "bytes that are not UTF-8",
    b"\x89PNG\r\n\x1a\n": "bytes that are not UTF-8",
    "sed: 1": "sed: expected an option, found none of that name; write seed",
    "measuring: {batchsize: 1}": "measuring.batchsize: expected an option, .*; write batch_size",
    "zzzzzz: 1": "zzzzzz: expected an option, found none of that name; leave it out",
    "1: 2": "1: expected an option",
    "? [seed]\n: 1": "unhashable key in line 1",
    "texts: {seed: 1}": "texts.seed: expected seed in measuring; move it there",
    "measuring: 3": "measuring: expected a mapping of options, found 3",
    "measuring: [seed]": "measuring: expected a mapping of options, found a list",
    "seed: 1\nseed: 2": "the key 'seed' twice in line 2",
    "seed: 1\nmeasuring: {seed: 2}": "expected each option once, found seed twice",
    "batch_size: 1\nbatch-size: 2": "expected each option once, found batch_size twice",
    "seed: &a 1\nbatch_size: *a": "a reference to an anchor in line 2",
    "seed: 1\n---\nseed: 2": "another document in line 2",
    "seed: [": "cannot be read as YAML",
    "[" * 500: "too many levels",
    "seed: !!python/object/apply:os.system [x]": "could not determine a constructor",
    "seed: " + "9" * 5000: "cannot be read as YAML",
    "seed: -1": "seed: expected a whole number from 0 to 4294967295, found -1",
    "seed: 1.5": "seed: expected a whole number from 0 to 4294967295, found 1.5",
    "seed: true": "seed: expected a whole number from 0 to 4294967295, found True",
    "seed:": "seed: expected a whole number, found nothing; give a value, or leave it out",
    "batch_size: 0": "batch_size: expected a whole number of at least 1, found 0",
    "revision: 12345": "revision: expected text, found 12345; put it in quotes if it is text",
    "revision: [a]": "revision: expected text, found a list; give text",
    "chat: maybe": "chat: expected one of auto, on, off, found 'maybe'",
    "preset: {a: 1}": "preset: expected text, found a mapping",
    "claims: 5": "claims: expected words, found 5; put it in quotes",
    "claims: [C1, 5]": "claims: expected words, found a list",
    "control: 5": "control: expected text, found 5; put it in quotes",
    "sizes: {promts: 1}": "sizes: expected the name of a size, found 'promts'; write prompts",
    "sizes: {prompts: 0}": "prompts: expected a whole number of at least 1, found 0",
    "sizes: 5": "sizes: expected a table, found 5",
}


@pytest.mark.parametrize("content", BAD)
def test_a_bad_file_is_refused_in_one_line(file, content):
    with pytest.raises(InputRefused, match=BAD[content]) as refusal:
        config_of(file(content))
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_none_is_refused(tmp_path, file):
    for path in (tmp_path / "nowhere.yaml", tmp_path):
        with pytest.raises(InputRefused, match="expected a YAML file of options"):
            config_of(path)
    with pytest.raises(InputRefused, match="expected at most 1000000 bytes"):
        config_of(file("#" * 1_000_001))


@pytest.mark.parametrize("seed", range(40))
def test_what_is_written_is_read_back(file, seed):
    """Texts that YAML takes for something else too: numbers, words of YAML 1.1, odd characters."""
    draw = random.Random(seed)
    odd = [
        "on", "no", "~", "", "1e5", "0x1f", "010", "1:30", "2024-01-01", ".5", "<<", "=", "a: b",
        "#x", "'", '"', " x ", "-", "é\u2028", "\udcff", "null", "True", "1_000", "{a}",
    ]  # fmt: skip
    word = draw.choice([*odd, "".join(draw.choices(string.printable, k=9))])
    given = {
        "revision": word, "prompts": Path(word or "x"), "seed": draw.randrange(2**32),
        "claims": draw.choice([None, word, ("C1", word)]), "column": draw.choice([None, word]),
        "control": word, "late_stage": [word, "b"],
        "device_map": draw.choice([None, "auto", {"": 0, word: word}]),
        "sizes": draw.choice([None, Sizes(prompts=None, sweep=(1e-5,))]),
    }  # fmt: skip
    found = config_of(file(written(given, SPECS, "again\nand again")))
    wanted = {**given, "prompts": str(given["prompts"])}
    if isinstance(given["claims"], tuple):
        wanted["claims"] = list(given["claims"])
    for name, value in wanted.items():
        assert (found.roles if name in found.roles else vars(found)).get(name) == value


def test_an_object_that_no_file_holds_is_refused(words_of_two):
    with pytest.raises(InputRefused, match=r"prompts: .* found Passages; give it by its name"):
        written({"prompts": words_of_two}, SPECS, "x")


@pytest.fixture
def words_of_two():
    return hi.as_passages(["one two three four", "five six seven eight"])


def test_a_config_that_is_none_is_refused():
    for wrong in (3, TraceConfig(), Sizes()):
        with pytest.raises(InputRefused, match="config: expected a CompareConfig or the path"):
            config_of(wrong)
    with pytest.raises(InputRefused, match="roles: expected a mapping of roles"):
        config_of(roles=3)
    with pytest.raises(InputRefused, match=r"cuont: expected .* of TraceConfig.*write count"):
        trace_config(None, {"cuont": 3})
    with pytest.raises(InputRefused, match="found 'sede'; write seed"):
        hi.compare("a", "b", sede=1)
    with pytest.raises(InputRefused, match="max_tokens: expected a corpus beside it, found none"):
        hi.compare("a", "b", max_tokens=5)


def test_a_value_of_another_type_is_refused_by_its_option():
    for name, value in (("seed", "x"), ("batch_size", 1.5), ("chat", 3), ("dtype", None)):
        with pytest.raises(InputRefused, match=f"^{name}: expected "):
            config_of(**{name: value})


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two checkpoints and a file of passages."""
    folder = tmp_path_factory.mktemp("pair")
    lines = [f"{n} is a number that {n * n} is the square of" for n in range(9)]
    (folder / "p.jsonl").write_text("".join(json.dumps({"body": line}) + "\n" for line in lines))
    return str(people.base(folder)), str(people.fitted(folder)), folder / "p.jsonl"


def test_the_file_beside_the_report_makes_the_same_report(pair, tmp_path):
    base, fitted, texts = pair
    asked = tmp_path / "run.yaml"
    asked.write_text(
        f"texts: {{prompts: {texts}, column: train-data=text}}\npreset: quick\nseed: 7\n"
        "sizes: {prompts: 4, new_tokens: 8, window: 8}\nclaims: [C4]\n"
        f"roles: {{train_data: {texts}}}\n"
    )

    def run(out, *more):
        found = CliRunner().invoke(app, ["compare", base, fitted, "--out", str(out), *more])
        assert found.exit_code == 0, found.output
        return hi.Report.read(out)

    more = ("--claims", "C1", "--column", "prompts=body,train-data=body")
    first = run(tmp_path / "a", "--config", str(asked), *more)
    assert first.provenance.seed == 7
    assert first.provenance.prompts.used == 4
    assert first.claims["C1"].conditions
    kept = tmp_path / "a" / "config.yaml"
    assert yaml.safe_load(kept.read_text())["measuring"]["claims"] == "C1"
    again = run(tmp_path / "b", "--config", str(kept))
    assert again.claims == first.claims
    assert again.results == first.results
    assert again.provenance.sizes == first.provenance.sizes
    body = [path.read_text().split("\n", 1)[1] for path in (kept, tmp_path / "b" / "config.yaml")]
    assert body[0] == body[1]
    python = hi.compare(base, fitted, config=kept)
    assert python.claims == first.claims
    run(tmp_path / "a", "--config", str(kept), "--force")


def test_a_refused_file_leaves_nothing(pair, tmp_path):
    base, fitted, _ = pair
    (tmp_path / "x.yaml").write_text("sed: 1")
    more = ["--config", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(app, ["compare", base, fitted, *more])
    assert isinstance(found.exception, InputRefused)
    assert not (tmp_path / "out").exists()


def test_every_field_of_a_config_is_an_option_or_roles():
    for kind in (CompareConfig, TraceConfig):
        stated = {spec.name for spec in specs_of(kind)}
        assert {item.name for item in fields(kind)} - stated <= {"roles"}
