"""Conversations: the library's own template text, one begin token, prompts that are whole."""

import json
import time

import pytest

from hyperinterp.errors import InputRefused, UnsafeFile
from hyperinterp.text import (
    Corpus,
    Passage,
    Passages,
    as_passages,
    chat,
    chat_of,
    contents,
    open_stream,
    read_passages,
    tokenise,
)
from hyperinterp.training.data import prepare_rows
from tests.hyperinterp.test_tokenizers import tokenizer

CHATML = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | trim }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WITH_BOS = "{{ bos_token }}" + CHATML
TRICKY = (
    "{%- set ns = namespace(n=0) -%}{{ bos_token }}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
    "{% if loop.first and m.role == 'system' %}{% continue %}{% endif %}"
    "{{ ns.n }}{{ m | tojson }}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    "{%- if strftime_now is defined %}{{ strftime_now('') }}{% endif %}"
    "{{ dict(a=1).a }}{% if add_generation_prompt %}>{% endif %}"
)
TALK = (("system", "Be brief."), ("user", "Où est 日本?"), ("assistant", " In the east. "))
TALKS = {
    "user": TALK[1:2], "system": TALK[:2], "answered": TALK[1:], "all": TALK,
    "two turns": (*TALK, ("user", "And Peru?")),
}  # fmt: skip


def with_template(template=WITH_BOS, **given):
    made = tokenizer("bytes", **given)
    made.chat_template = template
    return made


def talks(*turns):
    rows = [[{"role": role, "content": said} for role, said in each] for each in turns]
    return as_passages(rows, what="talks")


def rows_of(made, passages, length=500, mode="auto", **given):
    template = chat_of(mode, [("model", made)])
    return tokenise(made, passages, length, min_length=1, chat=template, **given)


def library(made, turns, *, prompt):
    messages = [{"role": role, "content": said} for role, said in turns]
    found = made.apply_chat_template(messages, add_generation_prompt=prompt)
    return tuple(found["input_ids"] if not isinstance(found, list) else found)


@pytest.mark.parametrize("template", [CHATML, WITH_BOS, TRICKY])
@pytest.mark.parametrize("bos", [False, True])
def test_token_ids_are_those_of_the_library(template, bos):
    made = with_template(template, bos=bos)
    passages = talks(*TALKS.values())
    learnt = rows_of(made, passages)
    assert learnt.rows == tuple(library(made, each, prompt=False) for each in TALKS.values())
    assert learnt.conversations == len(TALKS)
    given = rows_of(made, passages, open_end=True).openings(3)
    expected = [t[:-1] if t[-1][0] == "assistant" else t for t in TALKS.values()]
    assert given.rows == tuple(library(made, each, prompt=True) for each in expected)
    for row in (*learnt.rows, *given.rows):
        assert row.count(made.bos_token_id) == ("bos_token" in template)


def test_a_text_that_begins_with_the_begin_token_has_one():
    texts = ["river", "<s>river", "<s><s>river", "ri<s>ver", "<s>"]
    for bos, counted in ((True, 3), (False, 1)):
        made = tokenizer("bytes", bos=bos)
        begin = made.bos_token_id
        for ends in (False, True):
            rows = tokenise(made, as_passages(texts), 50, min_length=1, open_end=ends)
            assert rows.rows[1] == rows.rows[2]
            assert [row[:2].count(begin) for row in rows.rows] == [int(bos), 1, 1, int(bos), 1]
            assert rows.begins == counted
            if bos:
                assert rows.rows[0] == rows.rows[1]
        stream = open_stream(Corpus(texts), made, 50, min_length=1)
        assert stream.begins == counted
    assert prepare_rows(tokenizer("bytes", bos=True), as_passages(texts), 50)[1].begins == 2


def test_modes_say_which_texts_are_conversations():
    made = with_template()
    mixed = Passages((Passage("a", "stone"), *talks(TALK[1:2]).items), "mixed")
    auto = rows_of(made, mixed)
    assert auto.conversations == 1
    assert auto.rows[0] == tuple(made("stone")["input_ids"])
    on = rows_of(made, mixed, mode="on", open_end=True)
    assert on.conversations == 2
    assert on.rows[0] == library(made, (("user", "stone"),), prompt=True)
    with pytest.raises(InputRefused, match=r"chat is off, found messages; leave out --chat off"):
        rows_of(made, mixed, mode="off")
    assert rows_of(made, as_passages(["stone"]), mode="off").conversations == 0
    with pytest.raises(InputRefused, match="chat: expected one of auto, on, off, found 'maybe'"):
        chat_of("maybe", [("model", made)])


def test_without_a_template_the_way_out_is_named():
    plain = tokenizer("bytes")
    with pytest.raises(InputRefused, match=r"chat template, found none \(model\); .*--column"):
        rows_of(plain, talks(TALK))
    with pytest.raises(InputRefused, match=r"found none \(model\); .*leave out --chat on"):
        rows_of(plain, as_passages(["stone"]), mode="on")
    found = chat_of("auto", [("base", plain), ("none", None), ("fitted", with_template())])
    assert (found.owner, found.template) == ("fitted", WITH_BOS)


