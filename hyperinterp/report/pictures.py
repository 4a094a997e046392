"""Small inline SVG pictures: an effect with its interval and threshold, and share bars."""

from dataclasses import dataclass

from markupsafe import Markup

from hyperinterp.analyses.results import Claim, Condition, Measured, Verdict
from hyperinterp.report.numbers import DASH, number, words

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


def effect(claim: Claim) -> Markup:
    """The claim's effect; a dash when it was not tested."""
    if claim.effect is None:
        return Markup('<span class="none">{}</span>').format(DASH)
    lo, hi = claim.interval or (None, None)
    above = claim.conditions[0].above if claim.conditions else True
    figure = Measured(claim.effect, lo, hi, claim.n)
    outcome = claim.conditions[0].outcome if claim.conditions else claim.verdict
    return draw(figure, claim.threshold, outcome, above=above)


def condition(item: Condition) -> Markup:
    """One condition of a claim."""
    if item.measured.value is None:
        return Markup('<span class="none" title="{}">{}</span>').format(item.measured.reason, DASH)
    return draw(item.measured, item.threshold, item.outcome, above=item.above)


def draw(figure: Measured, threshold: float | None, outcome: Verdict, *, above: bool) -> Markup:
    """Dot and interval on an axis; the side that supports the claim is shaded."""
    value = figure.value or 0.0
    known = [v for v in (value, figure.lo, figure.hi, threshold, 0.0) if v is not None]
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
    if threshold is None or abs(scale.x(0.0) - scale.x(threshold)) > 1:
        close = threshold is not None and abs(scale.x(0.0) - scale.x(threshold)) < 34
        parts.append(_tick(scale.x(0.0), "" if close else "0", "zero", 12.0))
    if threshold is not None:
        sign = ">" if above else "<"
        parts.append(_tick(scale.x(threshold), f"{sign} {threshold:g}", "need", 10.0))
    if figure.lo is not None and figure.hi is not None:
        lo, hi = scale.x(figure.lo), scale.x(figure.hi)
        parts.append(
            Markup('<line class="span" x1="{:.1f}" x2="{:.1f}" y1="{a}" y2="{a}"/>').format(
                lo, hi, a=_AXIS
            )
        )
        for end in (lo, hi):
            parts.append(
                Markup('<line class="span" x1="{x:.1f}" x2="{x:.1f}" y1="22" y2="32"/>').format(
                    x=end
                )
            )
    parts.append(
        Markup('<circle class="dot" cx="{:.1f}" cy="{}" r="4.5"/>').format(scale.x(value), _AXIS)
    )
    spoken = f"{words(figure)}; required {'above' if above else 'below'} {number(threshold)}"
    return Markup(
        '<svg class="effect {}" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>'
    ).format(css_class(outcome), _WIDTH, _HEIGHT, spoken, Markup("").join(parts))


def _tick(x: float, text: str, kind: str, top: float) -> Markup:
    line = Markup('<line class="{}" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="40"/>').format(
        kind, top, x=x
    )
    if not text:
        return line
    label = Markup('<text x="{:.1f}" y="9" text-anchor="{}">{}</text>').format(x, _anchor(x), text)
    return line + label


def css_class(verdict: Verdict) -> str:
    """Class of a verdict's colour."""
    return "v-" + str(verdict).replace(" ", "-")


def bar(share: float | int) -> Markup:
    """A horizontal bar of a share between 0 and 1."""
    return Markup(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{:.1f}" height="8" rx="1"/></svg>'
    ).format(100 * min(max(share, 0.0), 1.0))
