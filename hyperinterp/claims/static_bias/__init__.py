"""C3: could a static re-weighting of the vocabulary do it?"""

from hyperinterp.claims.spec import ClaimSpec, Criterion, Rule

CLAIM = ClaimSpec(
    id="C3",
    slug="static_bias",
    title="Static bias",
    question="Could a fixed re-weighting of the vocabulary do the same?",
    rule=Rule(
        "No static re-weighting of the vocabulary does the same.",
        unit="share of KL(fitted || base) left with the fitted context-free bias",
        null="base + alpha * bias: mean shift, top rank gainers, shuffled, fitted by gradient",
        criteria=(
            Criterion("remaining", "share of the change no static bias explains", 0.5),
            Criterion("unexplained", "share of logit-shift variance not static", 0.5),
            Criterion("diversity", "diversity gain over the best static arm", 0.0),
        ),
    ),
    needs="two checkpoints and at least 8 held-out prompts",
    package=__name__,
    result="StaticBiasResult",
    least_prompts=8,
)
