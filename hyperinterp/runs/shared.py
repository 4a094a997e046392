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
    Half,
    ResumeDirectory,
    over_logits,
    rows_of_prompts,
)
from hyperinterp.generations import Generations
from hyperinterp.models import HookedModel, settings_digest
from hyperinterp.runs.context import RunContext
from hyperinterp.runs.geometry import ROLES, Geometry
from hyperinterp.runs.half import half_moments, half_of
from hyperinterp.runs.heldout import HeldOut
from hyperinterp.runs.overrides import Followed, depths, evenly_followed, found_overrides
from hyperinterp.runs.passes import FirstPass, Text, add_figures, first_pass
from hyperinterp.runs.room import divided
from hyperinterp.runs.visibility import Views, readout_views
from hyperinterp.runs.waves import Waves
from hyperinterp.sites import Site, component_sites, stream_sites
from hyperinterp.sizes import Sizes
from hyperinterp.text import TokenStream
from probes import LeaveOneOut, Moments, Overrides

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
    _contexts: Contexts | None = None
    _first: FirstPass | None = None
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
        """Teacher-forced next-token decisions of both models.

        Cost: each model once over the passages; the first pass of the geometry is the same where
        that is wanted.
        """
        if self._contexts is None:
            if self._together and self._divided[1]:
                sites, kept = self.waves.groups[0], self.waves.kept
                self._first = self._read_both(self._passages, sites, kept=kept)
            else:
                self._read_both(self._passages, ())
        assert self._contexts is not None
        return self._contexts

    def map_logits(
        self, contexts: Contexts, each: Callable[[Tensor, Tensor], T], size: int = CHUNK
    ) -> list[T]:
        """Return `each(base logits, fitted logits)` of every chunk of contexts, in order.

        Cost: one unembedding of every context by each model; see `hyperinterp.capture.over_logits`.
        """
        return over_logits(self.base, self.fitted, contexts, each, size, self.run.processes)

    # -- geometry --------------------------------------------------------------------------

    @property
    def sites(self) -> tuple[Site, ...]:
        """Return the sites at which the geometry is measured."""
        layers = self.base.n_layers
        return stream_sites(layers) + (component_sites(layers) if self.sizes.components else ())

    @property
    def _together(self) -> bool:
        """The first pass of the geometry is the one that finds the decisions."""
        return "moments" in self.wanted and self.stream is None

    @property
    def waves(self) -> Waves:
        """The sites of the geometry in groups that fit into memory, the same in all processes."""
        return self._divided[0]

    @cached_property
    def _divided(self) -> tuple[Waves, bool]:
        return divided(self.sites, self._text, self.sizes)

    @property
    def _text(self) -> Text:
        """The text that the geometry is measured on."""
        if self.stream is None:
            return self._passages
        resume, variants = self.resume_directory, self.sizes.variants
        return Text(self.models, self.stream, "corpus", self.run, variants, resume)

    @property
    def _passages(self) -> Text:
        """The passages, whatever the geometry is measured on."""
        # Every other passage comes first, wanted or not, so that batches are always the same.
        half = self._half
        if not (self._together and "half" in self.wanted):
            half = replace(half, sites=())
        rows, variants = self.heldout.rows, self.sizes.variants
        return Text(self.models, rows, "passages", self.run, variants, half=half)

    @property
    def _half(self) -> Half:
        layers, others = self.base.n_layers, self.sizes.dimension_blocks
        return half_of(len(self.heldout.rows), layers, others)

    def _read_both(self, text: Text, sites: Sequence[Site], *, kept: bool = False) -> FirstPass:
        """Both models over the passages: decisions, and a first pass at some sites."""
        with self.run.log.timed("shared run over the passages"):
            most = self.sizes.contexts_per_prompt
            first = first_pass(text, sites, kept=kept, contexts_per_row=most)
        if self._contexts is None:
            self._contexts = first.found.contexts
        return first

    @cached_property
    def geometry(self) -> Geometry:
        """Dimension of both models at every site, over the corpus if there is one, else passages.

        Cost: each model twice over the text, for every group of `waves`; once where activations
        are kept; and the first of these comes with `contexts` where that is wanted.
        """
        streams = {role: self._keepers() if self._along else {} for role in ROLES}
        found = Geometry(streams=streams)
        _ = self.contexts if self._together else None
        for sites in self.waves.groups:
            first, self._first = self._first or self._alone(sites), None
            with self.run.log.timed("geometry"):
                add_figures(found, self._text, first, self.views, found.streams)
        return found

    def _alone(self, sites: Sequence[Site]) -> FirstPass:
        """A first pass at a group of sites that no other run is to come with."""
        with self.run.log.timed(f"shared run over the {self._text.name}"):
            return first_pass(
                self._text, sites, kept=self.waves.kept, positions=lambda _number, _length: ()
            )

    def at_site(self, site: Site) -> tuple[LeaveOneOut, LeaveOneOut]:
        """Return the figures of base and fitted model at one site, over the passages.

        Cost: that of `geometry` where it comes from them and is wanted, else each model twice.
        """
        if self._together and site in self.sites:
            found = self.geometry
        else:
            found, text = Geometry(), replace(self._passages, variants=())
            add_figures(found, text, self._read_both(text, [site]), {}, {})
        ours, theirs = (found.left_out[role][site, ""] for role in ROLES)
        return ours, theirs

    @cached_property
    def half(self) -> dict[Site, dict[str, Moments]]:
        """Moments of every other passage, by site and role.

        Cost: none after `geometry` where both are wanted, else each model once over these, for
        every group of sites that fits into memory.
        """
        if self._together and "half" in self.wanted and self.geometry.half:
            return self.geometry.half
        return half_moments(replace(self._passages, half=self._half), self.sizes)

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

    @cached_property
    def views(self) -> dict[str, Views]:
        """Return each model's map from rows to logits, by role; none unless a variant asks for it.

        Cost: the product of each unembedding with itself, once where both models have the same.
        """
        if "visible" not in self.sizes.variants:
            return {}
        return readout_views(self.models, self.run.log)

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

        Cost: that of `geometry` where both are wanted, else the model in this role once over the
        passages that hold such decisions.
        """
        if role not in self._streams:
            kept = self.geometry.streams[role] if self._along else self._read(role)
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
