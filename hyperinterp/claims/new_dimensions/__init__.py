"""C12: do the new dimensions carry the change?"""

from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="C12",
    slug="new_dimensions",
    title="Ablation of the new dimensions",
    question="Do the new dimensions of the stream carry the change?",
    rule=Rule(
        "The new dimensions carry the change.",
        unit="share of the overridden choices that are undone without the new dimensions",
        null="random directions, and the base's own leading ones, of equal removed variance",
        criteria=(
            Criterion("undone", "overrides undone without half of the growth", 0.5),
            Criterion("random", "margin over random directions of equal variance", 0.0),
            Criterion("leading", "margin over the base's own leading directions", 0.0),
            Criterion("diversity", "share of the diversity gain undone while writing", 0.5),
        ),
    ),
    needs="two checkpoints and at least 4 held-out prompts",
    package=__name__,
    result="NewDimensionsResult",
    least_prompts=4,
    runs=("half",),
)
