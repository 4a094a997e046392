"""The claims as a LaTeX table (booktabs), ready for `input`."""

from hyperinterp.claims.spec import Claim
from hyperinterp.drawing.escape import latex
from hyperinterp.drawing.numbers import interval, number
from hyperinterp.drawing.rendering import latex_number, latex_prose
from hyperinterp.report.claims import asked, bound, decided, left_out
from hyperinterp.report.data import ReportData

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


def _row(claim: Claim) -> str:
    told = decided(claim)
    under = rf" \newline {{\footnotesize {latex_prose(told)}}}" if told else ""
    cells = (
        latex(claim.id),
        latex(str(claim.verdict)),
        latex(claim.statement) + under,
        latex_number(number(claim.effect)),
        latex_number(interval(*(claim.interval or (None, None)))),
        latex_number(bound(claim).replace(" ", "")),
        str(claim.n) if claim.n else "--",
    )
    return " & ".join(cells) + r" \\"


def claims_table(report: ReportData) -> str:
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
