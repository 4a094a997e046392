"""Tables of every block: all figures of the report that are not free text."""

from dataclasses import asdict

from hyperinterp.analyses.control import ControlBlock
from hyperinterp.analyses.diversity import DiversityBlock
from hyperinterp.analyses.geometry import GeometryBlock
from hyperinterp.analyses.quotation import QuotationBlock
from hyperinterp.analyses.ranks import ContextRanks, RanksBlock
from hyperinterp.analyses.static_bias import StaticBiasBlock
from hyperinterp.analyses.sufficiency import SufficiencyBlock
from hyperinterp.analyses.temperature import Arm, TemperatureBlock
from hyperinterp.analyses.transplant import TransplantBlock
from hyperinterp.course import Course
from hyperinterp.report.tables.table import Table, Value, figures, spread, spread_pair, table
from probes import RANK_BUCKETS, bucket_label


def diversity(block: DiversityBlock) -> tuple[Table, ...]:
    """Scores, and the single prompts."""
    return (
        table(
            "diversity_scores", f"Diversity of the last {block.window} generated ids",
            ({"measure": key, **spread_pair(pair)} for key, pair in block.scores.items()),
        ),
        table(
            "diversity_prompts", "Diversity, prompt by prompt",
            (
                {
                    "prompt_id": item.prompt_id,
                    "base_ttr": item.base_ttr, "fitted_ttr": item.fitted_ttr,
                    "base_rep_4": item.base_rep_4, "fitted_rep_4": item.fitted_rep_4,
                    "base_ended": item.base.ended, "fitted_ended": item.fitted.ended,
                    "prompt": item.prompt, "base": item.base.text, "fitted": item.fitted.text,
                }
                for item in block.prompts
            ),
        ),
    )  # fmt: skip


def _arm(arm: Arm) -> dict[str, Value]:
    return {
        "arm": arm.name, "model": arm.model, "temperature": arm.temperature,
        "sampled": arm.sampled, "seeds": arm.seeds, **spread("entropy", arm.entropy),
        **spread("ttr", arm.ttr), **spread("rep_4", arm.rep_4), "note": arm.note,
    }  # fmt: skip


def temperature(block: TemperatureBlock) -> tuple[Table, ...]:
    """Arms, sweep and single figures."""
    return (
        table("temperature_arms", "Ways of decoding", map(_arm, block.arms)),
        table("temperature_sweep", "The base over temperatures", map(_arm, block.sweep)),
        figures(
            "temperature_figures", "Entropy, temperature and divergence",
            {
                "entropy of base, nats": block.entropy.base,
                "entropy of fitted, nats": block.entropy.fitted,
                "global T*": block.global_temperature,
                "KL(fitted || base), nats": block.kl,
                "KL at the global T*, nats": block.kl_global,
                "KL at the best T of every context, nats": block.kl_context,
                "share of KL left": block.remaining,
                "diversity gain at equal entropy": block.ttr_at_equal_entropy,
            },
        ),
    )  # fmt: skip


def static_bias(block: StaticBiasBlock) -> tuple[Table, ...]:
    """Arms and single figures."""
    return (
        table(
            "static_bias_arms", "Static biases by strength",
            (
                {
                    "bias": arm.bias, "alpha": arm.alpha, **spread("agreement", arm.agreement),
                    **spread("ttr", arm.ttr), **spread("rep_4", arm.rep_4),
                }
                for arm in block.arms
            ),
        ),
        figures(
            "static_bias_figures", "What a static bias explains",
            {
                "logit-shift variance explained": block.explained,
                "explained, shuffled (null)": block.explained_shuffled,
                "KL(fitted || base), nats": block.kl,
                "KL with the best bias, nats": block.kl_fitted_bias,
                "share of KL left": block.remaining,
                "type-token ratio of base": block.base_ttr,
                "type-token ratio of fitted": block.fitted_ttr,
                "fitted minus the best static arm": block.best_gap,
            },
        ),
    )  # fmt: skip


def _rank_rows(item: ContextRanks) -> list[dict[str, Value]]:
    rows: list[dict[str, Value]] = []
    named = {
        "override rate": item.override_rate, "after static shift": item.after_static,
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
    lens = block.lens
    if lens is not None:
        found.append(
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
            )
        )  # fmt: skip
    return tuple(found)


def geometry(block: GeometryBlock) -> tuple[Table, ...]:
    """Every measure of every site, the comparison of the two models by site, the contrasts."""
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
    )  # fmt: skip


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


def sufficiency(block: SufficiencyBlock) -> tuple[Table, ...]:
    """Twins and the two comparisons."""
    return (
        table(
            "sufficiency_twins", "Twins",
            (
                {
                    "name": twin.name, "role": twin.role, "trained_layers": twin.trained_layers,
                    "share_of_layers": twin.share_of_layers,
                    "trainable_parameters": twin.trainable_parameters,
                    "train_loss": twin.train_loss, **spread("ttr", twin.ttr),
                    **spread("rep_4", twin.rep_4), **spread("entropy", twin.entropy),
                    **spread("heldout_loss", twin.heldout_loss),
                    **spread("last_delta", twin.last_delta),
                }
                for twin in block.twins
            ),
        ),
        figures(
            "sufficiency_figures", "Late-stage against the reference",
            {
                f"share of the gain of {block.reference}": block.gain_share,
                f"type-token ratio minus that of {block.reference}": block.difference,
            },
        ),
    )  # fmt: skip


def quotation(block: QuotationBlock) -> tuple[Table, ...]:
    """Copying figures and examples."""
    pairs = {
        f"share of copied {block.n}-grams": block.copied_share,
        "longest copied span, tokens": block.longest_span,
        "type-token ratio without copies": block.free_diversity,
    }
    return (
        table(
            "quotation_figures", "Copying",
            (
                *({"figure": key, **spread_pair(pair)} for key, pair in pairs.items()),
                {
                    "figure": f"copied {block.n}-grams in held-out text",
                    **spread("base", block.heldout_share),
                },
            ),
        ),
        table(
            "quotation_examples", "Longest copied spans",
            (
                {
                    "prompt_id": item.prompt_id, "length": item.length, "text": item.text,
                    "source_id": item.source_id,
                }
                for item in block.examples
            ),
        ),
    )  # fmt: skip


def control(block: ControlBlock) -> tuple[Table, ...]:
    """Base against control; the column `control` is what `Pair` calls fitted."""
    rows = (
        {
            "measure": key, **spread("base", pair.base), **spread("control", pair.fitted),
            **spread("delta", pair.delta), "n": pair.delta.n,
        }
        for key, pair in block.scores.items()
    )  # fmt: skip
    gap = {"fitted minus control, type-token ratio": block.gain_gap}
    return (
        table("control_scores", "The control checkpoint", rows),
        figures("control_figures", "Fitted against control", gap),
    )


def course(block: Course) -> tuple[Table, ...]:
    """The training log, epoch by epoch."""
    return (table("course_epochs", "Training, epoch by epoch", map(asdict, block.epochs)),)
