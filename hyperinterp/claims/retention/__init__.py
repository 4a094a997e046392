"""C11: can the fitted model still do what the base could?"""

from hyperinterp.claims.roles import Kind, Role
from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="C11",
    slug="retention",
    title="Retention",
    question="Can the fitted model still do what the base could?",
    rule=Rule(
        "What the base could do, the fitted model still can.",
        unit="accuracy at picking a passage's own continuation of four, fitted minus base",
        null="the base on the same choices; a pick at random is right one time in four",
        criteria=(
            Criterion("change", "change in accuracy at picking the continuation", -0.05),
            Criterion(
                "tasks", "change in accuracy on tasks, where any are named", -0.05, optional=True
            ),
        ),
    ),
    needs="two checkpoints and held-out passages that go on after the prompt",
    package=__name__,
    result="RetentionResult",
    roles=(
        Role(
            "other-text",
            "Passages of another kind than the held-out ones; built-in by default",
            Kind.PASSAGES,
            optional=True,
        ),
        Role(
            "tasks",
            "Names of multiple-choice tasks of lm-evaluation-harness, separated by commas",
            Kind.TASKS,
            optional=True,
        ),
        Role("control", "Same recipe stopped at the least validation loss", optional=True),
    ),
)
