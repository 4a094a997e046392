"""One comparison in progress: models in their roles, and what its claims share."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch

from hyperinterp.checkpoints import check_place
from hyperinterp.claims.roles import TRAINING
from hyperinterp.errors import InputRefused, MismatchedPair
from hyperinterp.frequencies import Frequencies
from hyperinterp.harness import Tasks
from hyperinterp.models import HookedModel, checked
from hyperinterp.pairs import check_pair, settings_notes
from hyperinterp.runs import HeldOut, RunContext, SharedRuns
from hyperinterp.sizes import Sizes
from hyperinterp.text import (
    Corpus,
    Passages,
    TokenRows,
    TokenStream,
    contents,
    notes,
    open_stream,
    shared_ngrams,
    tokenise,
)
from hyperinterp.vocabulary import (
    check_ids,
    check_reads,
    on_shared_tokens,
    reading_notes,
    shared_tokens,
)

Given = HookedModel | Passages | Corpus | Frequencies | Tasks
"""What stands in a role beside the pair."""

_TRIED = 8  # passages on which two tokenizers are compared


@dataclass
class Study:
    """The pair and what stands beside it, the held-out text, and the runs that claims share.

    Attributes:
        base: the model before.
        fitted: the model after.
        passages: held-out text; at most `sizes.prompts` of it is taken.
        sizes: how much is looked at.
        run: seed, batches, processes, log and resume directory.
        roles: further checkpoints of the base's kind, texts, counts and tasks, by the role that a
            claim declares; "judge 0", "judge 1" where it may have several.
        readers: checkpoints of any architecture and vocabulary, by role.
        chat: "auto", "on" or "off"; see `hyperinterp.text.Chat`.
        wanted: the shared runs that claims have declared; see `SharedRuns.wanted`.
    """

    base: HookedModel
    fitted: HookedModel
    passages: Passages
    sizes: Sizes = field(default_factory=Sizes)
    run: RunContext = field(default_factory=RunContext)
    roles: dict[str, Given] = field(default_factory=dict)
    readers: dict[str, HookedModel] = field(default_factory=dict)
    chat: str = "auto"
    wanted: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name, other in self.models.items():
            if name != "base":
                check_pair(self.base, other)
        self.passages = self.passages.head(self.sizes.prompts)
        for model in (*self.models.values(), *self.readers.values()):
            checked(model)
            self.run.log.warn(*model.notes)
        for model in self.readers.values():
            check_reads(model)
        shared, notes = on_shared_tokens(self.models)
        self.run.log.warn(*notes)
        self._take(shared)
        if self.counts is not None:
            self.counts.of_size(self.base.vocab_size, self.most_rows)
        self._check_corpus()

    def _take(self, models: dict[str, HookedModel]) -> None:
        """Go on with these models, on the tokens that they share, and tell how they differ."""
        self.base, self.fitted = models["base"], models["fitted"]
        self.roles |= {role: model for role, model in models.items() if role in self.roles}
        texts = self.passages.head(_TRIED).texts
        for model in models.values():
            self.run.log.warn(*settings_notes(self.base, model))
            self.run.log.warn(*reading_notes(self.base, model, texts))

    def admitted(self, model: HookedModel) -> HookedModel:
        """A further model, checked against the base and limited to the base's tokens.

        Raises:
            MismatchedPair: the model is not of the base's architecture and vocabulary.
            UnsupportedModel: it fails its self-check.
        """
        check_pair(self.base, model)
        shared = shared_tokens(self.base, model)
        if shared.count < self.base.vocab_size:
            raise MismatchedPair(
                f"{model.name}: expected the {self.base.vocab_size} tokens that the base has, "
                f"found {shared.count} of them; name checkpoints of one vocabulary"
            )
        checked(model)
        self.run.log.warn(*model.notes, *shared.notes, *settings_notes(self.base, model))
        return model.on_tokens(self.base.vocab_size)

    def _check_corpus(self) -> None:
        """Refuse a corpus or a resume directory before hours of work rather than after."""
        if self.stream is not None:
            check_ids(self.base, self.stream.largest, str(self.stream.corpus))
            for model in self.models.values():
                model.check_length(self.sizes.context_tokens, "context_tokens for the corpus")
        self._check_resume()

    def _check_resume(self) -> None:
        """Refuse a resume directory that could not be used, or mixed up with another's."""
        folder = self.run.resume_dir
        if folder is None:
            return
        if folder.exists() and not folder.is_dir():
            raise InputRefused(
                f"{folder}: expected a directory to resume from, found a file; choose another "
                "--resume-dir"
            )
        check_place(folder / "claims")
        if not all(model.fingerprint for model in (*self.models.values(), *self.readers.values())):
            raise InputRefused(
                "resume_dir: expected models with a fingerprint, so that the results of others are "
                "never taken for theirs; found none (load them by name)"
            )

    @property
    def most_rows(self) -> int:
        """Token ids of the largest vocabulary among the models, shared or not."""
        return max(model.rows for model in self.models.values())

    @property
    def logit_precision(self) -> float:
        """Logit differences up to this are rounding, for the dtype the models run in."""
        return {torch.float32: 1e-3, torch.bfloat16: 0.25, torch.float16: 0.05}.get(
            self.base.dtype, 1e-6
        )

    def text(self, role: str) -> Passages | None:
        """The passages in a role; None when there are none."""
        found = self.roles.get(role)
        return found if isinstance(found, Passages) else None

    def text_rows(self, role: str) -> TokenRows:
        """Token rows of the whole passages in a role, without a template.

        Raises:
            InputRefused: no passages have that role.
        """
        passages = self.text(role)
        if passages is None:
            raise InputRefused(f"{role}: expected passages, found none; give some with --{role}")
        rows = tokenise(
            self.heldout.tokenizer, contents(passages, self.heldout.template), 1_000_000
        )
        check_ids(self.base, max(max(row) for row in rows.rows), passages.origin)
        return rows

    @property
    def training(self) -> Passages | None:
        """The passages that the fitted model was trained on, when they are known."""
        return self.text(TRAINING.name)

    @cached_property
    def training_rows(self) -> TokenRows | None:
        """Token rows of the whole training passages, when they are known; without a template."""
        if self.training is None:
            return None
        rows = self.text_rows(TRAINING.name)
        held_out = self.heldout.rows.rows
        if self.heldout.rows.conversations:  # a template is the same for all
            held_out = tokenise(
                self.heldout.tokenizer,
                contents(self.passages, self.heldout.template),
                self.sizes.context_tokens,
            ).rows
        overlap = shared_ngrams(rows.rows, held_out, 8)
        if overlap:
            self.run.log.warnings.append(
                f"{overlap} of {len(self.heldout.rows)} held-out passages share 8 tokens in a row "
                "with the training text: figures on them are not held-out figures."
            )
        return rows

    @property
    def counts(self) -> Frequencies | None:
        """The token frequencies that stand in a role; None without any."""
        return next((item for item in self.roles.values() if isinstance(item, Frequencies)), None)

    @property
    def tasks(self) -> Tasks | None:
        """The tasks that stand in a role; None without any."""
        return next((item for item in self.roles.values() if isinstance(item, Tasks)), None)

    @property
    def corpus(self) -> Corpus | None:
        """The text of any length that stands in a role; None without one."""
        return next((item for item in self.roles.values() if isinstance(item, Corpus)), None)

    @cached_property
    def stream(self) -> TokenStream | None:
        """The corpus as token rows; None without one."""
        if self.corpus is None:
            return None
        with self.run.log.timed("first reading of the corpus"):
            found = open_stream(
                self.corpus,
                self.heldout.tokenizer,
                self.sizes.context_tokens,
                chat=self.heldout.template,
            )
        self.run.log.warnings += notes(found, self.heldout.template)
        return found

    # -- what claims share -----------------------------------------------------------------

    @cached_property
    def heldout(self) -> HeldOut:
        """The held-out text as token rows."""
        return HeldOut(self.passages, self.models, self.sizes, self.run, self.chat)

    @cached_property
    def shared(self) -> SharedRuns:
        """The runs over the pair that claims share."""
        return SharedRuns(self.models, self.heldout, self.sizes, self.run, self.stream, self.wanted)

    # -- models ----------------------------------------------------------------------------

    @property
    def models(self) -> dict[str, HookedModel]:
        """The pair as "base" and "fitted", and what else is of the base's kind, by role."""
        given = {role: it for role, it in self.roles.items() if isinstance(it, HookedModel)}
        return {"base": self.base, "fitted": self.fitted, **given}

    def model(self, role: str) -> HookedModel:
        """The model in a role; see `models` and `readers`.

        Raises:
            InputRefused: no checkpoint has that role.
        """
        found = self.models | self.readers
        if role not in found:
            raise InputRefused(f"{role}: expected a checkpoint, found none; give one with --{role}")
        return found[role]

    def named(self, role: str) -> tuple[str, ...]:
        """Return the names of all in a role: ("judge 0", "judge 1") where it may have several."""
        names = (*self.models, *self.readers, *self.roles)
        return tuple(dict.fromkeys(name for name in names if name.partition(" ")[0] == role))

    def given(self, role: str) -> bool:
        """Return True when a checkpoint or text of this role was given."""
        if self.text(role) is not None:
            return bool(self.training_rows if role == TRAINING.name else self.text_rows(role))
        return bool(self.named(role))

    def described(self) -> dict[str, Any]:
        """The sizes as plain data for the report."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self.sizes).items()
        }
