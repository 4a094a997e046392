"""Finer causes: a static shift at every depth, components, heads, and the fewest blocks."""

from hyperinterp.looks.spec import LookSpec

LOOK = LookSpec(
    slug="causes",
    title="Finer causes",
    question="Which parts of the fitted model write the change, and how few of them suffice?",
    package=__name__,
    result="CausesResult",
)
