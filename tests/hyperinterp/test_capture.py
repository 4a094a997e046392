"""Capture: sums equal a plain recomputation, whatever the batch size."""

import numpy as np
import pytest
import torch

from hyperinterp.capture import (
    Half,
    PromptAccumulator,
    chosen_positions,
    paired_logits,
    rows_of_prompts,
    run_one,
    run_pair,
)
from hyperinterp.capture.accumulators import SiteAccumulators, feed
from hyperinterp.capture.few import FewRows
from hyperinterp.errors import NumericalFault
from hyperinterp.sites import Site, SiteKind, component_sites, stream_sites
from hyperinterp.text import TokenRows
from probes import Moments, norm_outliers

SITES = (*stream_sites(3), *component_sites(3))


def some_rows(count=11, vocab=97):
    generator = torch.Generator().manual_seed(5)
    rows = tuple(
        tuple(torch.randint(3, vocab, (8 + index % 4,), generator=generator).tolist())
        for index in range(count)
    )
    return TokenRows(rows, tuple(range(count)), 12, 0)


def plain_rows(model, rows, site):
    """Rows of positions 1 and later in float64, one prompt at a time."""
    found = [model.activations(torch.tensor([row]), [site])[site][0, 1:] for row in rows.rows]
    return torch.cat(found).double().numpy()


@pytest.mark.parametrize("name", ["llama", "gpt2", "bloom", "gemma2"])
def test_moments_equal_numpy(tiny, name):
    base, fitted = tiny(name, 0), tiny(name, 1)
    rows = some_rows()
    run = run_pair(base, fitted, rows, sites=SITES, unit_norm=True, batch_size=4)
    for site in SITES:
        for role, model in (("base", base), ("fitted", fitted)):
            expected = plain_rows(model, rows, site)
            covariance = np.cov(expected, rowvar=False, bias=True)
            found = run.sites[site].moments[role]
            assert found.n == len(expected)
            scale = np.abs(covariance).max()
            assert np.abs(found.covariance().numpy() - covariance).max() < 1e-5 * scale
            values = np.linalg.eigvalsh(covariance)
            ratio = values.sum() ** 2 / (values**2).sum()
            assert found.spectrum().participation_ratio == pytest.approx(ratio, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_figures_do_not_depend_on_the_batch_size(tiny, batch_size):
    base, fitted = tiny("llama", 0), tiny("llama", 1)
    rows = some_rows()
    one = run_pair(base, fitted, rows, sites=SITES, batch_size=3)
    other = run_pair(base, fitted, rows, sites=SITES, batch_size=batch_size)
    for site in SITES:
        for role in ("base", "fitted"):
            first, second = (run.sites[site].moments[role].spectrum() for run in (one, other))
            assert first.participation_ratio == pytest.approx(second.participation_ratio, rel=1e-5)
    assert torch.equal(one.contexts.row, other.contexts.row)
    assert torch.equal(one.contexts.target, other.contexts.target)
    assert torch.allclose(one.contexts.fitted, other.contexts.fitted, atol=1e-5)


@pytest.mark.parametrize("numbers", [range(0, 9, 2), [8, 1], range(9), []])
def test_rows_that_are_read_first_add_up_as_if_alone(tiny, numbers):
    base, fitted, site = tiny("llama", 0), tiny("llama", 1), Site(SiteKind.RESID, 1)
    rows = some_rows(9)
    both = run_pair(base, fitted, rows, sites=SITES, batch_size=2, half=Half(numbers, [site]))
    whole = run_pair(base, fitted, rows, sites=SITES, batch_size=2)
    assert torch.equal(both.contexts.row, whole.contexts.row)
    assert both.sites[site].moments["base"].n == whole.sites[site].moments["base"].n
    assert whole.half == {}
    if not numbers:
        assert both.half[site] == {}
        return
    alone = run_pair(base, fitted, rows.chosen(sorted(numbers)), sites=[site], batch_size=2)
    for role in ("base", "fitted"):
        mine, theirs = both.half[site][role], alone.sites[site].moments[role]
        assert mine.n == theirs.n
        assert torch.equal(mine.covariance(), theirs.covariance())
        assert torch.equal(mine.mean, theirs.mean)


def test_contexts_give_the_models_own_logits(tiny):
    base, fitted = tiny("granite", 0), tiny("granite", 1)
    rows = some_rows()
    contexts = run_pair(base, fitted, rows, contexts_per_row=3).contexts
    assert len(contexts) == 3 * len(rows)
    for where, ours, theirs in paired_logits(base, fitted, contexts, 5):
        for offset, index in enumerate(range(where.start, where.stop)):
            row = rows.rows[int(contexts.row[index])]
            position = int(contexts.position[index])
            ids = torch.tensor([row])
            assert torch.allclose(ours[offset], base.logits(ids)[0, position], atol=1e-4)
            assert torch.allclose(theirs[offset], fitted.logits(ids)[0, position], atol=1e-4)
            assert row[position + 1] == int(contexts.target[index])


def test_a_sink_takes_a_prompt_out_exactly(tiny):
    base, fitted = tiny("llama", 0), tiny("llama", 1)
    rows = some_rows()
    site = Site(SiteKind.RESID, 2)
    run = run_pair(base, fitted, rows, sites=[site])
    accumulator = PromptAccumulator(run.sites[site].moments["base"].spectrum(vectors=True))
    rows_of_prompts(base, rows, [site], {site: [accumulator]}, batch_size=4)
    found = accumulator.leave_one_out()
    for index in range(len(rows)):
        kept = tuple(row for number, row in enumerate(rows.rows) if number != index)
        rest = plain_rows(base, TokenRows(kept, (), 12, 0), site)
        values = np.linalg.eigvalsh(np.cov(rest, rowvar=False, bias=True))
        ratio = values.sum() ** 2 / (values**2).sum()
        assert found.loo["pr"][index] == pytest.approx(ratio, rel=1e-4)


def test_a_model_beside_itself_differs_in_nothing(tiny):
    model = tiny()
    run = run_pair(model, model, some_rows(), sites=SITES)
    for accumulators in run.sites.values():
        assert accumulators.drift.result().relative == 0
        assert float(
            accumulators.cross.linear_cka(
                accumulators.moments["base"].covariance(),
                accumulators.moments["fitted"].covariance(),
            )
        ) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("role", ["base", "fitted"])
def test_a_nan_is_named_with_model_and_site(tiny, role):
    models = {"base": tiny("llama", 0), "fitted": tiny("llama", 1)}
    models[role].name = "the broken one"
    with torch.no_grad():
        models[role].blocks[1].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(NumericalFault, match=r"the broken one.*block 1"):
        run_pair(models["base"], models["fitted"], some_rows(), sites=stream_sites(3))


def test_chosen_positions_are_even_and_inside():
    assert chosen_positions(6, None) == [1, 2, 3, 4]
    assert chosen_positions(102, 4) == [1, 26, 51, 76]
    assert chosen_positions(2, 5) == [0]


def test_gradients_are_on_afterwards(tiny):
    base, fitted = tiny("llama", 0), tiny("llama", 1)
    contexts = run_pair(base, fitted, some_rows()).contexts
    for _ in paired_logits(base, fitted, contexts, 5):
        assert torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_one_model_alone_has_the_sums_of_the_pair_to_the_last_bit(tiny):
    model, rows = tiny("llama", 0), some_rows()
    alone = run_one(model, rows, sites=SITES, batch_size=4).moments
    pair = run_pair(model, tiny("llama", 1), rows, sites=SITES, batch_size=4).sites
    for site in SITES:
        mine, theirs = alone[site].state(), pair[site].moments["base"].state()
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs), site


