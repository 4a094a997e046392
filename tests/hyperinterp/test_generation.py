"""Generation: plain Hugging Face is the oracle; draws depend on prompt and seed alone."""

from dataclasses import replace
from itertools import count

import pytest
import torch
from scipy.stats import chi2

from hyperinterp.generation import GREEDY, Decoding, Writer, generate, stop_tokens, write_all
from hyperinterp.generation.choosing import Chooser
from hyperinterp.generation.draws import Draws, inverted
from hyperinterp.generation.keys import PromptKeys
from hyperinterp.generation.matching import entropies, temperatures_at
from hyperinterp.models import edited
from hyperinterp.text import TokenRows
from probes import entropy, matched_temperature


def rows_of(*lengths, vocab=97, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = tuple(
        tuple(torch.randint(3, vocab, (length,), generator=generator).tolist())
        for length in lengths
    )
    return TokenRows(rows, tuple(range(len(rows))), max(lengths), 0)


def test_greedy_equals_hugging_face(tiny, family):
    model = tiny(family)
    prompts = rows_of(5, 5, 7)
    written = generate(model, prompts, new_tokens=12)[GREEDY.name]
    for row, text, ended in zip(prompts.rows, written.rows, written.ended, strict=True):
        expected = model.hf.generate(
            torch.tensor([row]),
            attention_mask=torch.ones(1, len(row), dtype=torch.long),
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=0,
        )[0, len(row) :].tolist()
        stops = stop_tokens(model)
        cut = next((i for i, token in enumerate(expected) if token in stops), None)
        assert list(text) == expected[:cut]
        assert ended == (cut is not None)


def test_the_checkpoints_own_decoding_defaults_are_not_used(tiny):
    model = tiny()
    prompts = rows_of(6, 6)
    plain = generate(model, prompts, new_tokens=16)[GREEDY.name]
    model.hf.generation_config.repetition_penalty = 5.0
    model.hf.generation_config.do_sample = True
    assert generate(model, prompts, new_tokens=16)[GREEDY.name] == plain
    assert model.hf.generation_config.repetition_penalty == 5.0


@pytest.mark.parametrize("batch_size", [1, 2, 7, 32])
def test_draws_do_not_depend_on_the_batch(tiny, batch_size):
    model, prompts = tiny(), rows_of(5, 6, 5, 8, 6)
    arms = [Decoding("a", 1.3, seed=1), Decoding("b", 1.3, seed=2), GREEDY]
    together = generate(model, prompts, arms, new_tokens=8, batch_size=15)
    assert generate(model, prompts, arms, new_tokens=8, batch_size=batch_size) == together
    alone = generate(model, prompts, arms[:1], new_tokens=8)
    assert alone["a"] == together["a"]
    assert together["a"] != together["b"]


def test_progress_moves_while_a_batch_is_written(tiny):
    ticks = []
    generate(tiny(), rows_of(6, 6, 6, 6), new_tokens=8, batch_size=4, stops=(), tick=ticks.append)
    assert ticks == [1, 1, 1, 1]  # one batch of four, told at every second step
    ticks.clear()
    generate(tiny(), rows_of(5, 6, 7), new_tokens=3, batch_size=1, tick=ticks.append)
    assert ticks == [1, 1, 1]


def test_draws_follow_the_distribution(tiny):
    model = tiny()
    row = rows_of(4).rows[0]
    count = 4000
    prompts = TokenRows((row,) * count, tuple(range(count)), 4, 0)
    arm = Decoding("draw", temperature=1.5, seed=7)
    written = generate(model, prompts, [arm], new_tokens=1, batch_size=500)["draw"]
    stops = stop_tokens(model)
    drawn = torch.tensor([text[0] if text else stops[0] for text in written.rows])
    expected = torch.softmax(model.logits(torch.tensor([row]))[0, -1] / 1.5, -1)
    counts = torch.bincount(drawn, minlength=model.vocab_size).double()
    statistic = float(((counts - count * expected) ** 2 / (count * expected)).sum())
    assert chi2.sf(statistic, model.vocab_size - 1) > 1e-3


def test_a_bias_changes_what_is_written(tiny):
    model, prompts = tiny(), rows_of(5, 5)
    bias = torch.zeros(model.vocab_size)
    bias[42] = 1000.0
    arms = [Decoding("plain"), Decoding("zero", bias=bias, alpha=0.0), Decoding("on", bias=bias)]
    written = generate(model, prompts, arms, new_tokens=6)
    assert written["plain"] == written["zero"]
    assert set(written["on"].rows) == {(42,) * 6}


def test_matching_the_entropy_of_itself_is_temperature_one(tiny):
    model, prompts = tiny(), rows_of(5, 7)
    arm = Decoding("draw", seed=3)
    plain = generate(model, prompts, [arm], new_tokens=10)["draw"]
    arm = replace(arm, match_entropy=True)
    matched = generate(model, prompts, [arm], new_tokens=10, match_entropy_of=model)["draw"]
    assert matched == plain


def test_arms_need_distinct_names(tiny):
    with pytest.raises(ValueError, match="distinct"):
        generate(tiny(), rows_of(4), [GREEDY, GREEDY])


def test_every_arm_continues_the_prompts_it_asks_for(tiny):
    model, prompts = tiny(), rows_of(5, 6, 5, 8)
    arms = [GREEDY, Decoding("some", 1.3, seed=1, rows=(3, 0)), Decoding("none", rows=())]
    written = generate(model, prompts, arms, new_tokens=8, batch_size=3)
    whole = generate(model, prompts, [Decoding("some", 1.3, seed=1)], new_tokens=8)["some"]
    assert written["some"] == whole.chosen((3, 0))
    assert written["none"].rows == ()
    assert written[GREEDY.name] == generate(model, prompts, new_tokens=8)[GREEDY.name]


def test_arms_of_one_prompt_read_it_once(tiny, family):
    """Equal prompts share their keys and values, for prompts of one token and of more."""
    model, prompts = tiny(family), rows_of(1, 5, 5)
    read = []
    handle = model.hf.get_input_embeddings().register_forward_hook(
        lambda _, given, __: read.append(given[0].numel())
    )
    arms = [Decoding(str(seed), 1.2, seed=seed) for seed in range(4)]
    written = generate(model, prompts, arms, new_tokens=1)
    handle.remove()
    assert sum(read) == 2 * 4 + 12  # both long prompts but their last tokens; every row's last
    for arm in arms:
        for number, row in enumerate(prompts.rows):
            alone = TokenRows((row,) * (number + 1), tuple(range(number + 1)), len(row), 0)
            text = generate(model, alone, [replace(arm, rows=(number,))], new_tokens=1)[arm.name]
            assert written[arm.name].chosen([number]) == text


def test_only_the_arms_that_match_entropies_do(tiny):
    model, prompts = tiny(), rows_of(5, 7)
    other = tiny(seed=1)
    arms = [
        Decoding("plain", seed=3),
        Decoding("matched", seed=3, match_entropy=True),
        Decoding("greedy matched", match_entropy=True),
        GREEDY,
    ]
    written = generate(model, prompts, arms, new_tokens=10, match_entropy_of=other)
    plain = generate(model, prompts, [arms[0], GREEDY], new_tokens=10)
    matched = generate(model, prompts, [arms[1]], new_tokens=10, match_entropy_of=other)
    assert {name: written[name] for name in plain} == plain
    assert written["greedy matched"] == written[GREEDY.name]
    assert written["matched"] == matched["matched"]
    with pytest.raises(ValueError, match="found none"):
        generate(model, prompts, arms, new_tokens=1)


def by_row(arms, prompts, steps):
    """The tokens that each row chooses on its own, one draw after the other."""
    found = []
    for row, (arm, prompt) in enumerate(zip(arms, prompts, strict=True)):
        generator = torch.Generator().manual_seed((arm.seed or 0) * 1_000_003 + prompt)
        chosen = []
        for step in steps:
            logits = step[row] if arm.bias is None else step[row] + arm.alpha * arm.bias
            if arm.seed is None:
                chosen.append(int(logits.argmax()))
                continue
            total = torch.softmax((logits / arm.temperature).double(), -1).cumsum(-1)
            uniform = torch.rand((), generator=generator, dtype=torch.float64) * total[-1]
            chosen.append(min(int((total <= uniform).sum()), len(logits) - 1))
        found.append(chosen)
    return torch.tensor(found).T


class Counted(torch.Tensor):
    """A tensor that counts how often it is taken to a device."""

    moves = 0

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.moves += func is torch.Tensor.to
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("vocab", [97, 70_000])
def test_a_batch_chooses_what_its_rows_choose_alone(vocab):
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, vocab, generator=generator)
    biases = first.as_subclass(Counted), second.as_subclass(Counted)
    kinds = [
        GREEDY,
        Decoding("drawn", 0.8, seed=1),
        Decoding("biased", bias=biases[0], alpha=0.5),
        Decoding("both", 1.3, seed=2, bias=biases[1]),
    ]
    steps = torch.randn(5, 10, vocab, generator=generator) * 2
    for order in ([0, 1, 2, 3] * 3, sorted([0, 1, 2, 3] * 3)):  # rows in views, and by number
        arms = [kinds[number] for number in order[:10]]
        Counted.moves = 0
        chooser, ids = Chooser("m", arms, range(10), 5), torch.zeros(10, 1, dtype=torch.long)
        chosen = [chooser.choose(number, ids, step.clone()) for number, step in enumerate(steps)]
        assert Counted.moves == 2
        assert torch.equal(torch.stack(chosen), by_row(arms, range(10), steps))


