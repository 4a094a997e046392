"""`continue_text` is generation with text at both ends."""

import pytest
import torch

from hyperinterp import continue_text
from hyperinterp.errors import InputRefused


@pytest.fixture
def base(make_tiny):
    return make_tiny()


def by_hand(model, text, steps):
    """Greedy generation, one full forward pass per token."""
    ids = model.tokenizer(text)["input_ids"]
    start = len(ids)
    for _ in range(steps):
        with torch.no_grad():
            logits = model.hf(torch.tensor([ids])).logits[0, -1]
        ids.append(int(logits.argmax()))
    return model.tokenizer.decode(ids[start:])


def test_greedy_equals_a_loop_of_full_passes(base):
    texts = ["w3 w14 w15 w92 w65", "w35 w89 w79"]
    found = continue_text(base, texts, new_tokens=6)
    assert found == [by_hand(base, text, 6) for text in texts]
    assert continue_text(base, texts[0], new_tokens=6) == found[:1]


def test_sampling_is_seeded(base):
    text = "w3 w14 w15 w92 w65"
    first = continue_text(base, text, new_tokens=12, temperature=2.0, seed=1)
    assert first == continue_text(base, text, new_tokens=12, temperature=2.0, seed=1)
    assert first != continue_text(base, text, new_tokens=12, temperature=2.0, seed=2)


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        ([], {}),
        ("", {}),
        (["w1", ""], {}),
        ("w1", {"temperature": 0.0}),
        ("w1", {"temperature": float("nan")}),
        ("w1", {"new_tokens": 0}),
    ],
)
def test_bad_input_is_refused(base, texts, options):
    with pytest.raises(InputRefused, match="expected"):
        continue_text(base, texts, **options)