def test_no_site_keeps_a_product_beside_its_sums(tiny):
    model = tiny()
    run = run_pair(model, model, some_rows(), sites=SITES, unit_norm=True, batch_size=4)
    every = [
        moments for accumulators in run.sites.values() for moments in accumulators.moments.values()
    ]
    assert len(every) > 2 * len(SITES)
    assert all(moments._pending is None for moments in every)


def test_outliers_of_a_site_are_those_of_the_probe():
    """Per prompt, over positions 1 and later, whatever the model's other prompts look like."""
    draw = torch.Generator().manual_seed(0)
    base = torch.randn(3, 10, 16, generator=draw)
    base[0, 4] *= 60
    base[1] *= 1000
    base[2, 0] *= 60
    fitted = base.clone()
    fitted[1, 7] *= 60
    accumulators = SiteAccumulators.empty(16)
    feed(accumulators, {"base": base, "fitted": fitted}, stream=True, unit_norm=False)
    wanted = {
        role: norm_outliers(rows[:, 1:].double().norm(dim=-1))
        for role, rows in (("base", base), ("fitted", fitted))
    }
    assert accumulators.outliers == {role: int(mask.sum()) for role, mask in wanted.items()}
    assert accumulators.outliers == {"base": 1, "fitted": 2}
    assert accumulators.few["base outliers"].n == int((wanted["base"] | wanted["fitted"]).sum())


@pytest.mark.parametrize("count", [2, 40])
def test_few_rows_have_the_moments_of_their_batches_to_the_bit(count):
    """As rows while they are smaller than their sums, as sums afterwards, also through a file."""
    draw = torch.Generator().manual_seed(1)
    batches = [torch.randn(3, 16, generator=draw) + 5 for _ in range(count)]
    shift = batches[0].mean(0).double()
    expected = Moments(16).rebase(shift)
    kept = FewRows(16)
    kept.refer(shift)
    for batch in batches:
        expected.add(batch)
        expected.flush()
        kept.add(batch)
    again = FewRows.from_state(kept.state(), 16)
    assert ("rows" in kept.state()) is (count == 2)
    assert kept.n == again.n == 3 * count
    for found in (kept, again):
        for name, tensor in found.moments().state().items():
            assert torch.equal(tensor, expected.state()[name]), name
    kept.merge(again)
    twice = Moments.from_state(expected.state()).merge(expected)
    assert torch.allclose(kept.moments().covariance(), twice.covariance(), atol=1e-12)


def test_no_square_matrix_is_allocated_before_there_are_rows():
    accumulators = SiteAccumulators.empty(16)
    assert accumulators.cross._cross is None
    rows = {role: torch.randn(2, 5, 16) for role in ("base", "fitted")}
    feed(accumulators, rows, stream=True, unit_norm=True)
    assert set(accumulators.moments) == {"base", "fitted", "base unit", "fitted unit"}
