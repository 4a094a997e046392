"""The profile of C5 by index of Hugging Face's hidden_states."""

import pytest
import torch

from hyperinterp.claims import expansion
from hyperinterp.claims.running import evaluated

from ...report import factory


def test_distances_are_those_of_the_hidden_states(tiny_pair, make_study):
    study = make_study(tiny_pair, prompts=4)
    result, _ = evaluated(expansion.CLAIM, study)
    found = next(item for item in result.tables() if item.name == "hidden_states").records()
    with torch.no_grad():
        ids = torch.tensor(study.heldout.rows.rows)
        base, fitted = (
            model.hf(ids, output_hidden_states=True).hidden_states for model in tiny_pair
        )
    assert [line["index"] for line in found] == list(range(len(base)))
    for line, ours, theirs in zip(found, base, fitted, strict=True):
        rows = (ours[:, 1:].double(), theirs[:, 1:].double())
        distance = (rows[1] - rows[0]).norm(dim=-1).mean()
        assert line["distance"] == pytest.approx(float(distance), rel=1e-4, abs=1e-6)
        centred = rows[1].flatten(0, 1) - rows[1].flatten(0, 1).mean(0)
        values = torch.linalg.svdvals(centred) ** 2
        ratio = values.sum() ** 2 / (values**2).sum()
        assert line["fitted"] == pytest.approx(float(ratio), rel=1e-4)
    assert found[-1]["words"] == "after the final norm"


def test_the_last_blocks_output_is_not_among_them():
    result = factory.geometry(factory.Maker())
    found = next(item for item in result.tables() if item.name == "hidden_states").records()
    assert len(found) == factory.LAYERS + 1
    assert "block 29" not in {line["words"] for line in found}
