"""Loops of greedy text: how they hold on, and who leaves them."""

from hyperinterp.looks.spec import LookSpec

LOOK = LookSpec(
    slug="loops",
    title="Loops",
    question="How firmly does each model repeat itself, and does it leave the other's loops?",
    package=__name__,
    result="LoopsResult",
)
