"""Small inline SVG pictures: an effect with its interval, threshold and nulls, and share bars."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hyperinterp.claims.spec import Beaten, Claim, Condition, Measured, Verdict
from hyperinterp.drawing.escape import visible
from hyperinterp.drawing.numbers import DASH, number, short, words
from hyperinterp.report.claims import above, side

_WIDTH, _HEIGHT, _AXIS = 230.0, 46.0, 27.0


@dataclass(frozen=True)
class _Scale:
    lo: float
    hi: float

    def x(self, value: float) -> float:
        return 8 + (value - self.lo) / (self.hi - self.lo) * (_WIDTH - 16)


def _scale(values: list[float]) -> _Scale:
    lo, hi = min(values), max(values)
    pad = 0.12 * (hi - lo) or 0.5
    return _Scale(lo - pad, hi + pad)


def _anchor(x: float) -> str:
    return "start" if x < 45 else "end" if x > _WIDTH - 45 else "middle"


def effect(claim: Claim, nulls: Sequence[Beaten] = ()) -> Markup:
    """The claim's effect in the colour of its verdict; a dash when it was not tested."""
    if claim.effect is None:
        return Markup('<span class="none">{}</span>').format(DASH)
    lo, hi = claim.interval or (None, None)
    figure = Measured(claim.effect, lo, hi, claim.n)
    marks = [item for item in nulls if item.condition == 0]
    return draw(figure, claim.threshold, claim.verdict, above=above(claim), marks=marks)


def condition(item: Condition, nulls: Sequence[Beaten] = ()) -> Markup:
    """One condition of a claim, with the nulls on its scale; nothing without a figure."""
    if item.measured.value is None:
        return Markup("")
    return draw(item.measured, item.threshold, item.outcome, above=item.above, marks=nulls)


def draw(
    figure: Measured,
    threshold: float | None,
    outcome: Verdict,
    *,
    above: bool,
    marks: Sequence[Beaten] = (),
) -> Markup:
    """Dot and interval on an axis; the side that supports the claim is shaded, nulls are grey."""
    value = figure.value or 0.0
    places = [item.measured.value for item in marks]
    known = [v for v in (value, figure.lo, figure.hi, threshold, 0.0, *places) if v is not None]
    scale = _scale(known)
    parts: list[Markup] = []
    if threshold is not None:
        at = scale.x(threshold)
        start, end = (at, _WIDTH - 2) if above else (2, at)
        shade = Markup('<rect class="good" x="{:.1f}" y="14" width="{:.1f}" height="26"/>')
        parts.append(shade.format(start, max(end - start, 0)))
    parts.append(
        Markup('<line class="axis" x1="2" x2="{:.0f}" y1="40" y2="40"/>').format(_WIDTH - 2)
    )
    parts += _ticks(scale, threshold, above=above)
    parts += [_mark(scale, item) for item in marks]
    parts += _span(scale, figure)
    parts.append(
        Markup('<circle class="dot" cx="{:.1f}" cy="{}" r="4.5"/>').format(scale.x(value), _AXIS)
    )
    spoken = f"{words(figure)}; required {side(above)} {number(threshold)}"
    spoken += "".join(f"; grey: {visible(m.words)} {number(m.measured.value)}" for m in marks)
    return Markup(
        '<svg class="effect {}" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>'
    ).format(css_class(outcome), _WIDTH, _HEIGHT, spoken, Markup("").join(parts))


def _ticks(scale: _Scale, threshold: float | None, *, above: bool) -> list[Markup]:
    """Zero, and the threshold; the label of zero gives way to that of the threshold."""
    parts = []
    apart = None if threshold is None else abs(scale.x(0.0) - scale.x(threshold))
    if apart is None or apart > 1:
        close = apart is not None and apart < 34
        parts.append(_tick(scale.x(0.0), "" if close else "0", "zero", 12.0))
    if threshold is not None:
        sign = ">" if above else "<"
        parts.append(_tick(scale.x(threshold), f"{sign} {short(threshold)}", "need", 10.0))
    return parts


def _tick(x: float, text: str, kind: str, top: float) -> Markup:
    line = Markup('<line class="{}" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="40"/>').format(
        kind, top, x=x
    )
    if not text:
        return line
    label = Markup('<text x="{:.1f}" y="9" text-anchor="{}">{}</text>').format(x, _anchor(x), text)
    return line + label


def _mark(scale: _Scale, item: Beaten) -> Markup:
    """A grey diamond where a null lies, named when it is pointed at."""
    x = scale.x(item.measured.value or 0.0)
    corners = f"{x:.1f},{_AXIS - 5} {x + 5:.1f},{_AXIS} {x:.1f},{_AXIS + 5} {x - 5:.1f},{_AXIS}"
    told = f"{visible(item.words)}: {words(item.measured)}"
    return Markup('<polygon class="null" points="{}"><title>{}</title></polygon>').format(
        corners, told
    )


def _span(scale: _Scale, figure: Measured) -> list[Markup]:
    """The interval as a line with ends; nothing without one."""
    if figure.lo is None or figure.hi is None:
        return []
    lo, hi = scale.x(figure.lo), scale.x(figure.hi)
    line = Markup('<line class="span" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>')
    return [
        line.format(lo, hi, _AXIS, _AXIS),
        line.format(lo, lo, 22, 32),
        line.format(hi, hi, 22, 32),
    ]


def css_class(verdict: Verdict) -> str:
    """Class of a verdict's colour."""
    return "v-" + str(verdict).replace(" ", "-")


def bar(share: float | int) -> Markup:
    """A horizontal bar of a share between 0 and 1."""
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{:.1f}" height="8" rx="1"/></svg>'
    ).format(100 * min(max(share, 0.0), 1.0))
