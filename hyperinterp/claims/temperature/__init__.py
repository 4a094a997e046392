"""C2: could a temperature do it?"""

from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="C2",
    slug="temperature",
    title="Temperature",
    question="Could a temperature of the base do the same?",
    rule=Rule(
        "No temperature of the base does the same.",
        unit="share of KL(fitted || base) left at the best temperature of every context",
        null="the base at an entropy-matched temperature, global and per context",
        criteria=(
            Criterion("remaining", "share of the change no temperature explains", 0.5),
            Criterion("diversity", "diversity gain over the base at equal entropy", 0.0),
        ),
    ),
    needs="two checkpoints and held-out prompts",
    package=__name__,
    result="TemperatureResult",
)
