"""One comparison in progress: the models, the held-out text, and the runs that analyses share.

Every shared run happens at most once per study; `ledger.forwards` says how often each model ran.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from hyperinterp.capture import ContextRows, Contexts, PairRun, Partial, over_logits, run_pair
from hyperinterp.checkpoints import check_place
from hyperinterp.claims.roles import TRAINING
from hyperinterp.continuations import Continuations
from hyperinterp.distributed import ALONE, Processes
from hyperinterp.errors import InputRefused, MismatchedPair
from hyperinterp.frequencies import Frequencies
from hyperinterp.ledger import Ledger
from hyperinterp.models import HookedModel, checked, settings_digest
from hyperinterp.pairs import check_pair, settings_notes
from hyperinterp.sites import Site, part_sites, stream_sites
from hyperinterp.sizes import Sizes
from hyperinterp.text import (
    Chat,
    Corpus,
    Passages,
    TokenRows,
    TokenStream,
    chat_of,
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

T = TypeVar("T")
Given = HookedModel | Passages | Corpus | Frequencies
"""What stands in a role beside the pair."""

_TRIED = 8  # passages on which two tokenizers are compared


@dataclass
class Study:
    """Models, text and sizes of one comparison, with the runs that its analyses share.

    Attributes:
        base: the model before.
        fitted: the model after.
        passages: held-out text.
        sizes: how much is looked at.
        seed: seeds every random choice.
        batch_size: rows per forward pass; 12 times as many texts are written at once.
        roles: further checkpoints of the base's kind, texts and counts, by the role that a claim
            declares; "judge 0", "judge 1" where it may have several.
        readers: checkpoints of any architecture and vocabulary, by role.
        geometry: the shared run takes moments.
        lens: the run for the intervals of the geometry also keeps what is followed by depth.
        ledger: progress, time and notes.
        processes: the processes that share this study's work; each holds all results.
        partial: folder for the sums of a corpus on the way, so that a run can go on from them.
        chat: "auto", "on" or "off"; see `hyperinterp.text.Chat`.
        kept_rows: by role and site, rows of the followed decisions; see `analyses.followed`.
    """

    base: HookedModel
    fitted: HookedModel
    passages: Passages
    sizes: Sizes = field(default_factory=Sizes)
    seed: int = 0
    batch_size: int = 8
    roles: dict[str, Given] = field(default_factory=dict)
    readers: dict[str, HookedModel] = field(default_factory=dict)
    geometry: bool = True
    lens: bool = True
    ledger: Ledger = field(default_factory=Ledger)
    processes: Processes = ALONE
    partial: Path | None = None
    chat: str = "auto"
    kept_rows: dict[str, dict[Site, ContextRows]] = field(default_factory=dict)
    _made: dict[Callable[["Study"], Any], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, other in self.models.items():
            if name != "base":
                check_pair(self.base, other)
        self.passages = self.passages.head(self.sizes.prompts)
        for model in (*self.models.values(), *self.readers.values()):
            checked(model)
            self.ledger.warn(*model.notes)
        for model in self.readers.values():
            check_reads(model)
        shared, notes = on_shared_tokens(self.models)
        self.ledger.warn(*notes)
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
            self.ledger.warn(*settings_notes(self.base, model))
            self.ledger.warn(*reading_notes(self.base, model, texts))

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
        self.ledger.warn(*model.notes, *shared.notes, *settings_notes(self.base, model))
        return model.on_tokens(self.base.vocab_size)

    def _check_corpus(self) -> None:
        """Refuse a corpus, or a folder for its sums, before hours of work rather than after."""
        if self.stream is not None:
            check_ids(self.base, self.stream.largest, str(self.stream.corpus))
            for model in self.models.values():
                model.check_length(self.sizes.context_tokens, "context_tokens for the corpus")
        if self.partial is None:
            return
        if self.corpus is None:
            raise InputRefused(
                "partial sums: expected a corpus beside their folder, found none; give --corpus"
            )
        if self.partial.exists() and not self.partial.is_dir():
            raise InputRefused(
                f"{self.partial}: expected a folder for partial sums, found a file; choose "
                "another --partial"
            )
        check_place(self.partial / "sums")
        if not (self.base.fingerprint and self.fitted.fingerprint):
            raise InputRefused(
                "partial sums: expected models with a fingerprint, so that the sums of others are "
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

    # -- text ------------------------------------------------------------------------------

    @property
    def tokenizer(self) -> Any:
        """The base's tokenizer (the pair shares it)."""
        return self.base.tokenizer

    @cached_property
    def contexts_rows(self) -> TokenRows:
        """Token rows of the passages that both models read."""
        length = self.sizes.context_tokens
        rows = tokenise(
            self.tokenizer, self.passages, length, min_length=4, open_end=True, chat=self.template
        )
        if rows.short:
            self.ledger.warnings.append(
                f"{rows.short} passages had fewer than 4 tokens and were left out."
            )
        self.ledger.warnings += notes(rows, self.template)
        longest = max(map(len, rows.rows))
        needed = max(
            longest, rows.openings(self.sizes.prompt_tokens).length + self.sizes.new_tokens
        )
        check_ids(self.base, max(max(row) for row in rows.rows), self.passages.origin)
        for model in self.models.values():
            model.check_length(needed, "context_tokens or new_tokens")
        return rows

    @cached_property
    def prompt_rows(self) -> TokenRows:
        """The first tokens of the same passages, or all before an answer, given to continue."""
        return self.contexts_rows.openings(self.sizes.prompt_tokens)

    @cached_property
    def template(self) -> Chat:
        """The chat template for all models: the base's, else the fitted model's."""
        pair = (self.base, self.fitted)
        return chat_of(self.chat, [(model.name, model.tokenizer) for model in pair])

    @property
    def control_rows(self) -> tuple[int, ...]:
        """Numbers of the first prompts, which the generated control arms continue."""
        return tuple(range(len(self.prompt_rows))[: self.sizes.control_prompts])

    def prompt_id(self, row: int) -> str:
        """Identifier of the passage behind a token row."""
        return self.passages.items[self.contexts_rows.index[row]].id

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
        rows = tokenise(self.tokenizer, contents(passages, self.template), 1_000_000)
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
        held_out = self.contexts_rows.rows
        if self.contexts_rows.conversations:  # a template is the same for all
            held_out = tokenise(
                self.tokenizer, contents(self.passages, self.template), self.sizes.context_tokens
            ).rows
        overlap = shared_ngrams(rows.rows, held_out, 8)
        if overlap:
            self.ledger.warnings.append(
                f"{overlap} of {len(self.contexts_rows)} held-out passages share 8 tokens in a row "
                "with the training text: figures on them are not held-out figures."
            )
        return rows

    # -- shared runs -----------------------------------------------------------------------

    @cached_property
    def geometry_sites(self) -> tuple[Site, ...]:
        """Where moments are taken."""
        if not self.geometry:
            return ()
        layers = self.base.n_layers
        return stream_sites(layers) + (part_sites(layers) if self.sizes.parts else ())

    @cached_property
    def pair_run(self) -> PairRun:
        """Both models over the passages, once: moments at every site, and contexts."""
        rows = self.contexts_rows
        with self.ledger.timed("shared run over the passages"):
            run = run_pair(
                self.base,
                self.fitted,
                rows,
                sites=self.geometry_sites if self.corpus is None else (),
                unit_norm="unit_norm" in self.sizes.variants,
                contexts_per_row=self.sizes.contexts_per_prompt,
                batch_size=self.batch_size,
                tick=self.ledger.ticker("both models read the passages", len(rows)),
                processes=self.processes,
            )
        self.ledger.forwards["base over the passages"] += 1
        self.ledger.forwards["fitted over the passages"] += 1
        return run

    @property
    def counts(self) -> Frequencies | None:
        """The token frequencies that stand in a role; None without any."""
        return next((item for item in self.roles.values() if isinstance(item, Frequencies)), None)

    @property
    def corpus(self) -> Corpus | None:
        """The text of any length that stands in a role; None without one."""
        return next((item for item in self.roles.values() if isinstance(item, Corpus)), None)

    @cached_property
    def stream(self) -> TokenStream | None:
        """The corpus as token rows; None without one."""
        if self.corpus is None:
            return None
        with self.ledger.timed("first reading of the corpus"):
            found = open_stream(
                self.corpus, self.tokenizer, self.sizes.context_tokens, chat=self.template
            )
        self.ledger.warnings += notes(found, self.template)
        return found

    @cached_property
    def kept_sums(self) -> Partial | None:
        """The sums of the corpus on disk; None when no folder was given."""
        if self.partial is None or self.stream is None:
            return None
        key = {
            "fingerprints": [self.base.fingerprint, self.fitted.fingerprint],
            "settings": [settings_digest(self.base), settings_digest(self.fitted)],
            "dtype": str(self.base.dtype),
            "corpus": self.stream.sha256,
            "sites": [site.key for site in self.geometry_sites],
            "variants": self.sizes.variants,
            "batch_size": self.batch_size,
        }
        return Partial(self.partial, key, self.processes)

    @cached_property
    def geometry_run(self) -> PairRun:
        """Moments at every site: over the corpus where there is one, else over the passages."""
        stream = self.stream
        if stream is None:
            return self.pair_run
        with self.ledger.timed("shared run over the corpus"):
            run = run_pair(
                self.base,
                self.fitted,
                stream,
                sites=self.geometry_sites,
                unit_norm="unit_norm" in self.sizes.variants,
                positions=lambda _number, _length: (),
                batch_size=self.batch_size,
                tick=self.ledger.ticker("both models read the corpus", len(stream)),
                processes=self.processes,
                partial=self.kept_sums,
            )
        for role in ("base", "fitted"):
            self.ledger.forwards[f"{role} over the corpus"] += 1
        return run

    @property
    def contexts(self) -> Contexts:
        """Teacher-forced next-token decisions of both models."""
        return self.pair_run.contexts

    def map_logits(
        self, contexts: Contexts, each: Callable[[Tensor, Tensor], T], size: int = 128
    ) -> list[T]:
        """`each(base logits, fitted logits)` of every chunk of contexts, in order.

        See `hyperinterp.capture.over_logits`.
        """
        return over_logits(self.base, self.fitted, contexts, each, size, self.processes)

    def once(self, make: Callable[["Study"], T]) -> T:
        """`make(study)`, made at the first call and kept."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

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
        """What everything in a role goes by: ("judge 0", "judge 1") where it may have several."""
        names = (*self.models, *self.readers, *self.roles)
        return tuple(dict.fromkeys(name for name in names if name.partition(" ")[0] == role))

    def given(self, role: str) -> bool:
        """Return True when a checkpoint or text of this role was given."""
        if self.text(role) is not None:
            return bool(self.training_rows if role == TRAINING.name else self.text_rows(role))
        return bool(self.named(role))

    @cached_property
    def texts(self) -> Continuations:
        """What the models write after the prompts."""
        return Continuations(
            self.models,
            self.prompt_rows,
            new_tokens=self.sizes.new_tokens,
            batch_size=self.batch_size,
            processes=self.processes,
            ledger=self.ledger,
        )

    def described(self) -> dict[str, Any]:
        """The sizes as plain data for the report."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self.sizes).items()
        }
