"""Tasks of lm-evaluation-harness in C11: a stand-in for one here, the harness itself in `full`."""

import json
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hyperinterp import harness
from hyperinterp.analyses.answering import Answers, answers, encoded_pairs, over_tasks
from hyperinterp.analyses.reference import Reference
from hyperinterp.claims import retention
from hyperinterp.claims.keeping import _digest
from hyperinterp.claims.running import evaluated
from hyperinterp.claims.spec import Verdict
from hyperinterp.errors import InputRefused
from hyperinterp.harness import Tasks, read_tasks

from ..conftest import SIZES

ITEMS = [
    ("w1 w2 w3", (" w4", " w5 w6", " w7"), 1),
    ("w9 w8 w7 w6", (" w5", " w1", " w2 w3"), 0),
    ("w20 w21 ", ("w22", "w23", "w24"), 2),
    ("w30", (" w31", " w32", " w33"), 0),
]


@dataclass
class Request:
    doc: dict
    doc_id: int
    idx: int
    args: tuple


class StandIn:
    """What C11 asks of a task, in a few lines."""

    OUTPUT_TYPE = "multiple_choice"
    VERSION = 2.0

    @property
    def instances(self):
        return self._instances  # as in the harness: not there before they are built

    def aggregation(self):
        return {"acc": np.mean}

    def set_fewshot_seed(self, seed):
        assert seed == 1234

    def build_all_requests(self, *, rank, world_size):
        assert (rank, world_size) == (0, 1)
        self._instances = [
            Request({"gold": gold}, number, place, (context, candidate))
            for number, (context, candidates, gold) in enumerate(ITEMS)
            for place, candidate in enumerate(candidates)
        ]

    def process_results(self, doc, results):
        scores = [score for score, _ in results]
        return {"acc": int(np.argmax(scores) == doc["gold"])}


def installed(monkeypatch, *names, task=StandIn):
    """A harness that knows tasks of these names."""

    class Manager:
        all_tasks = tuple(names)

        def load(self, specs):
            return {
                "tasks": {spec if isinstance(spec, str) else spec["task"]: task() for spec in specs}
            }

    modules = {"lm_eval.tasks": SimpleNamespace(TaskManager=Manager)}
    monkeypatch.setattr(harness.importlib, "import_module", modules.__getitem__)


def plain(model, context, candidate):
    """Log-likelihood by the Hugging Face model alone."""
    prompt, whole = ([int(w[1:]) for w in text.split()] for text in (context, context + candidate))
    with torch.no_grad():
        nats = torch.log_softmax(model.hf(torch.tensor([whole])).logits[0].double(), -1)
    return sum(float(nats[place - 1, whole[place]]) for place in range(len(prompt), len(whole)))


def test_scores_of_items_are_plain_log_likelihoods(make_tiny):
    model = make_tiny(0)
    found = answers(StandIn(), Reference(model, model.tokenizer))
    for (context, candidates, gold), scores, right in zip(
        ITEMS, found.scores, found.right, strict=True
    ):
        expected = [plain(model, context, candidate) for candidate in candidates]
        assert scores == pytest.approx(expected, abs=1e-4)
        assert right == (np.argmax(expected) == gold)


def test_spaces_before_the_candidate_belong_to_it(make_tiny):
    tokenizer = make_tiny(0).tokenizer
    pairs = encoded_pairs(tokenizer, [("w1 w2  ", "w3"), ("", "w4 w5"), ("w6", " w7")])
    assert pairs == [((1, 2), (3,)), ((), (4, 5)), ((6,), (7,))]
    tokenizer = make_tiny(0).tokenizer
    tokenizer.bos_token = "w9"
    assert encoded_pairs(tokenizer, [("", "w4 w5")])[0] == ((9,), (4, 5))


def test_the_mean_over_tasks_has_the_interval_of_its_parts():
    draw = np.random.default_rng(0)
    tasks = [draw.integers(0, 2, size) for size in (40, 60)]
    others = [draw.integers(0, 2, size) for size in (40, 60)]
    sides = [[Answers(tuple(map(float, t)), ()) for t in side] for side in (tasks, others)]
    found = over_tasks(*sides)
    gaps = [b - a for a, b in zip(tasks, others, strict=True)]
    assert found.delta.value == pytest.approx(np.mean([gap.mean() for gap in gaps]))
    spread = np.sqrt(sum(gap.var(ddof=1) / len(gap) for gap in gaps)) / 2
    half = (found.delta.hi - found.delta.lo) / 2
    assert half == pytest.approx(1.984 * spread, rel=0.03)
    assert (found.delta.n, found.delta.unit) == (100, "item")
    alone = over_tasks([Answers((1.0,), ())], [Answers((1.0,), ())])
    assert "fewer than two" in alone.delta.reason


