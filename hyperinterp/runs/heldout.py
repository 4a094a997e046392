"""Held-out text as token rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hyperinterp.models import HookedModel
from hyperinterp.runs.context import RunContext
from hyperinterp.sizes import Sizes
from hyperinterp.text import Chat, Passages, TokenRows, chat_of, notes, tokenise
from hyperinterp.vocabulary import check_ids


@dataclass
class HeldOut:
    """Passages that no model was trained on, as the token rows that all models read.

    Attributes:
        passages: the text.
        models: by role; the tokenizer of "base" makes the rows for all.
        sizes: how many tokens are read and generated.
        run: takes warnings.
        chat: "auto", "on" or "off"; see `hyperinterp.text.Chat`.
    """

    passages: Passages
    models: Mapping[str, HookedModel]
    sizes: Sizes
    run: RunContext
    chat: str = "auto"

    @property
    def tokenizer(self) -> Any:
        """The base's tokenizer (the pair shares it)."""
        return self.models["base"].tokenizer

    @cached_property
    def template(self) -> Chat:
        """The chat template for all models: the base's, else the fitted model's."""
        pair = (self.models["base"], self.models["fitted"])
        return chat_of(self.chat, [(model.name, model.tokenizer) for model in pair])

    @cached_property
    def rows(self) -> TokenRows:
        """Token rows of the passages, which the models read.

        Raises:
            InputRefused: no passage is long enough, or one is too long for a model.
        """
        length = self.sizes.context_tokens
        rows = tokenise(
            self.tokenizer, self.passages, length, min_length=4, open_end=True, chat=self.template
        )
        if rows.short:
            self.run.log.warnings.append(
                f"{rows.short} passages had fewer than 4 tokens and were left out."
            )
        self.run.log.warnings += notes(rows, self.template)
        longest = max(map(len, rows.rows))
        needed = max(
            longest, rows.openings(self.sizes.prompt_tokens).length + self.sizes.new_tokens
        )
        check_ids(self.models["base"], max(max(row) for row in rows.rows), self.passages.origin)
        for model in self.models.values():
            model.check_length(needed, "context_tokens or new_tokens")
        return rows

    @cached_property
    def prompts(self) -> TokenRows:
        """The first tokens of the same passages, or all before an answer, given to continue."""
        return self.rows.openings(self.sizes.prompt_tokens)

    @property
    def control_rows(self) -> tuple[int, ...]:
        """Numbers of the first prompts, which the generated control arms continue."""
        return tuple(range(len(self.prompts))[: self.sizes.control_prompts])

    def prompt_id(self, row: int) -> str:
        """Return the identifier of the passage behind a token row."""
        return self.passages.items[self.rows.index[row]].id
