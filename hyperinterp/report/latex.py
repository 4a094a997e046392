"""The claims as a LaTeX table (booktabs), ready for `input`."""

import re

from hyperinterp.analyses.results import Claim
from hyperinterp.drawing.escape import latex
from hyperinterp.drawing.numbers import DASH, MINUS, interval, number
from hyperinterp.report.claims import asked, bound, decided, left_out
from hyperinterp.report.schema import Report

_HEAD = r"""% Written by hyperinterp; needs \usepackage{booktabs,textcomp} and [T1]{fontenc}.
\begin{table}[t]
\centering\small
\caption{CAPTION}
\label{tab:hyperinterp-claims}
\begin{tabular}{@{}llp{0.40\linewidth}rrlr@{}}
\toprule
 & Verdict & Claim & Effect & 95\,\% interval & Threshold & $n$ \\
\midrule"""
_FOOT = r"""\bottomrule
\end{tabular}
\end{table}"""


def _math(text: str) -> str:
    """A number or an interval: in maths mode, so that its minus is one; a dash for none."""
    if not text or text == DASH:
        return "--"
    grouped = re.sub(r",(?=\d)", "{,}", text).replace(", ", r",\ ")
    return f"${grouped.replace(MINUS, '-')}$"


def _row(claim: Claim) -> str:
    told = decided(claim)
    under = rf" \newline {{\footnotesize {_prose(told)}}}" if told else ""
    cells = (
        latex(claim.id),
        latex(str(claim.verdict)),
        latex(claim.statement) + under,
        _math(number(claim.effect)),
        _math(interval(*(claim.interval or (None, None)))),
        _math(bound(claim).replace(" ", "")),
        str(claim.n) if claim.n else "--",
    )
    return " & ".join(cells) + r" \\"


def _prose(text: str) -> str:
    """Words with numbers and options among them."""
    plain = latex(text).replace("--", "-{}-").replace("\u00a0", "~")
    return plain.replace(MINUS, "$-$").replace(DASH, "--")


def claims_table(report: Report) -> str:
    """A complete `table` environment with one row per claim that was asked for."""
    names = {item.role: item.name for item in report.provenance.checkpoints}
    caption = (
        f"{latex(names.get('fitted', 'fitted'))} against {latex(names.get('base', 'base'))}: "
        f"verdicts. Of {report.provenance.prompts.used} held-out prompts, $n$ are behind an effect."
    )
    if left_out(report.claims):
        caption += f" Not asked for: {left_out(report.claims)}."
    rows = [_row(claim) for claim in asked(report.claims)]
    return "\n".join([_HEAD.replace("CAPTION", caption), *rows, _FOOT]) + "\n"
