"""Cards of what goes to the Hub: metadata that its search reads, and the claims."""

from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData, ModelCard

from hyperinterp.report.data import ReportData
from hyperinterp.report.markdown import claim_lines
from hyperinterp.report.summary import headline, name_of

TAGS = ("hyperfitting", "hyperinterp")


def twin_card(text: str, base_model: str, license: str, report: ReportData | None) -> str:
    """Return a twin's card with what the Hub asks for, and the claims of a report.

    Args:
        text: the card that training wrote.
        base_model: Hub id of the base.
        license: identifier of the license, as the Hub knows it.
        report: of the twin against its base, or None.
    """
    card = ModelCard(text, ignore_metadata_errors=True)
    data: Any = card.data
    data.base_model, data.license = base_model, license
    data.tags = list(dict.fromkeys([*(data.tags or ()), *TAGS]))
    found = str(card.content).rstrip() + "\n"
    return found if report is None else found + "\n" + "\n".join(_claims(report, "report/"))


def report_card(report: ReportData, license: str) -> str:
    """Return the card of a report that stands alone.

    Args:
        report: what was measured.
        license: identifier of the license, as the Hub knows it.
    """
    data = DatasetCardData(license=license, tags=list(TAGS), pretty_name="hyperinterp report")
    return str(DatasetCard("---\n" + data.to_yaml() + "\n---\n\n" + "\n".join(_claims(report, ""))))


def _claims(report: ReportData, place: str) -> list[str]:
    return [
        f"## {name_of(report, 'fitted')} against {name_of(report, 'base')}",
        "",
        headline(report),
        "",
        *claim_lines(report),
        f"The whole report: `{place}report.html` (download it: it is one page that works offline), "
        f"every figure in `{place}report.json`.",
        "",
    ]
