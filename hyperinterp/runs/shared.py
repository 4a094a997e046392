"""The runs over the pair that claims share, each made at most once and at a stated cost.

What a run returns does not depend on which claims ask for it, nor in which order: a claim that is
asked for alone makes for itself what it needs. `wanted` only lets several runs be made in one pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from hyperinterp.capture import (
    CHUNK,
    ContextRows,
    Contexts,
    PairRun,
    ResumeDirectory,
    over_logits,
    rows_of_prompts,
    run_pair,
    spectra_of,
)
from hyperinterp.generations import Generations
from hyperinterp.models import HookedModel, settings_digest
from hyperinterp.runs.context import RunContext
from hyperinterp.runs.half import half_moments, half_of
from hyperinterp.runs.heldout import HeldOut
from hyperinterp.runs.left_out import LeftOut, left_out
from hyperinterp.runs.overrides import Followed, depths, evenly_followed, found_overrides
from hyperinterp.runs.visibility import Views, readout_views
from hyperinterp.sites import Site, component_sites, stream_sites
from hyperinterp.sizes import Sizes
from hyperinterp.text import TokenStream
from probes import Moments, Overrides, Spectrum

T = TypeVar("T")


@dataclass
class SharedRuns:
    """Runs over the pair.

    Attributes:
        models: by role, "base" and "fitted" among them.
        heldout: the passages.
        sizes: how much is looked at.
        run: seed, batches, processes and log.
        stream: the corpus as token rows; None without one.
        wanted: "moments", "followed", "half": the runs that claims have declared.
    """

    models: Mapping[str, HookedModel]
    heldout: HeldOut
    sizes: Sizes
    run: RunContext
    stream: TokenStream | None = None
    wanted: frozenset[str] = frozenset()
    _left_out: dict[str, LeftOut] = field(default_factory=dict)
    _spectra: dict[str, dict[Site, Spectrum]] = field(default_factory=dict)
    _streams: dict[str, dict[Site, Tensor]] = field(default_factory=dict)

    @property
    def base(self) -> HookedModel:
        """The model before."""
        return self.models["base"]

    @property
    def fitted(self) -> HookedModel:
        """The model after."""
        return self.models["fitted"]

    @cached_property
    def texts(self) -> Generations:
        """Return the generations after the prompts. Cost: one text per prompt and arm."""
        return Generations(
            self.models,
            self.heldout.prompts,
            new_tokens=self.sizes.new_tokens,
            batch_size=self.run.batch_size,
            processes=self.run.processes,
            log=self.run.log,
        )

    @property
    def contexts(self) -> Contexts:
        """Teacher-forced next-token decisions of both models. Cost: that of `passages`."""
        return self.passages.contexts

    def map_logits(
        self, contexts: Contexts, each: Callable[[Tensor, Tensor], T], size: int = CHUNK
    ) -> list[T]:
        """Return `each(base logits, fitted logits)` of every chunk of contexts, in order.

        Cost: one unembedding of every context by each model; see `hyperinterp.capture.over_logits`.
        """
        return over_logits(self.base, self.fitted, contexts, each, size, self.run.processes)

    # -- moments ---------------------------------------------------------------------------

    @property
    def sites(self) -> tuple[Site, ...]:
        """Return the sites at which moments are taken."""
        layers = self.base.n_layers
        return stream_sites(layers) + (component_sites(layers) if self.sizes.components else ())

    @property
    def _together(self) -> bool:
        """Moments come from the pass that finds the decisions."""
        return "moments" in self.wanted and self.stream is None

    @cached_property
    def passages(self) -> PairRun:
        """Both models over the passages. Cost: each model once; with moments where wanted."""
        with self.run.log.timed("shared run over the passages"):
            return self._over_passages(self.sites if self._together else ())

    def over_passages(self, sites: Sequence[Site]) -> PairRun:
        """Return decisions and moments at some sites. Cost: none, or each model once."""
        if self._together and set(sites) <= set(self.sites):
            return self.passages
        return self._over_passages(sites)

    def _over_passages(self, sites: Sequence[Site]) -> PairRun:
        # Every other passage comes first, wanted or not, so that batches are always the same.
        rows = self.heldout.rows
        half = half_of(len(rows), self.base.n_layers, self.sizes.dimension_blocks)
        kept = half.sites if "half" in self.wanted and set(half.sites) <= set(sites) else ()
        found = run_pair(
            self.base,
            self.fitted,
            rows,
            sites=sites,
            unit_norm="unit_norm" in self.sizes.variants,
            contexts_per_row=self.sizes.contexts_per_prompt,
            batch_size=self.run.batch_size,
            tick=self.run.log.ticker("both models read the passages", len(rows)),
            processes=self.run.processes,
            half=replace(half, sites=kept),
        )
        for role in ("base", "fitted"):
            self.run.log.forwards[f"{role} over the passages"] += 1
        return found

    @cached_property
    def half(self) -> dict[Site, dict[str, Moments]]:
        """Moments of every other passage, by site and role.

        Cost: none beside `passages` with moments where wanted, else each model once over these.
        """
        if self._together and "half" in self.wanted:
            return self.passages.half
        rows, others = self.heldout.rows, self.sizes.dimension_blocks
        return half_moments(self.base, self.fitted, rows, others, self.run)

    @cached_property
    def moments(self) -> PairRun:
        """Moments at every site, over the corpus where there is one, else over the passages.

        Cost: none beside `passages` where wanted, else each model once over the text.
        """
        if self._together:
            return self.passages
        if self.stream is None:
            with self.run.log.timed("shared run over the passages"):
                return self._over_passages(self.sites)
        with self.run.log.timed("shared run over the corpus"):
            found = run_pair(
                self.base,
                self.fitted,
                self.stream,
                sites=self.sites,
                unit_norm="unit_norm" in self.sizes.variants,
                positions=lambda _number, _length: (),
                batch_size=self.run.batch_size,
                tick=self.run.log.ticker("both models read the corpus", len(self.stream)),
                processes=self.run.processes,
                resume=self.resume_directory,
            )
        for role in ("base", "fitted"):
            self.run.log.forwards[f"{role} over the corpus"] += 1
        return found

    @cached_property
    def resume_directory(self) -> ResumeDirectory | None:
        """The sums of the corpus on disk; None when no folder was given."""
        if self.run.resume_dir is None or self.stream is None:
            return None
        key = {
            "fingerprints": [self.base.fingerprint, self.fitted.fingerprint],
            "settings": [settings_digest(self.base), settings_digest(self.fitted)],
            "dtype": str(self.base.dtype),
            "corpus": self.stream.sha256,
            "sites": [site.key for site in self.sites],
            "variants": self.sizes.variants,
            "batch_size": self.run.batch_size,
        }
        return ResumeDirectory(self.run.resume_dir, key, self.run.processes)

    def left_out(self, role: str) -> LeftOut:
        """Return figures at every site with each prompt left out.

        Cost: `moments`, and the model in this role, "base" or "fitted", once over the same text.
        """
        if role not in self._left_out:
            self._left_out[role], self._spectra[role] = left_out(
                self.models[role],
                role,
                self.moments,
                self.sizes.variants,
                self.run,
                self.resume_directory,
                self._keepers() if self._along else {},
                self.views.get(role),
            )
            text = "passages" if self.stream is None else "corpus"
            self.run.log.forwards[f"{role} over the {text}"] += 1
        return self._left_out[role]

    @cached_property
    def views(self) -> dict[str, Views]:
        """Return each model's map from rows to logits, by role; none unless a variant asks for it.

        Cost: the product of each unembedding with itself, once where both models have the same.
        """
        if "visible" not in self.sizes.variants:
            return {}
        return readout_views(self.models, self.run.log)

    def spectra(self, role: str) -> dict[Site, Spectrum]:
        """Return the spectra of one model's rows, with eigenvectors, which are not kept.

        Cost: none the first time after `left_out`, else an eigendecomposition per site.
        """
        found = self._spectra.pop(role, None)
        if found is not None:
            return found
        sums = [item.moments[role] for item in self.moments.sites.values()]
        spectra = spectra_of(sums, self.run.processes, self.models[role].device)
        return dict(zip(self.moments.sites, spectra, strict=True))

    # -- followed decisions ----------------------------------------------------------------

    @cached_property
    def overrides(self) -> Overrides:
        """Both models' choices at all contexts. Cost: one unembedding of every context by each."""
        return found_overrides(self.base, self.fitted, self.contexts, processes=self.run.processes)

    @cached_property
    def followed(self) -> Followed | None:
        """Overridden decisions to follow in depth; None without any. Cost: that of `overrides`."""
        return evenly_followed(self.contexts, self.overrides, self.sizes.lens_contexts)

    @property
    def _along(self) -> bool:
        """The streams of the followed decisions are kept by the pass for the intervals."""
        return self._together and "followed" in self.wanted

    def streams(self, role: str) -> dict[Site, Tensor]:
        """Return the residual stream at the followed decisions, per site `[n, d_model]`.

        Cost: that of `left_out` where both are wanted, else the model in this role once over the
        passages that hold such decisions.
        """
        if role not in self._streams:
            kept = self.left_out(role).streams if self._along else self._read(role)
            self._streams[role] = {
                site: item.everywhere(self.run.processes) for site, item in kept.items()
            }
        return self._streams[role]

    def _keepers(self) -> dict[Site, ContextRows]:
        if self.followed is None:
            return {}
        contexts, width = self.followed.contexts, self.base.d_model
        return {site: ContextRows(contexts, width) for site in depths(self.base.n_layers)}

    def _read(self, role: str) -> dict[Site, ContextRows]:
        """One model over the passages that hold followed decisions, and over no others."""
        if self.followed is None:
            return {}
        contexts = self.followed.contexts
        prompts = contexts.row.unique()
        contexts = replace(contexts, row=torch.searchsorted(prompts, contexts.row))
        width = self.base.d_model
        kept = {site: ContextRows(contexts, width) for site in depths(self.base.n_layers)}
        processes = self.run.processes
        rows_of_prompts(
            self.models[role],
            self.heldout.rows.chosen(prompts.tolist()),
            list(kept),
            {},
            batch_size=processes.rows_per_batch(self.run.batch_size, [len(prompts)])[0],
            processes=processes,
            keepers=kept,
        )
        self.run.log.forwards[f"{role} over the passages of the lens"] += 1
        return kept
