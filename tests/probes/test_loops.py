"""The loop in which a sequence ends, against a search by definition."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import Loop, final_loop


def by_definition(ids, turns, longest, least):
    """The shortest period p whose longest p-periodic tail is long enough."""
    for period in range(1, min(longest, len(ids)) + 1):
        sizes = [
            size
            for size in range(period, len(ids) + 1)
            if all(a == b for a, b in zip(ids[-size:], ids[-size:][period:], strict=False))
        ]
        if max(sizes) >= max(turns * period, least):
            return Loop(len(ids) - max(sizes), period, max(sizes) / period)
    return None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=8),
    st.lists(st.integers(0, 2), min_size=1, max_size=4),
    st.integers(0, 5),
)
def test_it_is_the_one_of_the_definition(before, turn, times):
    ids = [*before, *turn * times]
    assert final_loop(ids, 2, 6, 4) == by_definition(ids, 2, 6, 4)


def test_a_loop_is_found_with_its_period_and_start():
    assert final_loop([7, 8, 9, *[1, 2, 3, 4] * 5, 1, 2]) == Loop(3, 4, 5.5)
    assert final_loop([*[5] * 30]) == Loop(0, 1, 30.0)
    assert final_loop([1, 2, 3] * 5 + [9]) is None  # it was left
    assert final_loop([1, 1, 1]) is None  # too short to be one
    assert final_loop(list(range(20)) * 3, longest=19) is None


@pytest.mark.parametrize("wrong", [{"turns": 1.0}, {"longest": 0}, {"least": 0}])
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="expected turns above 1"):
        final_loop([1, 2], **wrong)
