"""Tables of C5: the contrasts, the sites, every measure, spectra and principal angles."""

from collections.abc import Iterator

from hyperinterp.claims.expansion.result import ExpansionResult, SiteGeometry
from hyperinterp.drawing.names import metric_name
from hyperinterp.drawing.table import Cell, Table, sides, table, values

_READ = {
    "words": "site",
    "base": "base",
    "fitted": "fitted",
    "delta": "fitted − base",
    "drift": "drift",
    "cka": "CKA",
    "outliers": "norm outliers, kept (base / fitted)",
    "rogue": "rogue dimensions (base / fitted)",
}
_STREAM = ("embed", "resid", "final_norm")


def tables(result: ExpansionResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (
        values(
            "contrasts",
            "The last block against the others",
            {
                "measure that decides": metric_name(result.primary),
                "block with the largest growth": _label(result, result.largest_block),
                f"growth of the last block, {metric_name(result.primary)}": result.last_delta,
                "the same, naive (from a sample: too small)": _naive(result),
                f"margin over the best other block, {metric_name(result.primary)}": result.contrast,
                "final norm's growth minus the last block's": result.final_norm_gain,
                **{
                    f"margin, {metric_name(key)}": item
                    for key, item in result.contrast_variants.items()
                },
            },
            note=f"Positions: {result.positions}. Intervals: {result.intervals}.",
        ),
        _stream(result),
        _visible(result),
        _hidden_states(result),
        table("components", "Attention and MLP outputs", _sites(result, ("attn", "mlp"))),
        table(
            "measures", "Measures by site",
            (
                {"site": site.key, "pre_norm": site.pre_norm, "measure": key, **sides(pair)}
                for site in result.sites
                for key, pair in site.metrics.items()
            ),
        ),
        table(
            "spectra", "Leading shares of the variance by site",
            (row for site in result.sites for row in _spectrum(site)),
        ),
        table(
            "angles", "Principal angles between the models' leading subspaces, degrees",
            (
                {"site": site.key, "pre_norm": site.pre_norm, "angle": index, "degrees": value}
                for site in result.sites
                for index, value in enumerate(site.angles, start=1)
            ),
        ),
    )  # fmt: skip


def _naive(result: ExpansionResult) -> Cell:
    """The naive ratio's growth of the last block, which the figure by rows shows."""
    last = next((site for site in result.sites if site.key == result.last_block), None)
    pair = None if last is None else last.metrics.get("pr")
    return None if pair is None else pair.delta


def _stream(result: ExpansionResult) -> Table:
    """The residual stream by depth; the last sites and the largest stand for all."""
    sites = [site for site in result.sites if site.kind in _STREAM]
    kept = _kept(result, sites)
    return table(
        "sites",
        f"By site: {metric_name(result.primary)}",
        _sites(result, _STREAM),
        _READ,
        shut=True,
        brief=tuple(index for index, site in enumerate(sites) if site.key in kept),
    )


def _visible(result: ExpansionResult) -> Table:
    """Raw growth beside what the logits see of it, by depth; only where both were measured."""
    keys = {"raw": result.primary, "seen": f"{result.primary}@visible"}
    sites = [site for site in result.sites if keys["seen"] in site.metrics]
    records = (
        {"site": site.key, "words": site.label + ("" if site.pre_norm else " (post-norm)")}
        | {
            f"{name}_{part}": getattr(site.metrics[key], part)
            for name, key in keys.items()
            for part in ("base", "fitted", "delta")
        }
        for site in sites
    )
    kept = (index for index, site in enumerate(sites) if site.key in _kept(result, sites))
    return table(
        "visible", "Raw, and as the logits read it", records,
        {
            "words": "site", "raw_base": "raw: base", "raw_fitted": "fitted",
            "raw_delta": "fitted − base", "seen_base": "seen by the logits: base",
            "seen_fitted": "fitted", "seen_delta": "fitted − base",
        },
        note="Seen by the logits: participation ratio of each model's centred logits, through its "
        "own final norm's gain and unembedding.",
        shut=True, brief=tuple(kept),
    )  # fmt: skip


def _hidden_states(result: ExpansionResult) -> Table:
    """The profile as papers index it: by place in Hugging Face's `hidden_states`."""
    blocks = [site for site in result.sites if site.kind == "resid"]
    inside = [site for site in result.sites if site.kind == "embed"] + blocks[:-1]
    last = [site for site in result.sites if site.kind == "final_norm"]
    return table(
        "hidden_states", "By index of Hugging Face's hidden_states, as papers have it",
        (
            {
                "index": index, "words": "after the final norm" if site in last else site.label,
                **sides(site.metrics["pr"]), "distance": site.distance, "cosine": site.cosine,
            }
            for index, site in enumerate(inside + last)
            if "pr" in site.metrics
        ),
        {
            "index": "index", "words": "what it is", "base": "participation ratio, base",
            "fitted": "fitted", "delta": "fitted − base", "distance": "L2 distance",
            "cosine": "cosine",
        },
        note="The last entry is the output of the final norm, whose gain scales distances and "
        "dimensions; what the last block itself puts out is not among the hidden states. "
        "Participation ratios are the naive ones.",
        shut=True,
    )  # fmt: skip


def _kept(result: ExpansionResult, sites: list[SiteGeometry]) -> set[str]:
    """The sites that stand for all: the first, the last ones, and those of the claim."""
    ends = {site.key for site in sites[:1] + sites[-6:]}
    return ends | {result.largest_block, result.last_block}


def _sites(result: ExpansionResult, kinds: tuple[str, ...]) -> Iterator[dict[str, Cell]]:
    for site in result.sites:
        if site.kind in kinds:
            yield _site(site, result.primary)


def _site(site: SiteGeometry, primary: str) -> dict[str, Cell]:
    pair = site.metrics.get(primary)
    none: dict[str, Cell] = dict.fromkeys(("base", "fitted", "delta", "n"))
    return {
        "site": site.key, "words": site.label + ("" if site.pre_norm else " (post-norm)"),
        "kind": site.kind, "layer": site.layer, "pre_norm": site.pre_norm, "rows": site.n_rows,
        **(none if pair is None else sides(pair)),
        "drift": site.drift, "cosine": site.cosine, "cka": site.cka, "overlap": site.overlap,
        "outliers": f"{site.outliers.get('base', 0)} / {site.outliers.get('fitted', 0)}",
        "rogue": f"{_dims(site.rogue.get('base', ()))} / {_dims(site.rogue.get('fitted', ()))}",
        **{f"outside_{key}": value for key, value in site.outside.items()},
        **{f"outliers_{key}": value for key, value in site.outliers.items()},
        **{f"rogue_{key}": " ".join(map(str, value)) for key, value in site.rogue.items()},
    }  # fmt: skip


def _label(result: ExpansionResult, key: str) -> str:
    return next((site.label for site in result.sites if site.key == key), key)


def _dims(indices: tuple[int, ...]) -> str:
    return ", ".join(map(str, indices)) if indices else "none"


def _spectrum(site: SiteGeometry) -> Iterator[dict[str, Cell]]:
    """One row per leading component, both models side by side."""
    count = max((len(shares) for shares in site.spectrum.values()), default=0)
    for index in range(count):
        shares = {
            role: values[index] if index < len(values) else None
            for role, values in site.spectrum.items()
        }
        yield {"site": site.key, "pre_norm": site.pre_norm, "component": index + 1, **shares}
