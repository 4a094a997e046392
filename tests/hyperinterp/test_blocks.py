"""Blocks by where they lie: what is chosen, and what is refused with a way out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperinterp.blocks import PLACES, Placement, listed
from hyperinterp.errors import InputRefused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("last:2", (4, 5)), ("first:2", (0, 1)), ("middle:2", (2, 3)), ("middle:3", (2, 3, 4)),
        ("1-3", (1, 2, 3)), ("4", (4,)), ("0+5+2-3", (0, 2, 3, 5)), (" Last : 6 ", tuple(range(6))),
    ],
)  # fmt: skip
def test_blocks_by_their_place(text: str, expected: tuple[int, ...]) -> None:
    assert Placement.read(text).of(6, 0) == expected


@given(st.sampled_from(PLACES), st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_every_place_gives_that_many_blocks_of_the_model(
    place: str, count: int, layers: int, seed: int
) -> None:
    placement = Placement.read(f"{place}:{count}")
    if count > layers:
        with pytest.raises(InputRefused, match=f"choose {place}:{layers} or fewer"):
            placement.of(layers, seed)
        return
    found = placement.of(layers, seed)
    assert len(set(found)) == count == placement.size
    assert list(found) == sorted(found)
    assert 0 <= found[0] <= found[-1] < layers
    assert Placement.read(listed(found)).of(layers, seed) == found
    if place == "random" and count < layers:
        assert found != tuple(range(layers - count, layers))
    if place == "middle":
        assert found[0] - (layers - 1 - found[-1]) in (0, 1)


def test_a_random_placement_comes_from_the_seed_alone() -> None:
    drawn = [Placement.read("random:5").of(30, seed) for seed in range(9)]
    assert drawn == [Placement.read("random:5").of(30, seed) for seed in range(9)]
    assert len(set(drawn)) == 9


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("5", None), ("late:5", "write one of these"), ("last:0", "write last:5"),
        ("last", "write last:5"), ("14-10", "write 10-14"), ("", "write one of these"),
        ("1,2", "write one of these"), ("first:-2", "write"), ("1+", "write"),
        (5, "expected blocks"), ("last:9999999", "write"), (None, "expected blocks"),
    ],
)  # fmt: skip
def test_what_is_no_placement_is_refused(text: object, way_out: str | None) -> None:
    if way_out is None:
        assert Placement.read(text).listed == (5,)
        return
    with pytest.raises(InputRefused, match=way_out):
        Placement.read(text, "--blocks")


def test_blocks_that_a_model_has_not_are_refused() -> None:
    with pytest.raises(InputRefused, match="blocks from 0 to 3, the model's, found 7"):
        Placement.read("2-7").of(4, 0)


def test_placements_in_words_and_in_names() -> None:
    words = {
        text: Placement.read(text).words for text in ("last:5", "first:1", "random:2", "3", "1-2")
    }
    assert words == {
        "last:5": "the last 5 blocks", "first:1": "the first block", "random:2": "2 random blocks",
        "3": "block 3", "1-2": "blocks 1-2",
    }  # fmt: skip
    assert [Placement.read(text).slug for text in ("last:5", "1-2")] == ["last5", "blocks1-2"]