def test_greedy_text_takes_the_lowest_id_of_a_tie(tiny):
    """Every logit of every step is the same, and so are ten of those of an arm with a bias."""
    model = tiny("llama")
    with torch.no_grad():
        model.hf.get_output_embeddings().weight.zero_()
    bias = torch.zeros(model.vocab_size)
    bias[20:30] = 1.0
    arms = [GREEDY, Decoding("biased", bias=bias)]
    written = generate(model, rows_of(4, 4, 6), arms, new_tokens=3, stops=())
    assert written["greedy"].rows == ((0, 0, 0),) * 3
    assert written["biased"].rows == ((20, 20, 20),) * 3


REMEDIES = {
    "repetition_penalty": {"repetition_penalty": 1.2},
    "no_repeat": {"no_repeat": 4},
    "top_p": {"top_p": 0.8, "seed": 1, "temperature": 1.3},
    "min_p": {"min_p": 0.1, "seed": 1, "temperature": 1.3},
}
THEIR_NAMES = {"no_repeat": "no_repeat_ngram_size", "seed": "do_sample"}


@pytest.mark.parametrize("name", list(REMEDIES))
def test_remedies_are_those_of_transformers_token_by_token(tiny, name, monkeypatch):
    """Sampled arms: generate's own probabilities, with our draw in the place of torch's."""
    model, prompts = tiny(), rows_of(5, 5, 5)
    asked = REMEDIES[name]
    arms = [GREEDY, Decoding(name, **asked, rows=(2, 0, 1))]
    written = generate(model, prompts, arms, new_tokens=12)[name].rows
    draws, steps = Draws([Decoding("draw", seed=1)] * 3, [0, 1, 2], 12), count()

    def drawn(probabilities, num_samples):
        tokens = torch.zeros(3, dtype=torch.long)
        draws.choose(next(steps), probabilities.log(), tokens)
        return tokens[:, None]

    monkeypatch.setattr(torch, "multinomial", drawn)
    theirs = {THEIR_NAMES.get(key, key): value for key, value in asked.items()}
    sampled = {"do_sample": True, "top_k": 0} if "seed" in asked else {}
    found = model.hf.generate(
        torch.tensor(prompts.rows), attention_mask=torch.ones(3, 5, dtype=torch.long),
        max_new_tokens=12, pad_token_id=0, **theirs | sampled,
    )[:, 5:].tolist()  # fmt: skip
    stops = stop_tokens(model)
    ends = [next((k for k, t in enumerate(row) if t in stops), None) for row in found]
    cut = [tuple(row[:end]) for row, end in zip(found, ends, strict=True)]
    assert [written[place] for place in (1, 2, 0)] == cut
    plain = [replace(arms[1], **{name: None})]
    assert written != generate(model, prompts, plain, new_tokens=12)[name].rows


