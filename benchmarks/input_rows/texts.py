"""Texts as people have them."""

import gzip
import json
from collections.abc import Callable
from typing import Any

from benchmarks.input_rows.bench import TEXTS, Bench, Case, Make
from tests.hyperinterp import people

LINES = "\n".join(json.dumps({"text": text}) for text in TEXTS)


def text_file(name: str, content: str | bytes, **options: Any) -> Make:
    """Prompts as a file."""

    def make(bench: Bench) -> Case:
        path = bench.root / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        fitted = people.fitted(bench.root)
        return Case(bench.base, fitted, options={"prompts": str(path), **options})

    return make


def given_text(make_text: Callable[[], Any], **options: Any) -> Make:
    """Prompts as an object."""

    def make(bench: Bench) -> Case:
        fitted = people.fitted(bench.root)
        return Case(bench.base, fitted, options={"prompts": make_text(), **options})

    return make


def data_set() -> Any:
    """A Hugging Face Dataset."""
    import datasets

    return datasets.Dataset.from_dict({"text": TEXTS})


def conversation(template: bool) -> Make:
    """Rows of messages, for models with and without a chat template."""

    def make(bench: Bench) -> Case:
        pair = [bench.base, people.fitted(bench.root)]
        if template:
            for folder in pair:
                people.edit(
                    folder / "tokenizer_config.json",
                    chat_template="{% for m in messages %}<{{ m.role }}>{{ m.content }}\n"
                    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}",
                )
        path = bench.root / "messages.jsonl"
        rows = [{"messages": [{"role": "user", "content": text}]} for text in TEXTS]
        path.write_text("\n".join(map(json.dumps, rows)))
        return Case(*pair, options={"prompts": str(path)})

    return make


TEXT: dict[str, Make] = {
    "JSON lines": text_file("p.jsonl", LINES),
    "JSON lines named `.json`": text_file("p.json", LINES),
    "JSON lines named `.ndjson`": text_file("p.ndjson", LINES),
    "JSON object of columns": text_file("p.json", json.dumps({"text": TEXTS})),
    "gzip of JSON lines": text_file("p.jsonl.gz", gzip.compress(LINES.encode())),
    "another field, `--column prompt`": text_file(
        "p.jsonl", LINES.replace('"text"', '"prompt"'), column="prompt"
    ),
    "another field, not named": text_file("p.jsonl", LINES.replace('"text"', '"prompt"')),
    "texts that begin with the begin token": text_file(
        "p.txt", "\n".join(f"<s>{text}" for text in TEXTS)
    ),
    "conversations, the tokenizer has a chat template": conversation(template=True),
    "conversations, no chat template": conversation(template=False),
    "an HTML page saved as JSON lines": text_file("p.jsonl", "<!doctype html><html></html>"),
    "a list of strings": given_text(lambda: TEXTS),
    "a Hugging Face Dataset": given_text(data_set),
    "one string": given_text(lambda: TEXTS[0]),
}
