"""The claims as a LaTeX table (booktabs), ready for `input`."""

from hyperinterp.analyses.results import Claim
from hyperinterp.report.escape import latex
from hyperinterp.report.numbers import DASH, MINUS, interval, number
from hyperinterp.report.schema import Report

_HEAD = r"""% Written by hyperinterp; needs \usepackage{booktabs,textcomp} and [T1]{fontenc}.
\begin{table}[t]
\centering\small
\caption{CAPTION}
\label{tab:hyperinterp-claims}
\begin{tabular}{@{}llp{0.40\linewidth}rrl@{}}
\toprule
 & Verdict & Claim & Effect & 95\,\% interval & Threshold \\
\midrule"""
_FOOT = r"""\bottomrule
\end{tabular}
\end{table}"""


def _math(text: str) -> str:
    """A number: in maths mode, so that its minus is one; a dash when there is none."""
    if not text or text == DASH:
        return "--"
    return f"${text.replace(MINUS, '-').replace(',', '{,}').replace(']', ']')}$"


def _row(claim: Claim) -> str:
    ends = claim.interval or (None, None)
    above = claim.conditions[0].above if claim.conditions else True
    sign = ">" if above else "<"
    threshold = "--" if claim.threshold is None else f"${sign}{claim.threshold:g}$"
    bounds = interval(*ends).replace(", ", ",\\ ").replace(MINUS, "-")
    cells = (
        latex(claim.id),
        latex(str(claim.verdict)),
        latex(claim.statement),
        _math(number(claim.effect)),
        f"${bounds}$" if bounds else "--",
        threshold,
    )
    return " & ".join(cells) + r" \\"


def claims_table(report: Report) -> str:
    """A complete `table` environment with one row per claim."""
    names = {item.role: item.name for item in report.provenance.checkpoints}
    caption = (
        f"{latex(names.get('fitted', 'fitted'))} against {latex(names.get('base', 'base'))}: "
        f"verdicts over {report.provenance.prompts.used} held-out prompts."
    )
    rows = [_row(claim) for claim in report.claims.values()]
    return "\n".join([_HEAD.replace("CAPTION", caption), *rows, _FOOT]) + "\n"
