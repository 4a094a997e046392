"""Two vocabularies: what is shared is compared, what is not has no logit and is never written."""

import json
from copy import deepcopy

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers import models as token_models
from transformers import PreTrainedTokenizerFast

from hyperinterp.checkpoints import load_tokenizer
from hyperinterp.comparison import compare
from hyperinterp.errors import InputRefused, MismatchedPair
from hyperinterp.frequencies import Frequencies
from hyperinterp.generation import generate
from hyperinterp.models import Component, ComponentKind, HookedModel, patched
from hyperinterp.sizes import Sizes
from hyperinterp.text import Passage, Passages, TokenRows
from hyperinterp.under_comparison import Study
from hyperinterp.vocabulary import reading_notes, shared_tokens
from tests.hyperinterp.families import SMALL
from tests.hyperinterp.models.test_settings import pair as pair_of_settings

WORDS = 40
SIZES = Sizes(
    prompts=9, prompt_tokens=5, new_tokens=12, window=12, context_tokens=12,
    contexts_per_prompt=4, order_contexts=8, lens_contexts=2, components=False, variants=(),
)  # fmt: skip


def words(*added, count=WORDS, begin=True, renamed=None):
    """One token per word; `added` come behind them."""
    names = ["<unk>", "<s>", "</s>", *(f"w{k}" for k in range(3, count))]
    for index, name in (renamed or {}).items():
        names[index] = name
    backend = Tokenizer(
        token_models.WordLevel({name: k for k, name in enumerate(names)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if begin:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    if added:
        made.add_special_tokens({"additional_special_tokens": list(added)})
    return made


def hooked(tokenizer, rows=WORDS, *, seed=0, name="base", loud=()):
    """A tiny model whose logits of the rows `loud` drown all others."""
    model, _ = pair_of_settings("llama", SMALL | {"vocab_size": WORDS}, {})
    model.hf.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.hf.model.layers.parameters():
            parameter.add_(0.1 * seed * torch.randn(parameter.shape, generator=generator))
        head = model.hf.lm_head.weight
        generator = torch.Generator().manual_seed(5)
        head[:WORDS] = torch.randn((WORDS, head.shape[1]), generator=generator)
        embedding = model.hf.model.embed_tokens.weight
        embedding[:WORDS] = torch.randn((WORDS, head.shape[1]), generator=generator)
        for row in loud:
            head[row] = 100 * head[3:WORDS].abs().sum(0)
    return HookedModel(model.hf, tokenizer, name=name, fingerprint=str(seed) * 64)


def passages(count=9):
    draw = torch.Generator().manual_seed(2)
    texts = [
        " ".join(f"w{k}" for k in torch.randint(3, WORDS, (14,), generator=draw).tolist())
        for _ in range(count)
    ]
    return Passages(tuple(Passage(str(k), text) for k, text in enumerate(texts)), "words")


def bases():
    """The same model: as it is, with an added pad token, with spare rows, and with both."""
    return {
        "plain": lambda **more: hooked(words(), **more),
        "grown": lambda **more: hooked(words("<pad>"), WORDS + 1, loud=[WORDS], **more),
        "spare": lambda **more: hooked(words(), WORDS + 6, loud=[WORDS + 2], **more),
        "spare and pad": lambda **more: hooked(
            words("<pad>"), WORDS + 6, loud=[WORDS, WORDS + 5], **more
        ),
    }


@pytest.fixture(scope="module")
def expected():
    return compare(*_pair("plain", "plain"), prompts=passages(), claims="C1,C3,C4", sizes=SIZES)


def _pair(first, second):
    return bases()[first](), bases()[second](seed=1, name="fitted")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("plain", "grown"), ("grown", "plain"), ("spare", "plain"), ("spare", "spare and pad"),
        ("plain", "spare and pad"), ("spare and pad", "plain"),
    ],
)  # fmt: skip
def test_the_figures_are_those_of_the_shared_tokens(first, second, expected):
    """Rows that drown all others, in one model or both, change no figure and are not written."""
    found = compare(*_pair(first, second), prompts=passages(), claims="C1,C3,C4", sizes=SIZES)
    assert found.claims == expected.claims
    assert found.diversity == expected.diversity
    assert found.reranking == expected.reranking
    notes = " ".join(found.provenance.warnings)
    assert ("'<pad>' (id 40)" in notes) == ("pad" in second + first or "grown" in first + second)
    assert "row" in notes or "grown" in first + second


@pytest.mark.parametrize("kind", ["grown", "spare", "spare and pad"])
def test_a_limited_model_reads_out_and_writes_shared_tokens_only(kind):
    whole, plain = bases()[kind](), bases()["plain"]()
    limited = whole.on_tokens(WORDS)
    ids = torch.randint(3, WORDS, (2, 7), generator=torch.Generator().manual_seed(0))
    assert limited.vocab_size == WORDS < limited.rows
    assert torch.allclose(limited.logits(ids), plain.logits(ids), atol=1e-5)
    assert torch.allclose(limited.lens(plain.run(ids)), plain.lens(plain.run(ids)), atol=1e-5)
    rows = TokenRows(tuple(map(tuple, ids.tolist())), (0, 1), 7, 0)
    assert max(map(max, generate(whole, rows, new_tokens=5, stops=[])["greedy"].rows)) >= WORDS
    assert generate(limited, rows, new_tokens=5) == generate(plain, rows, new_tokens=5)
    with patched(limited, plain, [Component(ComponentKind.UNEMBED)]) as stitched:
        assert stitched.logits(ids).shape[-1] == WORDS
    assert whole.vocab_size == whole.rows  # the caller's own is as it was


def test_a_vocabulary_that_really_differs_is_refused_with_right_counts():
    other = hooked(words(renamed={5: "x", 7: "y"}), name="fitted")
    with pytest.raises(
        MismatchedPair, match=r"2 ids that differ between 40 tokens and 40 \(id 5 is 'w5' and 'x';"
    ):
        Study(base=hooked(words()), fitted=other, passages=passages(), sizes=SIZES)
    longer = hooked(words(count=WORDS + 9), WORDS + 9, name="fitted")  # not added: another one
    with pytest.raises(MismatchedPair, match=r"9 ids that differ between 40 tokens and 49 .*--tok"):
        shared_tokens(hooked(words()), longer)


def test_settings_of_a_tokenizer_that_change_no_id_do_not_matter():
    ours, theirs = words(), words()
    theirs.padding_side, theirs.model_max_length = "left", 7
    theirs.chat_template, theirs.name_or_path = "{{ messages }}", "elsewhere"
    found = shared_tokens(hooked(ours), hooked(theirs, name="fitted"))
    assert (found.count, found.notes) == (WORDS, ())


def test_begin_tokens_that_differ_are_told_and_the_bases_tokenizer_makes_the_rows():
    base, other = hooked(words()), hooked(words(begin=False), seed=1, name="fitted")
    (note,) = reading_notes(base, other, passages().texts)
    assert "base's tokenizer begins a text with '<s>', fitted's adds no begin token" in note
    study = Study(base=base, fitted=other, passages=passages(), sizes=SIZES)
    assert all(row[0] == 1 for row in study.heldout.rows.rows)
    assert note in study.run.log.warnings


def test_a_base_without_tokenizer_takes_the_others():
    study = Study(
        base=hooked(None), fitted=bases()["grown"](seed=1, name="fitted"), passages=passages(),
        sizes=SIZES,
    )  # fmt: skip
    assert study.base.vocab_size == study.fitted.vocab_size == WORDS
    assert any("base has no tokenizer: that of fitted" in it for it in study.run.log.warnings)


def test_neither_has_a_tokenizer_and_one_that_is_given():
    nobody = [hooked(None), hooked(None, seed=1, name="fitted")]
    with pytest.raises(InputRefused, match=r"expected a tokenizer, found none.*--tokenizer"):
        Study(base=nobody[0], fitted=nobody[1], passages=passages(), sizes=SIZES)
    given = compare(*nobody, prompts=passages(), claims="C1", sizes=SIZES, tokenizer=words())
    own = compare(*_pair("plain", "plain"), prompts=passages(), claims="C1", sizes=SIZES)
    assert given.claims["C1"] == own.claims["C1"]
    assert nobody[0].tokenizer is None


def test_text_with_a_token_that_only_the_base_has_is_refused():
    base = bases()["grown"]()
    study = Study(
        base=base, fitted=bases()["plain"](seed=1), sizes=SIZES,
        passages=Passages((Passage("1", "w3 w4 <pad> w5 w6"), *passages().items), "words"),
    )  # fmt: skip
    with pytest.raises(InputRefused, match=r"found '<pad>' \(id 40\), which not all"):
        _ = study.heldout.rows


def test_a_table_of_counts_may_name_tokens_that_are_left_out():
    table = Frequencies({3: 5, WORDS: 2})
    study = Study(
        base=bases()["grown"](), fitted=bases()["plain"](seed=1), passages=passages(),
        sizes=SIZES, roles={"frequencies": table},
    )  # fmt: skip
    assert len(table.of_size(study.base.vocab_size, study.most_rows)) == WORDS
    with pytest.raises(InputRefused, match="below 41, found 99"):
        Frequencies({99: 1}).of_size(WORDS, WORDS + 1)


def test_other_shapes_are_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(
        "hyperinterp.under_comparison.checked", lambda *_: pytest.fail("ran the model")
    )
    narrow, _ = pair_of_settings("llama", SMALL | {"vocab_size": WORDS}, {})
    wide, _ = pair_of_settings("llama", SMALL | {"vocab_size": WORDS, "intermediate_size": 64}, {})
    pair = [HookedModel(one.hf, words(), name=name) for one, name in ((narrow, "a"), (wide, "b"))]
    with pytest.raises(MismatchedPair, match=r"gate_proj.weight is \[48, 32\] and \[64, 32\]"):
        Study(base=pair[0], fitted=pair[1], passages=passages(), sizes=SIZES)


def test_settings_reach_the_report_and_the_cause():
    """Equal weights, other rotary settings: all blocks recover everything, and it is said."""
    rotary = {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}
    first, second = pair_of_settings("llama", SMALL | {"vocab_size": WORDS}, rotary)
    found = compare(
        HookedModel(first.hf, words(), name="a", fingerprint="1" * 64),
        HookedModel(second.hf, words(), name="b", fingerprint="1" * 64),
        prompts=passages(), claims="C6", sizes=SIZES,
    )  # fmt: skip
    for direction in ("fitted into base", "base into fitted"):
        every = [it for it in found.last_block.patches
                 if it.direction == direction and it.layers == (0, 1, 2)]  # fmt: skip
        assert [it.recovered_kl.value for it in every] == [1.0, 1.0]
    assert found.last_block.nulls == ()
    last = found.last_block.last_recovered.value  # a change of norm zero recovers nothing
    assert found.last_block.last_above_null.value == pytest.approx(last, abs=0.02)
    told = " ".join(found.provenance.warnings)
    assert "rope_parameters.rope_theta 10000.0 and 50.0 (carried by block and attention)" in told
    assert "same weights and differ in settings alone" in told
    assert "same weights and settings" not in told


def test_a_tokenizer_by_the_name_of_its_directory(tmp_path):
    words("<pad>").save_pretrained(tmp_path / "alone")
    assert load_tokenizer(tmp_path / "alone").get_vocab() == words("<pad>").get_vocab()
    given = words()
    assert load_tokenizer(given) is given
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(InputRefused):
        load_tokenizer(tmp_path / "empty")


def test_packed_or_eight_bit_weights_are_refused_in_one_line():
    model = hooked(words())
    other = deepcopy(model.hf).to(torch.float8_e4m3fn)
    with pytest.raises(InputRefused, match=r"found float8_e4m3fn; load it de-quantised"):
        Study(
            base=HookedModel(other, words(), name="a"), fitted=HookedModel(other, words()),
            passages=passages(), sizes=SIZES,
        )  # fmt: skip
