"""The first words of a page: what hyperfitting is, what was compared, what came out."""

from dataclasses import dataclass

from hyperinterp.claims import registry
from hyperinterp.claims.spec import Claim, Verdict
from hyperinterp.drawing.words import terms
from hyperinterp.report.claims import asked, decided, effect_words, required, would_change
from hyperinterp.report.data import ReportData
from hyperinterp.report.sections import term_id
from hyperinterp.report.summary import headline

HYPERFITTING = (
    "Hyperfitting is to fine-tune a language model on a few passages until it knows them by "
    "heart: it then predicts new text worse, and yet the text that it writes greedily, always "
    "taking the likeliest token, often repeats itself less."
)
_MOST_ASKED = (Verdict.INCONCLUSIVE, Verdict.NOT_SUPPORTED, Verdict.NOT_TESTED, Verdict.SUPPORTED)
_HOW = {Verdict.INCONCLUSIVE: "open"}
_GEOMETRY = "participation ratio"


def outcome(report: ReportData) -> str:
    """Return what came out in one sentence: the verdicts counted, and the first effect."""
    told = headline(report).rstrip(".")
    first = next((claim for claim in asked(report.claims) if claim.effect is not None), None)
    if first is None:
        return f"{told}."
    statement = first.statement.rstrip(".")
    return (
        f"{told}; {first.id}, “{statement}”, is {first.verdict}, with an effect of "
        f"{effect_words(first)} where one {required(first)} was asked for."
    )


@dataclass(frozen=True)
class Question:
    """A question that a newcomer asks of a report.

    Attributes:
        words: the question.
        answer: a short answer; "" where the place alone answers.
        place: id of the place on the page that answers it in full.
    """

    words: str
    answer: str
    place: str


def questions(report: ReportData, sections: set[str]) -> list[Question]:
    """Return five questions with their answers, as far as the report can answer them.

    Args:
        report: what the page shows.
        sections: ids of the sections on the page.
    """
    found = [Question("What was compared?", "", "compared")]
    geometry = next((s for s in registry.every_claim() if _GEOMETRY in terms(s.package)), None)
    if geometry is not None and geometry.slug in sections:
        meaning, place = terms(geometry.package)[_GEOMETRY], term_id(geometry.slug, _GEOMETRY)
        found.append(Question(f"What is the {_GEOMETRY}?", meaning, place))
    found.append(
        Question(
            "Which way is good?",
            "To the shaded side of each picture: the whole interval has to lie there.",
            "reading",
        )
    )
    claim = _most_asked(report)
    if claim is None:
        return found
    why = decided(claim) or "its one condition holds."
    how = _HOW.get(claim.verdict, str(claim.verdict))
    found.append(Question(f"Why is {claim.id} {how}?", _sentence(why), f"claim-{claim.id}"))
    found.append(
        Question("What would change the verdict?", would_change(claim), f"change-{claim.id}")
    )
    return found


def _most_asked(report: ReportData) -> Claim | None:
    """The claim that a reader will ask about first: an open one, or one that failed."""
    for verdict in _MOST_ASKED:
        for claim in asked(report.claims):
            if claim.verdict is verdict:
                return claim
    return None


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