ROWS = {
    "messages": {"messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
    ]},
    "conversations": {"conversations": [
        {"from": "human", "value": "a"}, {"from": "gpt", "value": "b"},
    ]},
    "parts": {"messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}]}, {"from": "gpt", "value": "b"},
    ]},
    "prompt of messages": {
        "prompt": [{"role": "user", "content": "a"}],
        "completion": [{"role": "assistant", "content": "b"}],
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS)
def test_rows_of_chat_data_are_conversations(tmp_path, kind):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[kind]))
    (found,) = read_passages(path)
    assert found.turns == (("user", "a"), ("assistant", "b"))
    assert (found.text, found.plain) == ("a\n\nb", False)


def test_a_prompt_with_its_completion_is_a_text_and_can_be_a_conversation():
    passages = as_passages([{"prompt": "Where? ", "completion": "There."}])
    assert passages.texts == ["Where? There."]
    made = with_template()
    assert rows_of(made, passages).rows == (tuple(made("Where? There.")["input_ids"]),)
    turns = (("user", "Where? "), ("assistant", "There."))
    assert rows_of(made, passages, mode="on").rows == (library(made, turns, prompt=False),)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "ghost", "content": "a"}, "one of the roles .*found 'ghost'"),
        ({"role": "user", "content": None}, r"expected text as 'content', found nothing \(null\)"),
        ({"role": "user", "content": [{"type": "image"}]}, "leave what is not text out"),
        ({"role": "user", "content": "", "tool_calls": [{}]}, "a call of a tool"),
    ],
)
def test_messages_that_are_no_text_are_refused(message, words):
    with pytest.raises(InputRefused, match=f"row 1: message 1: .*{words}"):
        as_passages([{"messages": [message]}])


@pytest.mark.parametrize("length", [59, 60])
def test_a_cut_never_takes_the_opening_of_the_answer(length):
    made = with_template(bos=True)
    long = ("user", "日本 river " * 30)
    passages = talks((TALK[0], long), (TALK[0], long, TALK[2]), (("system", "x" * 99), long))
    rows = rows_of(made, passages, length, open_end=True)
    assert (len(rows), rows.long, rows.index) == (2, 1, (0, 1))
    opening = made("<|assistant|>", add_special_tokens=False)["input_ids"]
    for row, given in zip(rows.rows, rows.openings(5).rows, strict=True):
        assert len(given) <= len(row) <= length
        assert list(given[-len(opening) :]) == opening
        assert len(given) > length - 9


def test_answers_follow_their_prompt_token_by_token():
    made = with_template()
    rows = rows_of(made, talks(TALK), open_end=True)
    text = made.apply_chat_template(
        [{"role": r, "content": s} for r, s in TALK[:2]], add_generation_prompt=True, tokenize=False
    )
    assert made.decode(rows.rows[0]) == text + TALK[2][1]
    assert made.decode(rows.openings(1).rows[0]) == text


def test_what_was_said_is_compared_without_the_template():
    passages = talks(TALK, TALK[1:2])
    made = contents(passages, chat_of("auto", []))
    assert made.texts == ["Be brief.\n\nOù est 日本?\n\n In the east. ", "Où est 日本?"]
    assert [item.turns for item in made] == [(), ()]
    with pytest.raises(InputRefused, match="chat is off"):
        contents(passages, chat_of("off", []))


def test_conversations_of_a_corpus_are_put_into_the_template():
    made = with_template()
    rows = [{"messages": [{"role": "user", "content": f"number {n}"}]} for n in range(5)]
    stream = open_stream(Corpus(rows), made, 64, chat=chat_of("auto", [("model", made)]))
    assert stream.conversations == stream.n_rows == 5
    found = {tuple(row) for _, ids in stream.batches(2) for row in ids.tolist()}
    assert found == {library(made, (("user", f"number {n}"),), prompt=True) for n in range(5)}


HOSTILE = {
    "no end": ("{% set r = range(9999) %}{% for a in r %}{% for b in r %}{% for c in r %}"
               "{% endfor %}{% endfor %}{% endfor %}", "a limit of time"),
    "a power": ("{{ 9 ** (9 ** 9) }}", "a limit of time"),
    "a giant": ("{{ 'a' * 10 ** 10 }}", "a limit of memory|ended|OverflowError|MemoryError"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_template_is_bounded(monkeypatch, kind, tmp_path):
    child = tmp_path / "child.py"
    child.write_text(chat._CHILD.read_text().replace("SECONDS_EACH = 20, ", "SECONDS_EACH = 4, "))
    assert "= 4, " in child.read_text()
    monkeypatch.setattr(chat, "_CHILD", child)
    template, words = HOSTILE[kind]
    start = time.process_time()
    with pytest.raises(UnsafeFile, match=words) as caught:
        rows_of(with_template(template), talks(TALK))
    assert "use another template" in str(caught.value)
    assert time.process_time() - start < 2  # what it costs, it costs the child


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError|unsafe|not callable"),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ 'a' * 3000000 }}", "it wrote 3000000 characters"),
    ],
)
def test_what_a_template_refuses_is_said(template, words):
    with pytest.raises(InputRefused, match=f"passage '1': .*({words}).*change or leave out"):
        rows_of(with_template(template), talks(TALK))


def test_the_date_that_templates_are_told_never_changes():
    made = with_template("{{ strftime_now('%d %b %Y') }}")
    (row,) = rows_of(made, talks(TALK)).rows
    assert made.decode(row) == "26 Jul 2024"
