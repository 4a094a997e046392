"""What several processes hand each other in the geometry, counted; and what each then holds."""

import numpy as np
import pytest
import torch

from hyperinterp.distributed import ALONE, Processes
from hyperinterp.runs import geometry
from hyperinterp.runs.geometry import Geometry
from hyperinterp.runs.waves import Workload
from hyperinterp.sites import component_sites, stream_sites
from probes import DriftAccumulator
from tests.hyperinterp.dealt import alone, counted, pair, read
from tests.hyperinterp.threads import played


def figures(whole: Geometry) -> dict:
    found = {
        (role, key): item.full | {f"{name} out": value for name, value in item.loo.items()}
        for role, items in whole.left_out.items()
        for key, item in items.items()
    }
    for site, item in whole.sites.items():
        found[site] = {"cka": item.between.cka, "drift": item.between.drift, "n": item.n_rows}
    return found


@pytest.mark.parametrize(("kept", "tolerance"), [(True, 0.0), (False, 1e-5)])
def test_all_processes_end_with_the_figures_of_one(kept, tolerance):
    """To the bit where rows are kept: each site has its rows in the order of one process."""
    expected = figures(alone(kept))
    for size in (2, 4):
        for found, _ in counted(size, kept)[0]:
            ours = figures(found)
            assert list(ours) == list(expected)
            for key, known in expected.items():
                for name, value in known.items():
                    assert np.allclose(ours[key][name], value, rtol=tolerance, atol=tolerance), key


def most(size: int, kept: bool, *names: str) -> int:
    """The most bytes that one process received, asked for by some functions; by all for none."""
    return max(sum(n for by, n in found.items() if not names or by in names)
               for found in counted(size, kept)[1])  # fmt: skip


def test_kept_rows_go_to_the_owner_of_their_site_alone():
    """Each process gets the others' rows at its sites: N - 1 of N parts of its share, 1/N."""
    two, four = (most(size, True, "dealt") for size in (2, 4))
    assert four / two == pytest.approx((3 / 4 / 4) / (1 / 2 / 2), rel=0.2)
    names = {name for found in counted(4, True)[1] for name in found}
    assert names <= {"dealt", "take", "_common_references", "run_pair"}  # no vectors, no sums
    assert all(held == 0 for _, held in counted(4, True)[0])


def test_sums_go_to_the_owner_of_their_site_alone():
    """The others' sums at its share of the sites: (N - 1)/N of all, where it was N - 1."""
    two, four = (most(size, False, "dealt") for size in (2, 4))
    assert four / two == pytest.approx((3 / 4) / (1 / 2), rel=0.25)
    held = [held for _, held in counted(4, False)[0]]
    sites = len(alone(kept=True).sites)
    assert sum(held) == sites
    assert max(held) == -(-sites // 4)


def test_vectors_reach_all_and_intervals_their_owner():
    """Every process feeds its prompts to all sites: vectors are the part that stays, below 1."""
    two, four = (most(size, False, "spectra_everywhere") for size in (2, 4))
    assert four / two == pytest.approx((3 / 4) / (1 / 2), rel=0.25)
    assert most(4, False, "leave_one_out") < 1.2 * most(2, False, "leave_one_out")


def test_the_memory_of_one_process_falls_with_their_number():
    sites = (*stream_sites(8), *component_sites(8))
    work = {n: Workload(512, 8, None, 64, ("standardised",), processes=n) for n in (1, 2, 4, 8)}
    peaks = [work[n].second(sites) for n in work]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[-1] < 0.7 * peaks[0]
    sums = sum(work[1].sums(site) for site in sites)
    assert peaks[-1] > sums  # which the first pass leaves in every process, however many


def test_a_fault_in_one_process_ends_all():
    def work(processes: Processes) -> None:
        if processes.rank == 1:
            raise ValueError("mine")
        processes.everywhere(torch.zeros(1))

    with pytest.raises((ValueError, RuntimeError)):
        played(2, work)


@pytest.mark.parametrize("kept", [True, False])
def test_rows_that_are_the_same_in_both_models_are_measured_once(kept, monkeypatch):
    """Below the first block that differs: figures are those of measuring twice, to the bit."""
    models = pair()
    weights = models["base"].hf.state_dict()
    models["fitted"].hf.load_state_dict(
        {name: it + 0.1 if ".layers.3.mlp" in name else it for name, it in weights.items()}
    )
    assert models["base"].n_layers == 4
    measured = []
    leave = geometry.leave_one_out

    def noted(accumulators, processes):
        measured.append(len(accumulators))
        return leave(accumulators, processes)

    monkeypatch.setattr(geometry, "leave_one_out", noted)
    once = figures(read(ALONE, models, kept=kept)[0])
    fewer = sum(measured)
    measured.clear()
    monkeypatch.setattr(DriftAccumulator, "identical", False)
    twice = figures(read(ALONE, models, kept=kept)[0])
    assert list(once) == list(twice)
    for key, known in twice.items():
        for name, value in known.items():
            assert np.array_equal(once[key][name], value), key
    # The embedding and three blocks, as they are and of length 1; four attentions, three MLPs.
    assert sum(measured) - fewer == 2 * 4 + 7
