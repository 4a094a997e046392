"""What a study is asked to do: its cells, its file of options, and what is refused."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from hyperinterp.claims.roles import Twin
from hyperinterp.config import as_yaml, read_mapping
from hyperinterp.errors import InputRefused
from hyperinterp.studies import PRESETS, StudyConfig, planned, study_config
from hyperinterp.studies.cells import Cell, Share, companions
from hyperinterp.studies.shuffling import shuffled_words
from hyperinterp.studies.studying import read_texts
from hyperinterp.text import Passage, Passages

SMALL = StudyConfig(blocks=("last:2", "first:2", "first:1"), whole=("lora",), seeds=(0, 1))


def test_cells_are_methods_by_blocks_by_seeds_and_what_they_are_held_against() -> None:
    names = [cell.name for cell in planned(SMALL)]
    assert names == [
        f"lora-{place}-seed{seed}"
        for seed in (0, 1)
        for place in ("last2", "first2", "first1", "all", "last2-shuffled")
    ]
    assert len(planned(StudyConfig(methods=("lora", "full")))) == 3 * (2 * 4 + 2 + 1)
    only = StudyConfig(methods=(), whole=("full",), seeds=(5,))
    assert [cell.name for cell in planned(only)] == ["full-all-seed5", "full-all-shuffled-seed5"]


def test_companions_are_of_the_same_seed_method_and_size() -> None:
    cells = planned(replace(SMALL, methods=("lora", "full")))
    beside = {
        cell.name: {role: [it.name for it in found] for role, found in found_by.items()}
        for cell in cells
        if (found_by := companions(cell, cells))
    }
    assert beside["lora-last2-seed1"] == {Twin.ELSEWHERE: ["lora-first2-seed1"]}
    assert beside["full-last2-seed0"] == {Twin.ELSEWHERE: ["full-first2-seed0"]}
    assert beside["lora-all-seed0"] == {Twin.LAST: ["lora-last2-seed0", "full-last2-seed0"]}
    assert set(beside) == {
        f"{name}-seed{seed}" for name in ("lora-last2", "full-last2", "lora-all") for seed in (0, 1)
    }


def test_shares_divide_the_cells() -> None:
    shares = [Share.read(f"{number}/3") for number in (1, 2, 3)]
    assert [[share.takes(index) for share in shares].count(True) for index in range(10)] == [1] * 10
    for text in ("", "0/3", "4/3", "1", "1/x", "-1/2", "1/0"):
        with pytest.raises(InputRefused, match="write 1/8"):
            Share.read(text)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_study_file_reads_back_as_the_same_study(preset: str, tmp_path: Path) -> None:
    config = PRESETS[preset]
    path = tmp_path / "study.yaml"
    path.write_text(as_yaml({"model": "x", **config.as_json(), "found": {"a": "b"}}))
    assert study_config(path) == config
    assert study_config(path, given={"seeds": (7,), "claims": None}) == replace(config, seeds=(7,))
    assert read_mapping(path)["model"] == "x"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"methods": ["late"]}, "methods: expected one of lora, full"),
        ({"blocks": ["last"]}, "write last:5"), ({"seeds": [0, 0]}, "expected each once"),
        ({"seeds": []}, "at least one seed"), ({"seed": [0]}, "expected some of"),
        ({"seeds": 3}, "seeds"), ({"train": {"rank": 0}}, "rank"),
        ({"train": {"seed": 1}}, "train: expected some of"), ({"train": [1]}, "train"),
        ({"data": 3}, "data"),
        ({"chat": None}, "chat"),
        ({"sizes": {"prompt": 1}}, "sizes: expected some of"), ({"compare": "huge"}, "compare"),
        ({"passages": 0}, "passages"), ({"control": "no"}, "true or false"),
        ({"dtype": "int8"}, "dtype"), ({"whole": "lora"}, "whole"),
    ],
)  # fmt: skip
def test_bad_studies_are_refused(given: dict, words: str) -> None:
    with pytest.raises(InputRefused, match=words):
        StudyConfig.of(given)


def test_bad_files_and_presets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="expected one of quick, default, paper"):
        study_config(preset="huge")
    for text in ("a: [", "- 1", ""):
        (tmp_path / "study.yaml").write_text(text)
        with pytest.raises(InputRefused, match=r"study\.yaml"):
            study_config(tmp_path / "study.yaml")
    with pytest.raises(InputRefused, match="nowhere"):
        study_config(tmp_path / "nowhere.yaml")


def test_shuffled_passages_have_the_same_words_in_another_order() -> None:
    draw = random.Random(0)
    text = " ".join(f"w{draw.randrange(50)}" for _ in range(40))
    turns = (("user", "one two three four five"), ("assistant", text))
    passages = Passages((Passage("a", text), Passage("b", text, turns)), "here")
    found = shuffled_words(passages)
    assert found == shuffled_words(passages)
    assert [sorted(it.text.split()) for it in found] == [sorted(it.text.split()) for it in passages]
    assert found.items[0].text not in (text, found.items[1].text)
    assert sorted(found.items[1].turns[1][1].split()) == sorted(text.split())
    assert [role for role, _ in found.items[1].turns] == ["user", "assistant"]


def test_a_recipe_in_words() -> None:
    assert Cell("lora", "last:5", 0).words == "lora, the last 5 blocks"
    assert Cell("full", None, 0, shuffled=True).words == "full, all blocks, words shuffled"


def test_built_in_passages_of_the_control_are_neither_learnt_nor_compared_on() -> None:
    texts = read_texts(StudyConfig(passages=32))
    assert len(texts.heldout) == 16
    assert not {*texts.heldout.texts} & {*texts.learnt.texts, *texts.prompts.texts}
    everything = read_texts(StudyConfig(passages=None))
    assert everything.heldout == everything.prompts  # none is left
