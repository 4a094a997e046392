"""A report in a notebook: title, summary and claims."""

from markupsafe import Markup

from hyperinterp.drawing.escape import bdi, html_text
from hyperinterp.drawing.numbers import DASH
from hyperinterp.drawing.rendering import html_grid
from hyperinterp.report import claims, summary
from hyperinterp.report.beside import caveat
from hyperinterp.report.data import ReportData


def report_html(report: ReportData) -> str:
    """Title, summary and claims as a fragment that needs no style sheet and no script."""
    rows = [
        (
            claim.id,
            f"{summary.ICONS[claim.verdict]} {claim.verdict}",
            html_text(claim.statement),
            claims.effect_words(claim),
            claims.required(claim),
            claim.n or DASH,
            html_text(claims.decided(claim)) + _but(caveat(report, claim)),
        )
        for claim in claims.asked(report.claims)
    ]
    head = Markup("<p><b>{} against {}</b></p><p>{}</p>").format(
        bdi(summary.name_of(report, "fitted")),
        bdi(summary.name_of(report, "base")),
        summary.headline(report),
    )
    columns = ("", "verdict", "claim", "effect", "required", "n", "")
    left_out = claims.left_out(report.claims)
    foot = Markup("<p>Not asked for (--claims): {}</p>").format(left_out) if left_out else ""
    return str(head + html_grid(columns, rows) + foot)


def _but(warned: str) -> Markup:
    return Markup("<br>But: {}").format(warned) if warned else Markup("")
