"""Figures as words: one way of writing numbers, intervals, counts and times everywhere."""

import math

from hyperinterp.claims.spec import Measured

MINUS = "−"
DASH = "–"


def number(value: float | int | None, digits: int = 3) -> str:
    """Significant digits, or as many decimals below 1; at least two significant digits.

    The size is that of the rounded figure, so 0.9999 is written like 1. Exponents stand only
    below 0.00001 and from a million on.
    """
    if value is None:
        return DASH
    size = abs(float(f"{value:.{digits}g}"))
    if size == 0:
        return "0"
    if size >= 1e6 or size < 1e-5:
        text = f"{value:.1e}"
    else:
        power = math.floor(math.log10(size))
        decimals = max(digits - 1 - power, 0) if power >= 0 else max(digits, 1 - power)
        text = f"{value:,.{decimals}f}"
    return text.replace("-", MINUS)


def short(value: float) -> str:
    """Three significant digits, for sentences that are kept as they are."""
    return f"{value:.3g}".replace("-", MINUS)


def rank(value: float | int | None) -> str:
    """A rank or its median: whole, or with a half."""
    if value is None:
        return DASH
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def signed(value: float | int | None) -> str:
    """A difference: with its sign."""
    text = number(value)
    return f"+{text}" if value is not None and value > 0 else text


def interval(lo: float | None, hi: float | None) -> str:
    """`[lo, hi]`, or nothing."""
    return "" if lo is None or hi is None else f"[{number(lo)}, {number(hi)}]"


def words(figure: Measured) -> str:
    """A figure with its interval, or a dash with the reason."""
    if figure.value is None:
        return f"{DASH} ({figure.reason})"
    return f"{number(figure.value)} {interval(figure.lo, figure.hi)}".rstrip()


def hover(figure: Measured) -> str:
    """A figure for a hover label: value, interval, n."""
    count = f" · n = {figure.n} {figure.unit}s" if figure.n and figure.unit else ""
    return words(figure) + count


def count(value: int | None) -> str:
    """A whole number with separators."""
    return DASH if value is None else f"{value:,}"


def compact(value: int | None) -> str:
    """A large number in a few characters, e.g. 134.5M."""
    if value is None:
        return DASH
    for size, suffix in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:.1f}{suffix}"
    return str(value)


def file_size(value: int) -> str:
    """Bytes in the unit that suits them, e.g. 93.1 MB.

    >>> file_size(812), file_size(93_100_000), file_size(15_200_000_000)
    ('812 bytes', '93.1 MB', '15.2 GB')
    """
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value} byte{'s' * (value != 1)}"


def seconds(value: float | int) -> str:
    """A wall time."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"
