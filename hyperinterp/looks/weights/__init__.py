"""The change of the weights themselves, and what lies on the way from base to fitted."""

from hyperinterp.looks.spec import LookSpec

LOOK = LookSpec(
    slug="weights",
    title="Weights",
    question="What changed in each weight matrix, and does it all move together on the way there?",
    package=__name__,
    result="WeightsResult",
)
