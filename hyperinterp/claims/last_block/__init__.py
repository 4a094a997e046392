"""C6: does the last block cause it?"""

from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="C6",
    slug="last_block",
    title="Function patching",
    question="Which block's function causes the change?",
    rule=Rule(
        "The last block's function alone causes the change.",
        unit="share of KL(fitted || base) recovered by the fitted last block in the base",
        null="every other block; random weight changes of the same norm",
        criteria=(
            Criterion("recovered", "change recovered by the last block alone", 0.5),
            Criterion("contrast", "margin over the best other block", 0.0),
            Criterion("null", "margin over random changes of the same norm", 0.0),
            Criterion("behaviour", "share of the diversity gain it moves", 0.5),
        ),
    ),
    needs="two checkpoints and held-out prompts",
    package=__name__,
    result="LastBlockResult",
    runs=("patches",),
)
