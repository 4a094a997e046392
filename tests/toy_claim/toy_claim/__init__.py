"""T1: are the fitted model's texts longer?"""

from hyperinterp.claims.roles import Kind, Role
from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="T1",
    slug="length",
    title="Length",
    question="Are the fitted model's texts longer than the base's?",
    rule=Rule(
        "The fitted model's greedy texts are longer.",
        unit="tokens, fitted minus base",
        null="the base's greedy text on the same prompts",
        criteria=(Criterion("gain", "gain in length", 0.0),),
    ),
    needs="two checkpoints and held-out prompts",
    package=__name__,
    result="LengthResult",
    roles=(Role("judge", "Model whose tokens are counted", Kind.READER, optional=True),),
)
