"""Normals that are functions of a seed and a place: an oracle in plain integers, and statistics."""

import math

import pytest
import torch

from probes import CounterNormal, counter, norm_matched_noise

MASK = 2**64 - 1


def mixed(state):
    """SplitMix64's output function, in Python's integers."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def expected(seed, count):
    """The first normals of a seed, in float64."""
    key, found = mixed((seed + 0x9E3779B97F4A7C15) & MASK), []
    for place in range(-(-count // 2)):
        bits = mixed((key + place * 0x9E3779B97F4A7C15) & MASK)
        radius = math.sqrt(-2 * math.log(((bits >> 32) + 0.5) / 2**32))
        angle = 2 * math.pi * (bits & 0xFFFFFFFF) / 2**32
        found += [radius * math.cos(angle), radius * math.sin(angle)]
    return found[:count]


@pytest.mark.parametrize("seed", [0, 7, 2**63 + 11])
def test_draws_are_those_of_plain_integers(seed):
    found = CounterNormal(seed).draw((3, 7))
    assert found.dtype == torch.float32
    assert found.flatten().tolist() == pytest.approx(expected(seed, 21), abs=2e-5)


def test_draws_do_not_depend_on_the_pieces_they_are_made_in(monkeypatch):
    whole = CounterNormal(3).draw((1000,))
    monkeypatch.setattr(counter, "_PIECE", {"cpu": 7})
    assert torch.equal(CounterNormal(3).draw((1000,)), whole)
    source = CounterNormal(3)
    assert torch.equal(torch.cat([source.draw((400,)), source.draw((600,))]), whole)


def test_draws_are_standard_normal_and_unrelated():
    first, other = (CounterNormal(seed).draw((200_000,)).double() for seed in (1, 2**64 + 1))
    for draw in (first, other):
        assert abs(float(draw.mean())) < 0.01
        assert float(draw.square().mean()) == pytest.approx(1, abs=0.02)
        assert float(draw.pow(4).mean()) == pytest.approx(3, abs=0.15)
        assert abs(float((draw[1:] * draw[:-1]).mean())) < 0.01
    assert abs(float((first * other).mean())) < 0.01


def test_noise_from_a_counter_has_the_norm_of_the_change():
    change = torch.linspace(-1, 1, 60).reshape(6, 10)
    noise = norm_matched_noise(change, CounterNormal(5))
    assert float(noise.norm()) == pytest.approx(float(change.norm()), rel=1e-6)
    assert torch.equal(noise, norm_matched_noise(change, CounterNormal(5)))
    with pytest.raises(ValueError, match="seed"):
        CounterNormal(-1)
