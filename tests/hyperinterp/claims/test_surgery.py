"""Weight surgery does what it says: new directions only, or old ones only; the base stays."""

import pytest
import torch

from hyperinterp.sites import block_outputs

from . import surgery
from .conftest import word_tokenizer
from .surgery import last_output, operated, settled
from .tiny import tiny

TEXTS = [" ".join(f"w{(7 * row + 3 * n * n) % 150}" for n in range(20)) for row in range(8)]

ALIKE = (0.8, 0.8)


@pytest.fixture(params=["llama", "gpt_neox"])
def base(request, monkeypatch):
    monkeypatch.setattr(surgery, "READ", 2)
    monkeypatch.setattr(surgery, "UNREAD", 4)
    return tiny(request.param, word_tokenizer(), 0)


def moved(base, twin):
    """How the last block's output and the logits differ on one text, position 0 left out."""
    ids, site = torch.tensor([base.tokenizer(TEXTS[0])["input_ids"]]), block_outputs(base.n_layers)
    streams = [model.activations(ids, site[-1:])[site[-1]][0, 1:] for model in (base, twin)]
    logits = [model.logits(ids)[0, 1:] for model in (base, twin)]
    return (streams[1] - streams[0]).double(), logits[1] - logits[0]


@pytest.mark.parametrize("kind", list(surgery.OPERATIONS))
def test_one_matrix_of_the_copy_changes(base, kind):
    before = {name: value.clone() for name, value in base.hf.state_dict().items()}
    twin = operated(base, kind, TEXTS, 3, shares=ALIKE)
    after = base.hf.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    changed = [n for n, value in twin.hf.state_dict().items() if not torch.equal(value, before[n])]
    assert len(changed) == 1
    assert changed[0].endswith(("down_proj.weight", "dense_4h_to_h.weight"))


def test_an_expansion_stays_outside_the_old_directions_and_a_turn_inside(base):
    known = last_output(base, TEXTS, ALIKE).old
    for kind, share in (("carried expansion", 0.0), ("reordering", 1.0)):
        difference, _ = moved(base, operated(base, kind, TEXTS, 3, shares=ALIKE))
        inside = (difference @ known).square().sum() / difference.square().sum()
        torch.testing.assert_close(float(inside), share, atol=1e-6, rtol=0)


def choices(model):
    """Greedy choices at every position but the first of all texts."""
    rows = torch.tensor([model.tokenizer(text)["input_ids"] for text in TEXTS])
    return model.logits(rows)[:, 1:].argmax(-1).flatten()


def test_a_settled_model_chooses_one_token_nearly_everywhere(base):
    made = settled(base, TEXTS, ALIKE)
    _, counts = choices(made).unique(return_counts=True)
    assert len(choices(base).unique()) > 3
    assert counts.max() > 0.9 * counts.sum()


def test_an_expansion_that_carries_is_loud_enough_varies_apart_and_has_no_mean(base):
    start = settled(base, TEXTS, ALIKE)
    found = last_output(start, TEXTS, ALIKE)
    twin = operated(start, "carried expansion", TEXTS, 3, shares=ALIKE)
    there = last_output(twin, TEXTS, ALIKE)
    moved = (choices(start) != choices(twin)).double().mean()
    torch.testing.assert_close(float(moved), 0.75, atol=0.1, rtol=0)
    added = (there.matrix - found.matrix).detach().double()
    assert float((added @ found.mean).norm()) < 1e-5 * float(added.norm() * found.mean.norm())
    loud = found.read[:, :2].mT @ added
    held = loud @ found.covariance @ loud.mT
    torch.testing.assert_close(held / held[0, 0], torch.eye(2).double(), atol=1e-3, rtol=0)
    rest = found.read[:, 2:-4].mT @ added
    assert float(rest.square().sum()) < 1e-9 * float(loud.square().sum())
    faint = found.read[:, -4:].mT @ added
    spread = (faint @ found.covariance * faint).sum(1)
    torch.testing.assert_close(spread, held[0, 0].expand(4) / 4, rtol=1e-3, atol=0)


def test_an_expansion_that_no_choice_comes_from(base, monkeypatch):
    monkeypatch.setattr(surgery, "turn", lambda found, seed: None)
    twin = operated(base, "invisible expansion", TEXTS, 3, shares=ALIKE)
    assert (choices(base) != choices(twin)).double().mean() < 0.1
    difference, _ = moved(base, twin)
    assert float(difference.norm()) > 0
