"""C7: is training the last blocks enough?"""

from hyperinterp.claims.roles import Role, Twin
from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="C7",
    slug="late_stage",
    title="Late-stage twin",
    question="Is training the last blocks enough?",
    rule=Rule(
        "Training only the last blocks gives the same diversity.",
        unit="late-stage gain in type-token ratio as a share of the all-layer gain",
        null="the checkpoint trained in all layers",
        criteria=(Criterion("share", "share of the all-layer gain", 0.8),),
    ),
    needs="--late-stage CKPT, a twin trained in the last blocks only",
    package=__name__,
    result="LateStageResult",
    roles=(
        Role("late-stage", "Twin trained in the last blocks only", several=True, twin=Twin.LAST),
    ),
)