def test_a_pair_against_itself_answers_alike(tiny_pair, make_study, words):
    model = tiny_pair[0]
    study = make_study((model, model), prompts=4, passages=words(4))
    study.roles |= {"tasks": Tasks({"a": StandIn(), "b": StandIn()}), "other-text": words(4, 1)}
    result, claim = evaluated(retention.CLAIM, study)
    assert [item.task for item in result.tasks] == ["a", "b"]
    assert all(item.accuracy.delta.value == 0 for item in result.tasks)
    assert (result.on_tasks["fitted"].delta.lo, result.on_tasks["fitted"].delta.hi) == (0, 0)
    assert claim.conditions[1].outcome is Verdict.SUPPORTED
    lines = next(t for t in result.tables() if t.name == "tasks").records()
    assert [(line["task"], line["version"], line["delta"]) for line in lines] == [
        ("a", "2.0", 0.0), ("b", "2.0", 0.0),
    ]  # fmt: skip
    del study.roles["tasks"]
    _, claim = evaluated(retention.CLAIM, study)
    assert len(claim.conditions) == 1


def test_names_of_tasks_are_read_before_anything_else(monkeypatch):
    installed(monkeypatch, "arc_easy", "piqa")
    assert list(read_tasks("arc_easy, piqa").loaded) == ["arc_easy", "piqa"]
    assert list(read_tasks(["piqa", {"task": "mine"}]).loaded) == ["piqa", "mine"]
    with pytest.raises(InputRefused, match=r"found 'arc_esy'; did you mean arc_easy\?"):
        read_tasks("arc_esy")
    with pytest.raises(InputRefused, match="lists them"):
        read_tasks("../evil.yaml")
    with pytest.raises(InputRefused, match="expected names of tasks"):
        read_tasks(" , ")


def test_a_kept_result_belongs_to_its_tasks():
    one, other, later = Tasks({"a": StandIn()}), Tasks({"b": StandIn()}), Tasks({"a": StandIn()})
    later.loaded["a"].VERSION = 3.0
    digests = {_digest(tasks) for tasks in (one, other, later)}
    assert len(digests) == 3
    assert _digest(Tasks({"a": StandIn()})) == _digest(one)


def test_tasks_that_cannot_be_used_are_refused(monkeypatch):
    class Writes(StandIn):
        OUTPUT_TYPE = "generate_until"

    class NoAccuracy(StandIn):
        def aggregation(self):
            return {"brier_score": np.mean}

    class Broken(StandIn):
        def __init__(self):
            raise OSError("no\nnetwork")

    for task, told in (
        (Writes, "a, which is of type generate_until"),
        (NoAccuracy, "with an accuracy, found a"),
        (Broken, "OSError: no network; fetch the data set"),
    ):
        installed(monkeypatch, "a", task=task)
        with pytest.raises(InputRefused, match=told):
            read_tasks("a")


def test_without_the_package_there_is_one_clear_error(monkeypatch, tiny_pair, words):
    import hyperinterp as hi

    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(InputRefused, match=r"found none; install it with .*hyperinterp\[eval\]"):
        hi.compare(*tiny_pair, prompts=words(4), sizes=SIZES, claims="C11", tasks="arc_easy")


@pytest.mark.full
def test_the_harness_itself_finds_the_same_log_likelihoods(tmp_path, make_tiny):
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    data = tmp_path / "items.jsonl"
    data.write_text(
        "".join(
            json.dumps({"q": context, "choices": list(candidates), "gold": gold}) + "\n"
            for context, candidates, gold in ITEMS
        )
    )
    config = {
        "task": "local",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(tmp_path / "c")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{q}}",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc"}],
    }
    model = make_tiny(0)
    found = answers(read_tasks([config]).loaded["local"], Reference(model, model.tokenizer))
    theirs = simple_evaluate(
        model=HFLM(pretrained=model.hf, tokenizer=model.tokenizer, prefix_token_id=0),
        tasks=[config],
        bootstrap_iters=0,
    )
    samples = sorted(theirs["samples"]["local"], key=lambda item: item["doc_id"])
    expected = [[resps[0][0] for resps in item["resps"]] for item in samples]
    assert np.array(found.scores) == pytest.approx(np.array(expected), abs=1e-4)
    assert list(found.right) == [item["acc"] for item in samples]
