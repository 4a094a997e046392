"""C5, beside the profile: seen growth, spectra, how far the models are apart, angles."""

import itertools

from hyperinterp.claims.expansion.result import ExpansionResult, SiteGeometry
from hyperinterp.drawing.axes import EMBEDDING, NORM, depth_ticks, log_ticks, norm_place
from hyperinterp.drawing.chart import Chart, Choice, bars, interval_curve
from hyperinterp.drawing.escape import label
from hyperinterp.drawing.names import metric_name
from hyperinterp.drawing.numbers import count, number
from hyperinterp.drawing.sketch import Sketch
from hyperinterp.drawing.subtitle import behind
from hyperinterp.drawing.theme import (
    BASE,
    CONTROL,
    DELTA,
    FITTED,
    MUTED,
    SYMBOLS,
    faint,
    heat_scale,
)
from hyperinterp.drawing.words import explained

CHANGES = {
    "drift": "mean relative L2 distance",
    "cosine": "mean cosine of fitted and base rows",
    "cka": "linear CKA of base and fitted rows",
    "overlap": "mean squared cosine of the leading subspaces",
    "outside": "variance outside the base's leading d90 dimensions",
}


def _site(block: ExpansionResult, key: str) -> SiteGeometry:
    return next(site for site in block.sites if site.key == key)


def stream(block: ExpansionResult) -> list[SiteGeometry]:
    """Embedding and block outputs in order, then the final norm."""
    main = [site for site in block.sites if site.kind in ("embed", "resid")]
    return main + [site for site in block.sites if site.kind == "final_norm"]


def _sample(block: ExpansionResult, sites: list[SiteGeometry]) -> str:
    figures = (site.metrics[block.primary].delta for site in sites if block.primary in site.metrics)
    return behind(figures, f"{count(max(site.n_rows for site in sites))} token positions")


def seen(block: ExpansionResult) -> Sketch | None:
    """Growth of the raw stream beside growth of what the logits read of it, by depth."""
    visible = f"{block.primary}@visible"
    sites = [site for site in stream(block) if visible in site.metrics]
    if not sites:
        return None
    figure = Sketch("block output (pre-norm)", f"fitted − base, {metric_name(block.primary)}")
    figure.sample = _sample(block, sites)
    last = _last(sites)
    parts = {pre_norm: [s for s in sites if s.pre_norm is pre_norm] for pre_norm in (True, False)}
    for key, name, colour in (
        (block.primary, "raw stream", DELTA), (visible, "as the logits read it", CONTROL),
    ):  # fmt: skip
        for pre_norm, chosen in parts.items():
            figures = [site.metrics[key].delta for site in chosen]
            names = [label(site.label) for site in chosen]
            x = [float(_place(site, last)) for site in chosen]
            drawn = interval_curve(x, figures, name, colour, names)
            if not pre_norm:
                drawn[-1] |= {"mode": "markers", "showlegend": False}
                drawn[-1]["error_y"] = bars(figures, colour)
            figure.data += drawn
    _depth_axis(figure, last)
    figure.level(0.0, "0")
    return figure


def spectrum(block: ExpansionResult, key: str, form: str) -> Sketch | None:
    """Share of variance of the leading dimensions of one site."""
    site = _site(block, key)
    if not any(site.spectrum.values()):
        return None
    shown = max(map(len, site.spectrum.values()))
    of = f" of {block.width}" if block.width else ""
    figure = Sketch(f"dimension, by variance (the first {shown}{of})", "share of variance")
    figure.sample = _sample(block, [site])
    drawn: list[float] = []
    for name, colour, dash in (("base", BASE, "solid"), ("fitted", FITTED, "dash")):
        values = list(site.spectrum.get(name, ()))
        if form == "cumulative":
            values = list(itertools.accumulate(values))
        drawn += values
        figure.add(
            "scatter",
            x=list(range(1, len(values) + 1)), y=values, name=name, mode="lines",
            line={"color": colour, "width": 2.2, "dash": dash},
            hovertemplate="dimension %{x}<br>%{fullData.name}: %{y:.3g}<extra></extra>",
        )  # fmt: skip
    figure.xaxis(**log_ticks([1.0, float(shown)]))
    if form == "cumulative":
        figure.yaxis(title={"text": "cumulative share of variance"}, range=[0, 1.02])
    else:
        figure.yaxis(**log_ticks(drawn))
    return figure


