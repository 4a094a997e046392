"""Finer causes: on pairs whose cause is known, and against plain forwards."""

from dataclasses import replace

import pytest
import torch

import hyperinterp as hi
from hyperinterp.looks.causes.components import attributed
from hyperinterp.looks.causes.heads import head_patches
from hyperinterp.looks.causes.measurement import recovered, smallest
from hyperinterp.looks.causes.reading import batches
from hyperinterp.looks.causes.search import exhaustive, greedy
from hyperinterp.looks.causes.shifts import static_shifts
from hyperinterp.looks.registry import LOOKS
from hyperinterp.report.markdown import render

from ..claims.conftest import SIZES, WIDTH, word_tokenizer
from ..claims.planted import disturb
from ..claims.tiny import changed, tiny

FEW = {"prompts": 6, "patch_prompts": 2, "contexts_per_prompt": 6, "dimension_blocks": None}
HEAD = WIDTH // 4


def twin(family, change):
    base = tiny(family, word_tokenizer())
    return base, changed(base, change)


def everything(hf):
    disturb(hf.base_model, 0.4)


def every_block(hf):
    for block in hf.model.layers:
        disturb(block, 0.4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "opt"])
def test_components_add_up_to_the_change_of_the_logit_difference(make_study, family):
    study = make_study(twin(family, everything), **FEW)
    every = list(batches(study))
    found, whole = attributed(study, every)
    total, count = 0.0, 0
    for batch in every:
        over = batch.over
        for role, sign in (("fitted", 1), ("base", -1)):
            logits = study.model(role).logits(batch.ids)[:, batch.where].flatten(0, 1)[over]
            picked = (batch.predicted[which].choice[over] for which in ("fitted", "base"))
            first, second = (logits.gather(1, choice[:, None]).sum() for choice in picked)
            total += sign * float(first - second)
        count += int(over.sum())
    assert count > 4
    assert whole == pytest.approx(total / count, rel=1e-3)
    assert sum(item.change.value for item in found) == pytest.approx(whole, rel=1e-9)
    assert sum(item.share for item in found) == pytest.approx(1.0)
    assert len(found) == 2 * 3 + 2


def test_a_fixed_vector_in_the_last_block_is_a_static_shift(make_study):
    draw = torch.Generator().manual_seed(0)

    def change(hf):
        bias = hf.transformer.h[-1].mlp.c_proj.bias
        bias += 12 * torch.randn(bias.shape, generator=draw)

    study = make_study(twin("gpt2", change), **(FEW | {"contexts_per_prompt": 12}))
    found = static_shifts(study, list(batches(study)))
    assert [item.layer for item in found] == [0, 1, 2]
    assert found[2].recovered_kl.value == pytest.approx(1.0, abs=1e-4)
    assert found[2].made.value == 1.0
    assert found[2].norm > 0
    assert [item.norm for item in found[:2]] == [0.0, 0.0]
    assert found[0].recovered_kl.value == pytest.approx(0.0, abs=1e-6)


def test_the_head_that_changed_recovers_all(make_study):
    def change(hf):
        values = slice(2 * WIDTH + HEAD, 2 * WIDTH + 2 * HEAD)  # of head 1
        hf.transformer.h[2].attn.c_attn.weight[:, values] *= -3

    study = make_study(twin("gpt2", change), **FEW)
    found = {item.component: item for item in head_patches(study, list(batches(study)))}
    assert len(found) == 3 * (4 + 1)
    assert found["head 2.1"].patched == pytest.approx(1.0, abs=1e-4)
    assert found["head 2.1"].attributed != 0
    assert found["head 2.0"].attributed == pytest.approx(0.0, abs=1e-6)
    assert found["MLP 1"].attributed == pytest.approx(0.0, abs=1e-6)


def test_a_small_change_is_estimated_as_it_is_patched(make_study):
    """Where the change is small, but decides, the first order is the whole."""
    study = make_study(twin("llama", lambda hf: disturb(hf.model.layers[-1].mlp, 0.002)), **FEW)
    every = list(batches(study))
    for batch in every:  # choices are asked for, whether they differ or not
        batch.predicted["fitted"].choice.copy_(batch.predicted["base"].choice.roll(1))
    found = {item.component: item for item in head_patches(study, every)}
    assert found["MLP 2"].patched == pytest.approx(1.0, abs=1e-3)
    assert found["MLP 2"].attributed == pytest.approx(1.0, abs=0.1)


def test_the_smallest_set_on_a_tiny_model_is_that_of_trying_all(make_study):
    study = make_study(twin("llama", every_block), **FEW)
    every = list(batches(study))
    found = smallest(study, every)

    def share(chosen):
        return recovered(study, every, chosen)

    best = exhaustive(share, range(3), 0.5)
    assert best is not None
    assert len(best) <= len(found.items)
    assert found.shares[-1] >= 0.5
    assert found.shares[-1] == pytest.approx(share(tuple(sorted(found.items))))
    assert share((0, 1, 2)) == pytest.approx(1.0)


def test_the_changed_block_alone_suffices(make_study, planted):
    study = make_study(planted("last block"), **FEW)
    found = smallest(study, list(batches(study)))
    assert (found.items, found.tried) == ((2,), 1)
    assert found.shares[0] == pytest.approx(1.0)


def test_greedy_search_may_miss_what_trying_all_finds():
    shares = {(0,): 0.4, (1,): 0.3, (2,): 0.3, (0, 1): 0.45, (0, 2): 0.45, (1, 2): 0.9}
    shares[0, 1, 2] = 1.0
    found = greedy(shares.__getitem__, range(3), 0.8)
    assert (found.items[0], len(found.items), found.tried) == (0, 3, 6)
    assert exhaustive(shares.__getitem__, range(3), 0.8) == (1, 2)
    assert exhaustive(shares.__getitem__, range(3), 1.1) is None
    assert greedy(shares.__getitem__, [], 0.8).items == ()


def test_a_report_holds_it(planted, words):
    sizes = replace(
        SIZES, prompts=4, patch_prompts=2, contexts_per_prompt=4, new_tokens=2, window=2,
        control_prompts=1,
    )  # fmt: skip
    report = hi.compare(
        *planted("last block"), prompts=words(4), claims="C1", also=["causes"], sizes=sizes
    )
    found = report.causes
    assert found.blocks == (2,)
    assert found.overridden > 0
    assert found.why == {}
    assert hi.Report.from_json(report.to_json()).causes == found
    assert "## Finer causes" in render(report)
    assert [chart.name for chart in found.charts()] == ["components", "shifts"]
    assert all(list(chart.variants()) for chart in found.charts())
    assert report.weights is None


def test_equal_models_have_no_cause(make_study, planted):
    (spec,) = (look for look in LOOKS if look.slug == "causes")
    found = spec.part("measurement", "measure")(make_study(planted("itself"), **FEW))
    assert (found.overridden, found.components, found.heads, found.blocks) == (0, (), (), ())
    assert found.why["heads"] == "the models choose alike everywhere"
    told = {sheet.title: sheet.missing for item in found.tables() for sheet in item.sheets()}
    assert [title for title, why in told.items() if not why] == ["A static shift of the stream"]
    assert len(told) == 4
    assert "predict alike" in told["Smallest sufficient set of blocks"]
    assert all(item.recovered_kl.value == 0.0 for item in found.shifts)
