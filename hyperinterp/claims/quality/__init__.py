"""C10: is the more diverse text still good text?"""

from hyperinterp.claims.roles import Kind, Role
from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="C10",
    slug="quality",
    title="Quality",
    question="Is the fitted model's text as good as what people wrote?",
    rule=Rule(
        "The fitted model's greedy text is still good text.",
        unit="surprisal of fresh tokens under the reference, fitted minus human, nats per token",
        null="the human continuations of the same passages; the base's greedy text",
        criteria=(
            Criterion("fresh", "fresh surprisal over the human one, nats", 0.5, above=False),
            Criterion("shocking", "share of shocking tokens over the human one", 0.02, above=False),
            Criterion("gain", "prompt gain as a share of the human one", 0.5),
            Criterion("distance", "distance to human surprisal over the base's", 0.0, above=False),
        ),
    ),
    needs="two checkpoints and held-out passages that go on after the prompt",
    package=__name__,
    result="QualityResult",
    roles=(
        Role(
            "reference",
            "Model that the texts are judged by, of any family; BASE by default",
            Kind.READER,
            optional=True,
        ),
    ),
)