def test_steps_match_entropies_as_the_solver_of_probes_does():
    """Flat, peaked and nearly certain rows; entropies that the other row has, and out of reach."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([0.1, 1.0, 3.0, 8.0, 20.0])[:, None]
    logits = torch.randn(5, 5000, generator=generator) * scales
    wanted = entropy(logits.flip(0))
    assert torch.allclose(entropies(logits), entropy(logits), rtol=1e-5)
    found = temperatures_at(logits, wanted)
    exact = matched_temperature(logits, wanted, per_context=True).temperature
    assert torch.allclose(found, exact, rtol=1e-3)  # where it is flat, T says little
    assert torch.allclose(entropy(logits / found[:, None]), wanted, rtol=1e-5)
    assert torch.equal(temperatures_at(logits, entropies(logits)), torch.ones(5).double())
    certain = temperatures_at(logits, torch.zeros(5))
    assert (entropy(logits / certain[:, None]) < 1e-30).all()


def test_the_second_model_writes_in_the_steps_in_which_it_is_matched(tiny):
    """Its own texts, in the same pass as what is matched to it, are those that it writes alone."""
    model, other, prompts = tiny(), tiny(seed=1), rows_of(5, 5, 7)
    arms = [Decoding("matched", seed=3, match_entropy=True), Decoding("plain", seed=3)]
    own = [GREEDY, Decoding("drawn", 1.2, seed=4)]
    kept = {"stops": (2,), "new_tokens": 6}
    first = Writer(model, prompts, arms, match_entropy_of=other, **kept)
    second = Writer(other, prompts, own, match_entropy_of=other, **kept)
    calls = []
    handle = other.hf.register_forward_hook(lambda *_: calls.append(1))
    together = write_all([first, second])
    handle.remove()
    assert together == [*write_all([first]), *write_all([second])]
    assert len(calls) == 2 * (1 + 6)  # two lengths of prompts: read once, then a pass per token


def test_an_arm_with_a_changed_stream_writes_what_the_changed_model_does(tiny):
    """Beside arms of the model as it is, which stay what they are; as host and as guest."""
    model, other, prompts = tiny(), tiny(seed=1), rows_of(5, 5, 7)
    kept = {"stops": (2,), "new_tokens": 6}

    def change(stream):
        return stream.flip(-1)

    plain = [GREEDY, Decoding("drawn", 1.2, seed=4)]
    changed = [
        Decoding("flipped", rows=(0, 2), change=change),
        Decoding("halved", change=lambda stream: stream * stream.new_tensor(0.5).cos()),
    ]
    alone = Writer(model, prompts, [Decoding("flipped", rows=(0, 2))], **kept)
    with edited(model, model.n_layers - 1, change):
        expected = write_all([alone])[0]["flipped"]
    own = write_all([Writer(model, prompts, plain, **kept)])[0]
    assert expected != own["greedy"].chosen([0, 2])
    both = Writer(model, prompts, [*plain, *changed], **kept)
    matched = [Decoding("matched", seed=3, match_entropy=True)]
    host = Writer(other, prompts, matched, match_entropy_of=model, **kept)
    for found in (write_all([both])[0], write_all([host, both])[1]):
        assert found["flipped"] == expected
        assert {name: found[name] for name in own} == own


def test_keys_are_written_in_place_and_the_prompts_read_once(tiny):
    """Also by the second model, and in batches that share prompts."""
    model, other, prompts = tiny(), tiny(seed=1), rows_of(5, 5, 5)
    arms = [Decoding(str(k), 1.2, seed=k, match_entropy=k == 2) for k in range(3)]
    read = {}
    for name, item in (("model", model), ("other", other)):
        item.hf.get_input_embeddings().register_forward_hook(
            lambda _, given, __, name=name: read.setdefault(name, []).append(given[0].shape)
        )
    generate(model, prompts, arms, new_tokens=4, batch_size=4, stops=(), match_entropy_of=other)
    long = {
        name: [tuple(shape) for shape in shapes if shape[1] > 1] for name, shapes in read.items()
    }
    assert {name: sum(rows for rows, _ in shapes) for name, shapes in long.items()} == {
        "model": 3,
        "other": 3,
    }
    keys = PromptKeys(model)
    cache = keys.cache(prompts.rows, 9)
    places = [layer.keys.data_ptr() for layer in cache.layers]
    model.hf(input_ids=torch.ones(3, 1, dtype=torch.long), past_key_values=cache, use_cache=True)
    assert [layer.keys.data_ptr() for layer in cache.layers] == places
    assert cache.get_seq_length() == 5


def test_numbers_drawn_ahead_are_those_drawn_one_by_one():
    generator = torch.Generator().manual_seed(5)
    one_by_one = [float(torch.rand(1, generator=generator, dtype=torch.float64)) for _ in range(50)]
    ahead = torch.rand(50, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert ahead.tolist() == one_by_one


def test_a_draw_never_takes_what_has_no_weight():
    logits = torch.full((3, 700), float("-inf"))
    logits[:, [3, 300, 511]] = 0.0
    nearly_one = 1 - 2**-53
    uniforms = torch.tensor([0.0, 0.5, nearly_one]).double()
    assert inverted(logits, torch.ones(3), uniforms).tolist() == [3, 300, 511]


def test_texts_after_prompts_that_were_read_are_read_as_whole(tiny, family):
    """Beyond the windows of the families that have one."""
    model, prompts = tiny(family), rows_of(5, 5, 1)
    keys, after = PromptKeys(model), torch.tensor(rows_of(9, 9, seed=1).rows)
    whole = model.run(torch.cat((torch.tensor(prompts.rows[:2]), after), 1))
    assert torch.allclose(keys.run_after(prompts.rows[:2], after), whole[:, 4:], atol=1e-5)
    single = model.run(torch.tensor([prompts.rows[2] + tuple(after[0].tolist())]))
    assert torch.allclose(keys.run_after(prompts.rows[2:], after[:1]), single, atol=1e-5)
