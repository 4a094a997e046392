"""C9: does the fitted model gain more than the control checkpoint?"""

from hyperinterp.claims.roles import Role, Twin
from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="C9",
    slug="control",
    title="Control",
    question="Does the control checkpoint do the same?",
    rule=Rule(
        "The fitted model gains more diversity than the control.",
        unit="type-token ratio, fitted minus control",
        null="the same recipe stopped at the validation-loss minimum",
        criteria=(Criterion("gap", "diversity gain over the control", 0.05),),
    ),
    needs="--control CKPT, the same recipe stopped at the least validation loss",
    package=__name__,
    result="ControlResult",
    roles=(Role("control", "Same recipe stopped at the least validation loss", twin=Twin.STOPPED),),
)
