"""Texts of stitched models, written beside those of the models that they are made of."""

import torch

from hyperinterp.generation import GREEDY, Decoding, Writer, generate, write_all
from hyperinterp.models import Stitch
from hyperinterp.text import TokenRows

KEPT = {"stops": (2,), "new_tokens": 6}


def rows_of(*lengths):
    generator = torch.Generator().manual_seed(0)
    rows = tuple(
        tuple(torch.randint(3, 97, (length,), generator=generator).tolist()) for length in lengths
    )
    return TokenRows(rows, tuple(range(len(rows))), max(lengths), 0)


def alone(stitch, prompts, arm):
    """What the stitched model itself writes under the same arm."""
    plain = Decoding(arm.name, arm.temperature, arm.seed, rows=arm.rows)
    with stitch.made() as model:
        return generate(model, prompts, [plain], **KEPT)[arm.name]


def test_rows_of_stitched_models_write_what_these_write_alone(tiny, family):
    """One block and several, early and late, greedy and drawn, in one batch with the model's own.

    Prompts of one token are read by the first step, longer ones before it.
    """
    model, other, prompts = tiny(family), tiny(family, seed=1), rows_of(1, 1, 5, 5, 7)
    last = Stitch(model, other, (model.n_layers - 1,))
    every = Stitch(model, other, tuple(range(model.n_layers)))
    arms = [
        Decoding("last", stitch=last),
        Decoding("every", rows=(0, 2, 4), stitch=every),
        Decoding("drawn", 1.2, seed=4, stitch=last),
    ]
    own = [GREEDY, Decoding("own", 1.2, seed=4)]
    found = generate(model, prompts, [*arms, *own], **KEPT)
    plain = generate(model, prompts, own, **KEPT)
    assert {name: found[name] for name in plain} == plain
    for arm in arms:
        assert found[arm.name] == alone(arm.stitch, prompts, arm), arm.name
    assert found["last"] != plain["greedy"]
    assert found["drawn"] != plain["own"]


def test_they_cost_no_step_of_their_own(tiny):
    model, other, prompts = tiny(), tiny(seed=1), rows_of(5, 5)
    seen = []
    handle = model.hf.register_forward_hook(lambda *_: seen.append(1))
    arm = Decoding("last", stitch=Stitch(model, other, (model.n_layers - 1,)))
    generate(model, prompts, [GREEDY, arm], stops=(), new_tokens=4)
    handle.remove()
    assert len(seen) == 2 + 4  # the prompts under either model, then a pass per token


def test_guests_of_another_model_may_be_stitched_and_both_models_stay_as_they_were(tiny):
    """Each model lends a block to the other while it writes with one of the other's itself.

    What is made of the guest's own streams stays with the guest's rows.
    """
    model, other, prompts = tiny(), tiny(seed=1), rows_of(5, 5, 5)
    last = model.n_layers - 1
    first = [
        Decoding("matched", seed=3, match_entropy=True),
        Decoding("ours", stitch=Stitch(model, other, (last,))),
    ]
    second = [
        GREEDY,
        Decoding("theirs", stitch=Stitch(other, model, (last,))),
        Decoding("flipped", change=lambda stream: stream.flip(-1)),
    ]
    host = Writer(model, prompts, first, match_entropy_of=other, **KEPT)
    guest = Writer(other, prompts, second, match_entropy_of=other, **KEPT)
    modules = [list(item.hf.modules()) for item in (model, other)]
    found = write_all([host, guest])
    for item, before in zip((model, other), modules, strict=True):
        assert all(a is b for a, b in zip(item.hf.modules(), before, strict=True))
    for texts, arm in zip(found, (first[1], second[1]), strict=True):
        assert texts[arm.name] == alone(arm.stitch, prompts, arm)
    assert found[1]["greedy"] == generate(other, prompts, **KEPT)["greedy"]
    flipped = generate(other, prompts, second[2:], **KEPT)["flipped"]
    assert found[1]["flipped"] == flipped != found[1]["greedy"]
    matched = Writer(model, prompts, first[:1], match_entropy_of=other, **KEPT)
    assert found[0]["matched"] == write_all([matched])[0]["matched"]


def test_a_stitched_model_whose_settings_differ_writes_alone(tiny):
    """A donor with other rotary embeddings works out what its blocks are given by itself."""
    model, other, prompts = tiny(), tiny(seed=1), rows_of(5, 5)
    other.hf.model.rotary_emb.inv_freq.mul_(3.0)
    stitch = Stitch(model, other, (model.n_layers - 1,))
    assert not stitch.by_rows
    assert Stitch(model, tiny(seed=1), (0,)).by_rows
    arm = Decoding("last", stitch=stitch)
    writer = Writer(model, prompts, [GREEDY, arm], **KEPT)
    assert [len(batch) for batch in writer.batches(64)] == [2, 2]
    found = write_all([writer])[0]
    assert found["last"] == alone(stitch, prompts, arm)
    assert found["greedy"] == generate(model, prompts, **KEPT)["greedy"]
    matched = [Decoding("matched", seed=3, match_entropy=True)]
    host = Writer(other, prompts, matched, match_entropy_of=model, **KEPT)
    guest = Writer(model, prompts, [arm], match_entropy_of=model, **KEPT)
    assert write_all([host, guest])[1]["last"] == found["last"]
