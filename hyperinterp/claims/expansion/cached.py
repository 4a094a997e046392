"""C5's figures from two caches: activations that were collected before, or elsewhere."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from torch import Tensor

from hyperinterp.activations import ActivationCache, as_cache
from hyperinterp.capture import PromptAccumulator, SiteAccumulators, leave_one_out, spectra_of
from hyperinterp.capture.accumulators import feed
from hyperinterp.claims.expansion.measurement import summarised
from hyperinterp.claims.expansion.result import ExpansionResult
from hyperinterp.claims.expansion.site import site_geometry
from hyperinterp.errors import InputRefused, MismatchedPair, NumericalFault
from hyperinterp.ranges import check_seed
from hyperinterp.runs.geometry import UNIT_NORM, variants_of
from hyperinterp.runs.site_figures import site_figures
from hyperinterp.sites import Site, SiteKind
from probes import Spectrum

VARIANTS = ("standardised", "unit_norm")


def geometry(base: ActivationCache, fitted: ActivationCache, *, seed: int = 0) -> ExpansionResult:
    """Measure the dimension of two models at every site that both caches hold, as C5 does.

    Equal to the geometry of a comparison of the two models on the same text; what needs the models
    themselves (what their logits see) is not in it.

    Args:
        base: activations of the model before: a cache, or whatever `as_cache` takes.
        fitted: those of the model after, on the same texts.
        seed: of the resampling.

    Raises:
        InputRefused: the last block's output is not in both, or fewer than 8 prompts are.
        MismatchedPair: other texts, positions, models or widths.
        NumericalFault: an activation is not finite; names the site.
    """
    check_seed(seed)
    base, fitted = as_cache(base), as_cache(fitted)
    sites = _shared(base, fitted)
    figures, profiles = [], {}
    for site in sites:
        sums = _sums(base, fitted, site)
        profile = defaultdict[str, list](list)
        spectra: dict[str, Spectrum] = {}
        for role, cache in (("base", base), ("fitted", fitted)):
            variants = list(variants_of(sums, role, VARIANTS))
            changes = [variant.change for variant in variants]
            found = spectra_of([variant.moments for variant in variants], changes=changes)
            kept = [
                PromptAccumulator(spectrum, scale=item.scale, unit_norm=item.name == UNIT_NORM)
                for item, spectrum in zip(variants, found, strict=True)
            ]
            for number, length in enumerate(cache.lengths):
                for one in kept:
                    one.add(cache[site][number, 1:length], number)
            for item, left in zip(variants, leave_one_out(kept), strict=True):
                profile[item.name].append(left)
            spectra[role] = found[0]
        profiles[site] = {name: (ours, theirs) for name, (ours, theirs) in profile.items()}
        figures.append(site_geometry(site, site_figures(sums, spectra), profiles[site]))
    blocks = base.origin.n_layers or fitted.origin.n_layers or 1
    width = base[sites[0]].shape[-1]
    return summarised(tuple(figures), profiles, blocks, VARIANTS, width, seed)


def _shared(base: ActivationCache, fitted: ActivationCache) -> list[Site]:
    """The sites that both hold, of one text and one kind of model.

    Raises:
        InputRefused: the last block or 8 prompts are lacking.
        MismatchedPair: the caches do not belong together.
    """
    marks = {base.origin.text_sha256, fitted.origin.text_sha256} - {""}
    if base.lengths != fitted.lengths or base.positions != fitted.positions or len(marks) > 1:
        raise MismatchedPair(
            "caches: expected activations of one text, found others; make both on the same texts"
        )
    counts = {base.origin.n_layers, fitted.origin.n_layers} - {None}
    if len(counts) > 1:
        found = " and ".join(sorted(map(str, counts)))
        raise MismatchedPair(f"caches: expected models of one depth, found {found} blocks")
    if base.positions != tuple(range(len(base.positions))):
        raise InputRefused(
            "caches: expected every position from 0 on, found some of them; do not slice positions"
        )
    if len(base.prompts) < 8:
        raise InputRefused(
            f"caches: expected at least 8 prompts, found {len(base.prompts)}; give more texts"
        )
    sites = [site for site in base if site in fitted.tensors]
    for site in sites:
        if base[site].shape != fitted[site].shape:
            raise MismatchedPair(
                f"{site.label}: expected activations of one width, found "
                f"{base[site].shape[-1]} and {fitted[site].shape[-1]}"
            )
    last = Site(SiteKind.RESID, max(counts, default=1) - 1)  # type: ignore[type-var]
    if last not in sites:
        raise InputRefused(
            f"caches: expected the output of the last block ({last.label}) in both, found "
            f"{', '.join(site.key for site in sites) or 'no site in common'}; keep it with a hook: "
            "hidden_states hold the final norm's output in its place"
        )
    return sites


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of the prompts of one length, so that no padding is among their rows."""
    by_length = defaultdict[int, list[int]](list)
    for number, length in enumerate(lengths):
        by_length[length].append(number)
    for length in sorted(by_length, reverse=True):
        yield by_length[length]


def _sums(base: ActivationCache, fitted: ActivationCache, site: Site) -> SiteAccumulators:
    """The sums of one site over all prompts."""
    sums = SiteAccumulators.empty(base[site].shape[-1])
    for numbers in _batches(base.lengths):
        length = base.lengths[numbers[0]]
        rows = {
            role: _finite(cache[site][numbers, :length].float(), cache, site)
            for role, cache in (("base", base), ("fitted", fitted))
        }
        stream = site.kind not in (SiteKind.ATTN, SiteKind.MLP)
        feed(sums, rows, stream=stream, unit_norm=True)
    return sums


def _finite(rows: Tensor, cache: ActivationCache, site: Site) -> Tensor:
    if not bool(rows.isfinite().all()):
        raise NumericalFault(
            f"{cache.origin.model or 'cache'}: expected finite activations, found NaN or infinity "
            f"at {site.label}"
        )
    return rows
