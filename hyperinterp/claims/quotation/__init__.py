"""C8: is the diversity quotation of the training text?"""

from hyperinterp.claims.roles import TRAINING
from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="C8",
    slug="quotation",
    title="Quotation",
    question="Is the diversity copied from the training text?",
    rule=Rule(
        "The diversity is not quotation of the training text.",
        unit="share of generated 8-grams found in the training text, fitted minus base",
        null="the base's own rate on the same prompts",
        criteria=(Criterion("copied", "additional share of copied 8-grams", 0.05, above=False),),
    ),
    needs="--train-data FILE, the passages that the fitted model was trained on",
    package=__name__,
    result="QuotationResult",
    roles=(TRAINING,),
)
