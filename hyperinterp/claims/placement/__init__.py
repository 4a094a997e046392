"""C13: does it have to be the last blocks?"""

from hyperinterp.claims.roles import Role, Twin
from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

LOSS_GAP = 0.05
"""Training losses further apart than this, in nats, are not equal; declared before measuring."""

CLAIM = ClaimSpec(
    id="C13",
    slug="placement",
    title="Placement",
    question="Does it have to be the last blocks?",
    rule=Rule(
        "Training as many other blocks gains less diversity than training the last ones.",
        unit="type-token ratio, last blocks minus the best other placement",
        null="twins trained to equal loss in the first, middle or random blocks",
        criteria=(
            Criterion("margin", "margin over the best other placement", 0.05),
            Criterion("gain", "gain over the base", 0.05),
        ),
    ),
    needs="--elsewhere CKPT, a twin trained to equal loss in as many other blocks",
    package=__name__,
    result="PlacementResult",
    roles=(
        Role("elsewhere", "Twin trained alike in other blocks", several=True, twin=Twin.ELSEWHERE),
    ),
)
