"""C5: does the answer depend on the measure, or on which rows are counted?"""

from hyperinterp.claims.expansion.result import ExpansionResult, SiteGeometry
from hyperinterp.claims.spec import Measured
from hyperinterp.drawing.chart import Chart, Choice, dots
from hyperinterp.drawing.dumbbell import dumbbells
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.names import VARIANTS, metric_name
from hyperinterp.drawing.numbers import count, number, signed
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import BASE, DELTA, FITTED
from hyperinterp.drawing.words import explained


def _plain_contrasts(block: ExpansionResult) -> dict[str, Measured]:
    """The last block's growth minus the largest other, for measures that have no interval."""
    blocks = [site for site in block.sites if site.kind == "resid"]
    done = {block.primary, *block.contrast_variants}
    keys = dict.fromkeys(key for site in blocks for key in site.metrics if key not in done)
    found = {}
    for key in keys:
        growth = {site.key: site.metrics[key].delta.value for site in blocks if key in site.metrics}
        known = {name: value for name, value in growth.items() if value is not None}
        last = known.pop(block.last_block, None)
        if last is not None and known:
            found[key] = Measured(last - max(known.values()))
    return found


def contrast(block: ExpansionResult) -> Sketch:
    """Growth of the last block minus the largest other growth, on every measure."""
    rows: list[tuple[str, Measured, str]] = [
        (metric_name(block.primary) + " (decides)", block.contrast, FITTED)
    ]
    variants = block.contrast_variants | _plain_contrasts(block)
    rows += [
        (metric_name(key), item, BASE) for key, item in variants.items() if key != block.primary
    ]
    rows.append(("final norm's growth minus<br>the last block's", block.final_norm_gain, DELTA))
    figure = Sketch("dimensions")
    for row, (name, item, colour) in enumerate(rows):
        drawn = dots([row], [item], name, colour, [""], showlegend=False)
        if item.lo is None:
            drawn["marker"]["symbol"] += "-open"
        figure.data.append(drawn)
    figure.level(0.0, "0", vertical=True)
    figure.rows([name for name, _, _ in rows])
    figure.sample = behind(item for _, item, _ in rows)
    return figure


def by_rows(block: ExpansionResult, key: str) -> Sketch | None:
    """Base and fitted of one site, for every way of choosing and scaling its rows."""
    site = next(site for site in block.sites if site.key == key)
    names = [name for name in _row_keys(site) if site.metrics[name].delta.value is not None]
    if not names:
        return None
    pairs = [site.metrics[name] for name in names]
    figure = Sketch("participation ratio, naive")
    words = [VARIANTS.get(name.partition("@")[2], name) for name in names]
    told = [
        f"{label(name)}<br>{number(pair.base.value)} → {number(pair.fitted.value)} "
        f"({signed(pair.delta.value)})"
        for name, pair in zip(words, pairs, strict=True)
    ]
    dumbbells(figure, pairs, told)
    sample = behind((p.delta for p in pairs), f"{count(site.n_rows)} token positions")
    decides = site.metrics.get(block.primary)
    if decides is not None and block.primary not in names:
        sample += f"; {metric_name(block.primary)} (decides): {signed(decides.delta.value)}"
    figure.sample = sample
    return figure


def _row_keys(site: SiteGeometry) -> list[str]:
    """The naive participation ratio in every variant that the site has."""
    keys = [f"pr@{variant}" if variant else "pr" for variant in VARIANTS]
    return [key for key in keys if key in site.metrics]


def row_charts(block: ExpansionResult, interval: str) -> tuple[Chart, ...]:
    """The contrast on every measure, and one site on every choice of rows."""
    sites = [site for site in block.sites if site.kind in ("resid", "final_norm", "embed")]
    sites.sort(key=lambda site: site.key != block.last_block)
    shown = [site for site in sites if _row_keys(site)]
    found = [
        Chart(
            "contrast",
            *explained(__package__, "contrast", interval=interval),
            lambda: contrast(block),
            height=90 + 32 * (len(block.contrast_variants | _plain_contrasts(block)) + 2),
        )
    ]
    if shown:
        options = tuple((site.key, site.label) for site in shown)
        found.append(
            Chart(
                "rows",
                *explained(__package__, "rows", interval=interval),
                lambda key: by_rows(block, key),
                (Choice("site", "Site", options, menu=True),),
                height=90 + 48 * max(len(_row_keys(site)) for site in shown),
            )
        )
    return tuple(found)
