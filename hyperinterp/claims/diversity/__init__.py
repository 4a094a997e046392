"""C1: how diverse the greedy text of both models is."""

from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule, Section

CLAIM = ClaimSpec(
    id="C1",
    slug="diversity",
    title="Diversity",
    question="Is the fitted model's greedy text more diverse than the base's?",
    rule=Rule(
        "The fitted model's greedy text is more diverse than the base's.",
        unit="type-token ratio, fitted minus base",
        null="the base's greedy text on the same prompts",
        criteria=(
            Criterion("ttr", "gain in type-token ratio", 0.05),
            Criterion("rep_4", "change in the share of repeated 4-grams", 0.0, above=False),
        ),
    ),
    needs="two checkpoints and held-out prompts",
    package=__name__,
    result="DiversityResult",
    sections=(
        Section(
            "generations",
            "What they generate",
            "Greedy generations of the same held-out prompts, side by side.",
        ),
    ),
    first=True,
)
