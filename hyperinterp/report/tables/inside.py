"""Tables of what happens inside the models: C4, C5 and C6."""

from collections.abc import Iterator

from hyperinterp.analyses.geometry import GeometryBlock, SiteGeometry
from hyperinterp.analyses.rank_lens import LensProfile
from hyperinterp.analyses.ranks import ContextRanks, RanksBlock
from hyperinterp.analyses.transplant import TransplantBlock
from hyperinterp.drawing.table import Table, Value, figures, spread, spread_pair, table
from probes import RANK_BUCKETS, bucket_label


def _rank_rows(item: ContextRanks) -> list[dict[str, Value]]:
    rows: list[dict[str, Value]] = []
    named = {
        "override rate": item.override_rate, "also after scale and shift": item.after_static,
        "share from base rank > 10": item.deep_share, "Spearman": item.spearman,
        "rank-biased overlap": item.rbo, "log2 frequency shift": item.frequency_shift,
        **{f"Jaccard, top {k}": value for k, value in item.jaccard.items()},
        **{f"override rate, half {i}": value for i, value in enumerate(item.halves, 1)},
    }  # fmt: skip
    for key, value in named.items():
        rows.append({"contexts": item.contexts, "figure": key, **spread("value", value)})
    for name, number in (("decisions", item.n_contexts), ("exact ties", item.tied),
                         ("near ties", item.near_ties)):  # fmt: skip
        rows.append({"contexts": item.contexts, "figure": name, "value": number})
    return rows


def _flow(item: ContextRanks) -> list[dict[str, Value]]:
    names = [bucket_label(place) for place in range(len(RANK_BUCKETS))]
    return [
        {"contexts": item.contexts, "base_bucket": row, "fitted_bucket": column, "tokens": cell}
        for row, cells in zip(names, item.flow, strict=False)
        for column, cell in zip(names, cells, strict=False)
    ]


def _tokens(item: ContextRanks) -> list[dict[str, Value]]:
    return [
        {
            "contexts": item.contexts, "side": side, "token": shift.token,
            "token_id": shift.token_id, "count": shift.count, "median_rank": shift.median_rank,
            "frequency_class": shift.frequency_class, "example": shift.example,
        }
        for side, found in (("promoted", item.promoted), ("demoted", item.demoted))
        for shift in found
    ]  # fmt: skip


def ranks(block: RanksBlock) -> tuple[Table, ...]:
    """Figures, flow and tokens of both kinds of context; the lens by depth."""
    both = [item for item in (block.teacher_forced, block.on_policy) if item is not None]
    found = [
        table("ranks_figures", "Rank statistics", (r for item in both for r in _rank_rows(item))),
        table("ranks_flow", "Rank flow", (r for item in both for r in _flow(item))),
        table("ranks_tokens", "Promoted and demoted tokens", (r for i in both for r in _tokens(i))),
    ]
    if block.lens is not None:
        found += _lens(block.lens)
    return tuple(found)


def _lens(lens: LensProfile) -> list[Table]:
    return [
        table(
            "ranks_lens", "Logit lens by depth",
            (
                {
                    "depth": depth, "base_median_rank": base, "fitted_median_rank": fitted,
                    "overtake": overtake,
                }
                for depth, base, fitted, overtake in zip(
                    lens.depths, lens.base_median_rank, lens.fitted_median_rank,
                    lens.overtake, strict=True,
                )
            ),
        ),
        table("ranks_trajectories", "Single decisions through the depth", _trajectories(lens)),
    ]  # fmt: skip


def _trajectories(lens: LensProfile) -> Iterator[dict[str, Value]]:
    """One row per decision and depth: where the two tokens stand in the two models."""
    for item in lens.trajectories:
        followed = zip(
            lens.depths, item.base_rank_of_fitted, item.fitted_rank_of_fitted,
            item.fitted_rank_of_base, strict=True,
        )  # fmt: skip
        for depth, base, fitted, fitted_of_base in followed:
            yield {
                "prompt_id": item.prompt_id, "position": item.position,
                "base_token": item.base_token, "fitted_token": item.fitted_token, "depth": depth,
                "base_rank_of_fitted": base, "fitted_rank_of_fitted": fitted,
                "fitted_rank_of_base": fitted_of_base,
            }  # fmt: skip


