"""Models that are broken or odd: named in one line, or measured as far as they can be."""

import json
from dataclasses import replace

import pytest
import torch
from jsonschema import validate

from hyperinterp.claims.registry import CLAIMS
from hyperinterp.comparison import compare
from hyperinterp.errors import NumericalFault, UnsupportedModel
from hyperinterp.generation import GREEDY, Decoding, generate
from hyperinterp.models import check_logits
from hyperinterp.report.schema import Report, json_schema
from hyperinterp.report.writing import contents
from hyperinterp.text import Passage, Passages

from .conftest import SIZES
from .tiny import changed


def spoiled(model, path, value):
    """A copy in which one entry of one weight has this value."""

    def spoil(hf):
        hf.get_parameter(path).view(-1)[5] = value

    return changed(model, spoil, "the broken one")


def masking(model, *tokens):
    """A copy whose head gives these token ids minus infinity, as heads with padded ids may."""

    def mask(hf):
        bias = torch.zeros(model.vocab_size)
        bias[list(tokens)] = float("-inf")
        head = torch.nn.Linear(model.d_model, model.vocab_size)
        head.weight, head.bias = hf.lm_head.weight, torch.nn.Parameter(bias)
        hf.lm_head = head

    return changed(model, mask, "the masking one")


@pytest.mark.parametrize("role", ["base", "fitted"])
@pytest.mark.parametrize("path", ["model.norm.weight", "lm_head.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("claim", ["C1", "C2", "C4", "C6", "C9"])
def test_a_broken_model_gets_no_verdict(make_tiny, words, role, path, value, claim):
    good = make_tiny()
    pair = {"base": good, "fitted": good} | {role: spoiled(good, path, value)}
    with pytest.raises(NumericalFault, match="the broken one"):
        compare(**pair, control=good, prompts=words(), sizes=SIZES, claims=claim)


def test_a_broken_model_whose_entropy_is_matched_is_named(make_tiny, make_study, tiny_pair):
    prompts = make_study(tiny_pair).heldout.prompts
    broken = spoiled(make_tiny(), "lm_head.weight", float("nan"))
    arms = [Decoding("matched", seed=1, match_entropy=True)]
    with pytest.raises(NumericalFault, match="the broken one"):
        generate(make_tiny(), prompts, arms, new_tokens=2, match_entropy_of=broken)


def test_token_ids_that_a_model_rules_out_are_never_written(make_tiny, make_study, tiny_pair):
    model, prompts = make_tiny(), make_study(tiny_pair).heldout.prompts
    plain = generate(model, prompts, new_tokens=8)[GREEDY.name].rows
    ruled_out = plain[0][0]
    arms = [GREEDY, Decoding("drawn", seed=0)]
    for written in generate(masking(model, ruled_out), prompts, arms, new_tokens=8).values():
        assert ruled_out not in {token for row in written.rows for token in row}
    with pytest.raises(NumericalFault, match="finite logits"):
        generate(masking(model, *range(model.vocab_size)), prompts, new_tokens=2)


def test_token_ids_that_a_model_rules_out_have_no_ranks(make_tiny, words):
    model = masking(make_tiny(), 3, 4)
    report = compare(make_tiny(), model, prompts=words(), sizes=SIZES, claims="C1,C5")
    assert report.diversity is not None
    assert report.expansion is not None
    for claim in ("C2", "C3", "C4", "C6"):
        with pytest.raises(UnsupportedModel, match="minus infinity for 2 token ids"):
            compare(make_tiny(), model, prompts=words(), sizes=SIZES, claims=claim)


def writing_nothing(model, *paths, name="fitted"):
    """A copy in which these weights are zero: what they write is the same everywhere."""

    def empty(hf):
        for path in paths:
            hf.get_parameter(path).zero_()

    return changed(model, empty, name)


@pytest.mark.parametrize("claims", [*(spec.id for spec in CLAIMS), None])
def test_one_usable_passage_gives_every_claim_a_reason(make_tiny, words, claims):
    long, training = words(1), words(6, seed=3)
    few = Passages((*long.items, Passage("short", "w1 w2")), "few")
    base, fitted = make_tiny(0), make_tiny(1)
    report = compare(
        base, fitted, prompts=few, control=fitted, late_stage=[fitted], train_data=training,
        claims=claims, sizes=SIZES,
    )  # fmt: skip
    for name in [spec.id for spec in CLAIMS] if claims is None else [claims]:
        assert report.claims[name].verdict == "not tested"
        assert report.claims[name].effect is None
        assert "needs at least 2 held-out prompts, found 1" in report.claims[name].why
    validate(json.loads(report.to_json()), json_schema())
    assert contents(report)["report.html"]


QUIET = ("model.layers.1.mlp.down_proj.weight", "model.layers.1.self_attn.o_proj.weight")


@pytest.mark.parametrize("quiet", ["base", "fitted", "both"])
def test_a_block_that_writes_nothing_has_missing_figures_with_a_reason(make_tiny, words, quiet):
    silent = writing_nothing(make_tiny(0), *QUIET)
    other = writing_nothing(make_tiny(1), *QUIET) if quiet == "both" else make_tiny(1)
    base, fitted = {"base": (silent, other), "fitted": (other, silent)}.get(quiet, (silent, other))
    sizes = replace(SIZES, components=True, variants=("standardised", "unit_norm"))
    report = compare(base, fitted, prompts=words(), sizes=sizes, claims="C5")
    validate(json.loads(report.to_json()), json_schema())
    assert Report.from_json(report.to_json()) == report
    sites = {site.key: site for site in report.expansion.sites}
    for key in ("attn.1", "mlp.1"):
        site = sites[key]
        for name in ("pr", "pr_corrected", "effective_rank", "d90", "d95", "d99", "d90@integer"):
            assert site.metrics[name].delta.value is None
            assert "nothing varies" in site.metrics[name].delta.reason
        assert (site.drift, site.cka, site.overlap, site.angles) == (None, None, None, ())
        assert (site.distance, site.cosine) == (None, None)
        told = {"drift", "distance", "cosine", "cka", "overlap", "angles", "outside"}
        assert set(site.missing) == told
    for key in ("attn.0", "mlp.2", "resid.1"):
        assert sites[key].missing == {}
        assert sites[key].metrics["pr_corrected"].delta.value is not None
    assert report.claims["C5"].effect is not None
    files = contents(report)
    assert b"nothing varies" in files["tables/expansion_measures.csv"]
    assert len(files["report.html"]) > 10_000
    for chart in report.expansion.charts():
        assert list(chart.variants())


def test_a_stream_that_is_the_same_everywhere_has_a_reason(make_tiny):
    one_word = Passages(
        tuple(Passage(str(n), " ".join(["w5"] * (n + 8))) for n in range(10)), "one word"
    )
    sizes = replace(SIZES, variants=("standardised", "unit_norm"))
    report = compare(make_tiny(0), make_tiny(1), prompts=one_word, sizes=sizes, claims="C5")
    validate(json.loads(report.to_json()), json_schema())
    embedding = report.expansion.sites[0]
    for key, pair in embedding.metrics.items():
        assert pair.delta.value is None, key


@pytest.mark.parametrize(
    ("row", "faulty"),
    [
        ([0.0, float("nan"), 1.0], True),
        ([0.0, float("inf"), 1.0], True),
        ([float("-inf")] * 3, True),
        ([float("-inf"), 0.0, 1.0], False),
        ([float("nan"), float("-inf"), 1.0], True),
    ],
)
def test_every_context_is_looked_at(row, faulty):
    logits = torch.zeros(2, 3, 3)
    logits[1, 2] = torch.tensor(row)
    if faulty:
        with pytest.raises(NumericalFault, match="this one: expected finite logits"):
            check_logits("this one", logits, masked=True)
        return
    check_logits("this one", logits, masked=True)
    with pytest.raises(UnsupportedModel, match="minus infinity for 1 token ids"):
        check_logits("this one", logits)
