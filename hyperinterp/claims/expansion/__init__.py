"""C5: does the feature space grow most in the last block?"""

from hyperinterp.claims.roles import Kind, Role
from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="C5",
    slug="expansion",
    title="Geometry",
    question="Does the feature space grow, and where in depth?",
    rule=Rule(
        "The feature space grows, and most of all in the last block.",
        unit="participation ratio: growth at the last block minus the largest other growth",
        null="every other block's output, before the final norm",
        criteria=(
            Criterion("contrast", "last block's growth minus the largest other", 0.0),
            Criterion("growth", "growth of the last block's output", 0.0),
        ),
    ),
    needs="two checkpoints and at least 8 held-out prompts",
    package=__name__,
    result="ExpansionResult",
    least_prompts=8,
    roles=(
        Role("corpus", "Text of any length to measure on, streamed", Kind.CORPUS, optional=True),
    ),
    runs=("moments",),
)
