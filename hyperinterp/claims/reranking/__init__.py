"""C4: does it re-order ranks by context, from the deep tail?"""

from hyperinterp.claims.roles import Kind, Role
from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule, Section

CLAIM = ClaimSpec(
    id="C4",
    slug="reranking",
    title="Ranks",
    question="Whose token wins, from which base rank, and does it depend on the context?",
    rule=Rule(
        "It re-orders ranks by context and promotes tokens from the deep tail.",
        unit="share of decisions overridden, also after the best context-free scale and shift",
        null="scale * base + shift per token, both from the other half of the prompts",
        criteria=(
            Criterion("after_static", "overrides that no scale and shift explain", 0.05),
            Criterion("deep", "share of overrides from base rank > 10", 0.05),
            Criterion("halves", "overrides in the half of the prompts with fewer", 0.05),
        ),
    ),
    needs="two checkpoints and held-out prompts",
    package=__name__,
    result="RerankingResult",
    roles=(
        Role(
            "frequencies",
            "Token frequencies: csv (token_id, count) or json",
            Kind.COUNTS,
            optional=True,
        ),
    ),
    runs=("followed",),
    sections=(
        Section(
            "lens",
            "Logit lens",
            "Where in depth does the new choice rise?",
            "no decision was overridden, so there is none to follow",
        ),
    ),
)
