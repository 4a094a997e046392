"""Tensors that other libraries made: taken as they are, or refused with what to pass instead."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import probes
from probes import Moments, entropy, linear_cka, participation_ratio, token_ranks
from tests.pretend_mps import Apple, on_mps

ROWS = torch.randn(40, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ROWS = ROWS * torch.linspace(0.5, 2, 12, dtype=torch.float64)


def reference() -> float:
    values = np.linalg.eigvalsh(np.cov(ROWS.numpy().T))
    return float(values.sum() ** 2 / (values**2).sum())


@pytest.mark.parametrize(
    ("dtype", "within"), [(np.float16, 5e-3), (np.float32, 1e-5), (np.float64, 1e-9)]
)
def test_numpy_arrays_of_every_float_dtype(dtype, within):
    array = ROWS.numpy().astype(dtype)
    assert participation_ratio(array) == pytest.approx(reference(), rel=within)
    found = Moments.from_rows(array).spectrum().participation_ratio
    assert found == pytest.approx(reference(), rel=max(within, 1e-5))
    assert entropy(array).shape == (40,)


def test_numpy_arrays_in_any_layout():
    read_only = ROWS.numpy().copy()
    read_only.flags.writeable = False
    for array in (np.asfortranarray(ROWS.numpy()), read_only, ROWS.numpy().astype(">f4")):
        assert participation_ratio(array) == pytest.approx(reference(), rel=1e-5)


@pytest.mark.parametrize(
    ("dtype", "within"),
    [(torch.float16, 5e-3), (torch.bfloat16, 3e-2), (torch.float32, 1e-5), (torch.float64, 1e-9)],
)
def test_torch_tensors_of_every_float_dtype(dtype, within):
    rows = ROWS.clone().to(dtype).requires_grad_()
    assert participation_ratio(rows) == pytest.approx(reference(), rel=within)
    ranks = token_ranks(rows, rows.argmax(-1))
    assert ranks.eq(1).any()
    assert not ranks.requires_grad


def test_integers_are_refused_with_the_dtype():
    with pytest.raises(ValueError, match=r"expected a floating dtype, found torch\.int64"):
        participation_ratio(torch.ones(4, 3, dtype=torch.long))


@pytest.fixture(scope="module")
def model():
    from tests.hyperinterp.families import make_hf

    return make_hf("llama")


@pytest.fixture(scope="module")
def ids():
    return torch.randint(3, 90, (3, 10), generator=torch.Generator().manual_seed(1))


def test_hidden_states_of_transformers(model, ids):
    """Each entry of the tuple is `[batch, position, d]`: leading axes are flattened."""
    with torch.no_grad():
        states = model(input_ids=ids, output_hidden_states=True).hidden_states
    for state in states:
        flat = state.reshape(-1, state.shape[-1])
        expected = probes.participation_ratio(flat)
        assert participation_ratio(state) == pytest.approx(expected, rel=1e-6)
        streamed = Moments.from_rows(state).spectrum().participation_ratio
        assert streamed == pytest.approx(expected, rel=1e-4)
    assert 0 < linear_cka(states[1].flatten(0, 1), states[2].flatten(0, 1)) <= 1


def test_a_cache_of_transformer_lens(model, ids):
    from transformer_lens.model_bridge.sources import build_bridge_from_module
    from transformers import LlamaForCausalLM

    with torch.no_grad():
        expected = model(input_ids=ids, output_hidden_states=True).hidden_states
        copy = LlamaForCausalLM(model.config)
        copy.load_state_dict(model.state_dict())
        bridge = build_bridge_from_module(
            copy.eval(), "LlamaForCausalLM", hf_config=copy.config, tokenizer=None
        )
        _, cache = bridge.run_with_cache(ids)
    block = cache["blocks.1.hook_out"]
    assert block.ndim == 3
    assert participation_ratio(block) == pytest.approx(participation_ratio(expected[2]), rel=1e-5)


def outside(code: str) -> str:
    """Output of a process in which no annotation is checked, as with users."""
    head = "import torch, probes\nx = torch.randn(6, 5)\n"
    found = subprocess.run(
        [sys.executable, "-c", head + code], capture_output=True, text=True, check=True
    )
    return found.stdout


def test_containers_and_proxies_are_refused_with_what_to_pass():
    """nnsight: values saved inside a trace are tensors; older proxies hold them in `.value`."""
    told = outside(
        "class Proxy:\n    value = x\n"
        "for given in ((x, x), [x], Proxy(), 'text'):\n"
        "    for measure in (probes.participation_ratio, probes.Moments.from_rows):\n"
        "        try:\n            measure(given)\n"
        "        except ValueError as error:\n            print(error)\n"
    ).splitlines()
    assert len(told) == 8
    assert all("expected a tensor or a numpy array, found" in line for line in told)
    assert all("tuple of 2; pass one of them, e.g. tuple[-1]" in line for line in told[:2])
    assert all("list of 1; pass one of them" in line for line in told[2:4])
    assert all("pass its .value, which is a tensor" in line for line in told[4:6])


# -- a device without float64 ------------------------------------------------------------------

ON_A_MAC = {
    "spearman": probes.spearman,
    "overlap": probes.rank_biased_overlap,
    "jaccard": lambda a, b: probes.jaccard_at_k(a, b, 2),
    "gap": lambda a, b: probes.overrides(a, b).base_gap,
    "rate": lambda a, b: probes.overrides(a, b).rate,
    "promoted": lambda a, b: probes.promoted_tokens(probes.overrides(a, b)).mean_log_ranks,
    "margin": lambda a, _: probes.top_margin(a),
    "log rank": lambda a, _: probes.mean_log_rank((a[0] > 0).int() + 1),
    "classes": lambda a, _: probes.frequency_class((a[0] > 0).int() + 1),
    "entropy": lambda a, _: entropy(a),
    "drift": lambda a, b: probes.drift(a, b).relative,
    "sums": lambda a, _: probes.DriftAccumulator.from_state({"sums": a[0]}).state()["sums"],
}


@pytest.mark.parametrize("name", ON_A_MAC)
def test_tensors_on_a_device_without_float64_are_measured_on_the_cpu(name):
    first, second = ROWS[:5, :7].float(), ROWS[5:10, :7].float()
    expected = ON_A_MAC[name](first, second)
    with Apple():
        found = ON_A_MAC[name](on_mps(first), on_mps(second))
    assert type(found) is type(expected)
    assert torch.equal(torch.as_tensor(found), torch.as_tensor(expected))
