"""Figures do not depend on how a tokenizer pads, whether it can, or on the size of a batch."""

import json
import random
from copy import deepcopy

import pytest
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers import models as token_models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from hyperinterp.comparison import compare
from hyperinterp.generation import continue_text
from hyperinterp.models import HookedModel
from hyperinterp.sizes import Sizes
from hyperinterp.text import Corpus, Passage, Passages, encoded, open_stream, tokenise
from hyperinterp.training.data import prepare_rows

VOCAB = 300
WORDS = ("naïve", "日本", "café", "stone", "🜂🜄", "river", "ß", "a", "Ω mega", "light")
SIZES = Sizes(
    prompts=12, prompt_tokens=5, new_tokens=18, window=18, context_tokens=14,
    contexts_per_prompt=4, order_contexts=8, lens_contexts=4, components=True,
    variants=("unit_norm",),
    control_prompts=2, seeds=1, sweep=(), alphas=(1.0,), bias_steps=2, patch_prompts=2,
    null_draws=1, null_blocks=1, stitched=1,
)  # fmt: skip


def byte_level() -> Tokenizer:
    """Every token is one byte: all characters beyond ASCII are split over several tokens."""
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(token_models.BPE({s: n for n, s in enumerate(symbols)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return inner


def sentencepiece_like() -> Tokenizer:
    """Unigram with a meta-space and byte fallback, as sentencepiece makes it."""
    pieces = [("<unk>", 0.0)] + [(f"<0x{n:02X}>", -9.0) for n in range(256)]
    pieces += [(f"▁{word}", -2.0) for word in ("stone", "river", "light", "a")] + [("▁", -3.0)]
    inner = Tokenizer(token_models.Unigram(pieces, unk_id=0, byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(), decoders.Fuse()]
    )
    return inner


def tokenizer(
    kind: str,
    *,
    bos: bool = False,
    eos: bool = False,
    pad: str | None = None,
    side: str = "right",
):
    inner = {"bytes": byte_level, "pieces": sentencepiece_like}[kind]()
    inner.add_special_tokens(["<s>", "</s>", "<pad>"])
    if bos or eos:
        inner.post_processor = processors.TemplateProcessing(
            single=["<s>"] * bos + ["$A"] + ["</s>"] * eos,
            special_tokens=[(name, inner.token_to_id(name)) for name in ("<s>", "</s>")],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token=pad, padding_side=side
    )


def passages(count: int = 12) -> Passages:
    """Texts of different lengths, some of them with characters of several bytes."""
    draw = random.Random(4)
    texts = [" ".join(draw.choice(WORDS) for _ in range(draw.randint(3, 9))) for _ in range(count)]
    return Passages(tuple(Passage(str(n), f"{t} {n}") for n, t in enumerate(texts)), "words")


def pair() -> tuple[LlamaForCausalLM, LlamaForCausalLM]:
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.3,
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = LlamaForCausalLM(config).eval()
        fitted = deepcopy(base)
        with torch.no_grad():
            for weight in fitted.parameters():
                weight += 0.05 * torch.randn_like(weight)
    return base, fitted


def report_of(made: PreTrainedTokenizerFast, batch_size: int = 8, texts: Passages | None = None):
    base, fitted = (HookedModel(hf, made, name=n) for hf, n in zip(pair(), "bf", strict=True))
    return compare(
        base, fitted, prompts=texts or passages(), claims="C1,C4,C5", sizes=SIZES,
        batch_size=batch_size,
    )  # fmt: skip


def figures(report) -> dict:
    """Everything measured; not the clock, nor what a piece of work is called."""
    data = json.loads(report.to_json())
    data.pop("provenance")
    return data


def numbers(data, path=""):
    """Every number of a report by its path."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from numbers(value, f"{path}.{key}")
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from numbers(value, f"{path}[{index}]")
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield path, data


@pytest.mark.parametrize(("kind", "bos"), [("bytes", False), ("pieces", True)])
def test_padding_side_and_pad_token_change_nothing(kind, bos):
    expected = figures(report_of(tokenizer(kind, bos=bos)))
    for pad, side in (("<pad>", "left"), ("</s>", "right")):
        found = figures(report_of(tokenizer(kind, bos=bos, pad=pad, side=side)))
        assert found == expected, (pad, side)


@pytest.mark.parametrize("kind", ["bytes", "pieces"])
def test_the_batch_size_changes_rounding_only(kind):
    made = tokenizer(kind, bos=True)
    expected = dict(numbers(figures(report_of(made, 1))))
    assert len(expected) > 200
    found = dict(numbers(figures(report_of(made, 5))))
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        assert found[path] == pytest.approx(value, rel=2e-3, abs=2e-4), path


@pytest.mark.parametrize("kind", ["bytes", "pieces"])
def test_the_begin_token_is_there_once_or_not_at_all(kind):
    for bos in (False, True):
        made = tokenizer(kind, bos=bos)
        rows = tokenise(made, passages(), 10).rows
        assert {row.count(made.bos_token_id) for row in rows} == {int(bos)}
        assert all((row[0] == made.bos_token_id) is bos for row in rows)


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("kind", ["bytes", "pieces"])
def test_an_end_that_the_tokenizer_appends_is_trained_on_and_never_continued(kind, bos):
    made, plain = tokenizer(kind, bos=bos, eos=True), tokenizer(kind, bos=bos)
    end = made.eos_token_id
    expected = tokenise(plain, passages(), 500).rows
    assert tokenise(made, passages(), 500, open_end=True).rows == expected
    assert tokenise(made, passages(), 500).rows == tuple((*row, end) for row in expected)
    assert prepare_rows(made, passages(), 500)[0].rows[0][-1] == end
    written = encoded(made, ["stone</s>", "</s>", ""])
    assert written == encoded(plain, ["stone</s>", "</s>", ""])
    assert written[0][-1] == written[1][-1] == end  # those are in the text
    hf = pair()[0]
    models = [HookedModel(hf, each, name="a") for each in (made, plain)]
    texts = ["stone", "a river", "light </s>"]
    ours, theirs = (continue_text(model, texts, new_tokens=5) for model in models)
    assert ours == theirs


def test_figures_do_not_depend_on_an_end_that_the_tokenizer_appends(tmp_path):
    short = Passages(tuple(Passage(i.id, i.text[:9]) for i in passages()), "short")
    expected, found = (
        figures(report_of(tokenizer("bytes", eos=eos), texts=short)) for eos in (False, True)
    )
    assert found == expected
    path = tmp_path / "corpus.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in short.texts))
    streams = [open_stream(Corpus(path), tokenizer("bytes", eos=eos), 64) for eos in (False, True)]
    assert streams[0].sha256 == streams[1].sha256


def test_a_tokenizer_from_transformers_that_adds_ends(tmp_path):
    tokenizer("bytes").save_pretrained(tmp_path)
    given = {"add_bos_token": True, "add_eos_token": True}
    made = PreTrainedTokenizerFast.from_pretrained(tmp_path, **given)
    begin, end = made.bos_token_id, made.eos_token_id
    assert made("a")["input_ids"][-1] == end
    assert encoded(made, ["a"]) == [made("a")["input_ids"][:-1]]
    assert encoded(made, [""]) == [[begin]]


@pytest.mark.parametrize("kind", ["bytes", "pieces"])
def test_tokens_that_are_part_of_a_character_reach_the_report(kind, tmp_path):
    made = tokenizer(kind)
    ids = made("日本", add_special_tokens=False)["input_ids"]
    assert len(ids) > 2
    assert "�" in made.decode(ids[:-1])
    assert made.decode(ids).strip() == "日本"
    report = report_of(made)
    written = report.save(tmp_path / "report")
    text = written["report.md"].read_text(encoding="utf-8")
    assert "\udcff" not in text
    assert "�" in written["report.json"].read_text(encoding="utf-8")