def geometry(block: GeometryBlock) -> tuple[Table, ...]:
    """Sites, every measure of every site, the contrasts, spectra and principal angles."""
    return (
        table(
            "geometry_sites", "Sites",
            (
                {
                    "site": site.key, "kind": site.kind, "layer": site.layer,
                    "pre_norm": site.pre_norm, "rows": site.n_rows, "drift": site.drift,
                    "cosine": site.cosine, "cka": site.cka, "overlap": site.overlap,
                    **{f"outside_{key}": value for key, value in site.outside.items()},
                    **{f"outliers_{key}": value for key, value in site.outliers.items()},
                    **{
                        f"rogue_{key}": " ".join(map(str, value))
                        for key, value in site.rogue.items()
                    },
                }
                for site in block.sites
            ),
        ),
        table(
            "geometry_measures", "Measures by site",
            (
                {
                    "site": site.key, "pre_norm": site.pre_norm, "measure": key,
                    **spread_pair(pair),
                }
                for site in block.sites
                for key, pair in site.metrics.items()
            ),
        ),
        figures(
            "geometry_contrasts", "The last block against the others",
            {
                f"{block.primary}: contrast": block.contrast,
                f"{block.primary}: growth of the last block": block.last_delta,
                **{f"{key}: contrast": item for key, item in block.contrast_variants.items()},
                "final norm's growth minus the last block's": block.final_norm_gain,
            },
        ),
        table(
            "geometry_spectra", "Leading shares of the variance by site",
            (row for site in block.sites for row in _spectrum(site)),
        ),
        table(
            "geometry_angles", "Principal angles between the models' leading subspaces, degrees",
            (
                {"site": site.key, "pre_norm": site.pre_norm, "angle": index, "degrees": value}
                for site in block.sites
                for index, value in enumerate(site.angles, start=1)
            ),
        ),
    )  # fmt: skip


def _spectrum(site: SiteGeometry) -> Iterator[dict[str, Value]]:
    """One row per leading component, both models side by side."""
    count = max((len(shares) for shares in site.spectrum.values()), default=0)
    for index in range(count):
        shares = {
            role: values[index] if index < len(values) else None
            for role, values in site.spectrum.items()
        }
        yield {"site": site.key, "pre_norm": site.pre_norm, "component": index + 1, **shares}


def transplant(block: TransplantBlock) -> tuple[Table, ...]:
    """Exchanges, null bands and hybrids."""
    return (
        table(
            "transplant_exchanges", "Exchanges",
            (
                {
                    "label": item.label, "kind": item.kind, "direction": item.direction,
                    "layers": " ".join(map(str, item.layers)),
                    **spread("recovered_kl", item.recovered_kl),
                    **spread("recovered_logit", item.recovered_logit),
                    **spread("agreement", item.agreement),
                    **spread("kl_to_donor", item.kl_to_donor),
                    **spread("kl_to_recipient", item.kl_to_recipient),
                }
                for item in block.transplants
            ),
        ),
        table(
            "transplant_nulls", "Random changes of the same norm",
            (
                {
                    "layer": item.layer, "draws": item.draws, "smallest": item.recovered_kl[0],
                    "mean": item.recovered_kl[1], "largest": item.recovered_kl[2],
                    "kl_to_recipient": item.kl_to_recipient,
                }
                for item in block.nulls
            ),
        ),
        table(
            "transplant_hybrids", "Text of the hybrids",
            (
                {
                    "label": item.label, "direction": item.direction,
                    "layers": " ".join(map(str, item.layers)), **spread("ttr", item.ttr),
                    **spread("rep_4", item.rep_4), **spread("gain_share", item.gain_share),
                    "example": item.example,
                }
                for item in block.hybrids
            ),
        ),
    )  # fmt: skip
