import pytest
import torch

from hyperinterp.errors import InputRefused
from hyperinterp.text import Passage, Passages, collect
from hyperinterp.training.data import IGNORED, EpochSampler, pad_rows, prepare_rows

from .factory import byte_tokenizer


def test_labels_are_the_following_tokens_and_padding_has_none() -> None:
    ids, labels = pad_rows([(5, 6, 7), (8, 9)])
    assert ids.tolist() == [[5, 6, 7], [8, 9, 0]]
    assert labels.tolist() == [[6, 7, IGNORED], [9, IGNORED, IGNORED]]


def test_each_epoch_has_its_own_order_that_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(20, seed)
        sampler.epoch = epoch
        return list(sampler)

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4) != order(1, 4)
    assert sorted(order(0, 3)) == list(range(20))


def test_the_order_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    list(EpochSampler(9, 1))
    assert torch.equal(before, torch.get_rng_state())


def test_rows_are_cut_and_what_is_left_out_is_counted() -> None:
    pairs = [("a", "abcdefgh"), ("b", "x"), ("c", "abcdefgh"), ("d", "..."), ("e", "xyz")]
    rows, data = prepare_rows(
        byte_tokenizer(), collect([Passage(*pair) for pair in pairs], "here"), 5
    )
    assert [len(row) for row in rows.rows] == [5, 3]
    assert (data.passages, data.tokens, data.targets) == (2, 8, 6)
    assert (data.cut, data.short, data.duplicates, data.empty) == (1, 1, 1, 1)


def test_the_data_digests_see_text_and_order_and_length() -> None:
    def digests(texts: list[str], length: int) -> tuple[str, str]:
        found = Passages(tuple(Passage(str(n), t) for n, t in enumerate(texts)), "here")
        data = prepare_rows(byte_tokenizer(), found, length)[1]
        return data.sha256, data.tokens_sha256

    reference = digests(["abcd", "efgh"], 4)
    assert digests(["abcd", "efgh"], 4) == reference
    assert digests(["efgh", "abcd"], 4)[0] != reference[0]
    assert digests(["abcd", "efgh"], 3)[1] != reference[1]


def test_passages_without_two_tokens_are_refused() -> None:
    only = Passages((Passage("a", "x"),), "here")
    with pytest.raises(InputRefused, match="here: expected passages of at least 2 tokens"):
        prepare_rows(byte_tokenizer(), only, 5)


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(InputRefused, match="at least one row"):
        pad_rows([])