def change(block: ExpansionResult, quantity: str) -> Sketch:
    """One similarity of the two models by depth; the final norm set apart."""
    figure = Sketch("block output (pre-norm)", CHANGES[quantity])
    sites = stream(block)
    figure.sample = _sample(block, sites)
    last = _last(sites)
    kinds = (("base", BASE), ("fitted", FITTED)) if quantity == "outside" else (("", DELTA),)
    for part, colour in kinds:
        points: dict[bool, list[tuple[float, float, str]]] = {True: [], False: []}
        for site in sites:
            value = site.outside.get(part) if part else getattr(site, quantity)
            if value is not None:
                points[site.pre_norm].append((float(_place(site, last)), value, site.label))
        for pre_norm, rows in points.items():
            figure.add(
                "scatter",
                x=[row[0] for row in rows], y=[row[1] for row in rows], name=part or "fitted",
                mode="lines+markers" if pre_norm else "markers", line={"color": colour, "width": 2},
                marker={"color": colour, "size": 6 if pre_norm else 10, "symbol": SYMBOLS[colour]},
                showlegend=pre_norm and bool(part), legendgroup=part,
                customdata=[[label(row[2]), number(row[1])] for row in rows],
                hovertemplate="%{customdata[0]}<br>%{fullData.name}: %{customdata[1]}"
                "<extra></extra>",
            )  # fmt: skip
    _depth_axis(figure, last)
    figure.yaxis(rangemode="tozero")
    return figure


def _last(sites: list[SiteGeometry]) -> int:
    return max((site.layer for site in sites if site.layer is not None), default=0)


def _place(site: SiteGeometry, last: int) -> int:
    """Return a site's place along the depth: the embedding before block 0, the final norm apart."""
    if site.kind == "final_norm":
        return norm_place(last)
    return EMBEDDING if site.layer is None else site.layer


def _depth_axis(figure: Sketch, last: int) -> None:
    """The depth, with the final norm on a ground of its own."""
    ticks, place = depth_ticks(last, embedded=True), norm_place(last)
    figure.xaxis(
        tickmode="array", tickvals=[*ticks["tickvals"], place], ticktext=[*ticks["ticktext"], NORM],
        range=[-1.8, (3 * place - last) / 2], tickangle=0, zeroline=False, showgrid=False,
    )  # fmt: skip
    figure.rectangle(
        x0=(place + last) / 2, x1=(3 * place - last) / 2, y0=0, y1=1, yref="paper",
        fillcolor=faint(MUTED, 0.08),
    )  # fmt: skip


def angles(block: ExpansionResult) -> Sketch | None:
    """Principal angles between the leading subspaces, by depth; the final norm apart."""
    sites = [site for site in stream(block) if site.angles]
    if not sites:
        return None
    last, depth = _last(stream(block)), max(len(site.angles) for site in sites)
    columns = {_place(site, last): site for site in sites}
    places = list(range(EMBEDDING, norm_place(last) + 1))
    grid: list[list[float | None]] = [[None] * len(places) for _ in range(depth)]
    for column, place in enumerate(places):
        for row, angle in enumerate(columns[place].angles if place in columns else ()):
            grid[row][column] = angle
    names = [label(columns[place].label) if place in columns else "" for place in places]
    figure = Sketch("block output (pre-norm)", "principal angle, smallest first")
    figure.add(
        "heatmap",
        z=grid, x=places, y=list(range(1, depth + 1)), colorscale=heat_scale(),
        zmin=0, zmax=90, xgap=1, colorbar={"title": {"text": "degrees"}, "len": 0.9},
        customdata=[names] * depth, hoverongaps=False,
        hovertemplate="%{customdata}<br>angle %{y}: %{z:.1f}°<extra></extra>",
    )  # fmt: skip
    _depth_axis(figure, last)
    figure.yaxis(showgrid=False, zeroline=False, autorange="reversed")
    figure.sample = _sample(block, sites)
    return figure


def more_charts(block: ExpansionResult, interval: str) -> tuple[Chart, ...]:
    """Growth that the logits read, spectra, change by depth, angles."""
    with_spectrum = [site for site in stream(block) if any(site.spectrum.values())]
    with_spectrum.sort(key=lambda site: site.key != block.last_block)
    found: list[Chart] = []
    if seen(block) is not None:
        told = explained(__package__, "seen", interval=interval)
        found.append(Chart("seen", *told, lambda: seen(block), height=360))
    if with_spectrum:
        options = tuple((site.key, site.label) for site in with_spectrum)
        forms = (("share", "share"), ("cumulative", "cumulative"))
        found.append(
            Chart(
                "spectrum",
                *explained(__package__, "spectrum"),
                lambda key, form: spectrum(block, key, form),
                (Choice("site", "Site", options, menu=True), Choice("form", "Form", forms)),
                height=380,
            )
        )
    found.append(
        Chart(
            "change",
            *explained(__package__, "change"),
            lambda key: change(block, key),
            (Choice("quantity", "Quantity", _change_options()),),
            height=360,
        )
    )
    if any(site.angles for site in block.sites):
        found.append(
            Chart(
                "angles",
                *explained(__package__, "angles"),
                lambda: angles(block),
                height=360,
            )
        )
    return tuple(found)


def _change_options() -> tuple[tuple[str, str], ...]:
    return (
        ("drift", "drift"),
        ("cosine", "cosine"),
        ("cka", "CKA"),
        ("overlap", "overlap"),
        ("outside", "variance outside"),
    )
