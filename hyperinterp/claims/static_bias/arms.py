"""Text written under static biases: which arms write, and which comes closest."""

import math

from hyperinterp.analyses.intervals import mean_of
from hyperinterp.analyses.scoring import compared, together, values
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.generation import Generated
from hyperinterp.text import split_half
from hyperinterp.under_comparison import Study

NONE, MEAN, GAINERS = "none", "mean shift", "top rank gainers"
SHUFFLED, FITTED = "shuffled mean shift", "fitted bias"
WRITTEN_ONCE = (SHUFFLED, FITTED)  # text at alpha = 1 only

Key = tuple[str, float]
Texts = dict[str | Key, Generated]


def bias_grid(study: Study) -> list[Key]:
    """Every arm: the base itself, then each bias at each alpha; 1 always among them."""
    alphas = sorted({*study.sizes.alphas, 1.0} - {0.0})
    names = (MEAN, GAINERS, SHUFFLED, FITTED)
    return [(NONE, 0.0), *((name, alpha) for name in names for alpha in alphas)]


def writing_keys(study: Study) -> list[Key]:
    """The arms that write text, without the base itself."""
    wanted = set(study.sizes.alphas)
    return [
        (name, alpha)
        for name, alpha in bias_grid(study)
        if name != NONE and (alpha == 1.0 if name in WRITTEN_ONCE else alpha in wanted)
    ]


def text_rows(study: Study) -> tuple[int, ...]:
    """The prompts of the evaluation half that texts continue."""
    evaluation = split_half(len(study.heldout.rows), study.run.seed)[1]
    return tuple(evaluation[: study.sizes.control_prompts])


def bias_texts(study: Study) -> Texts:
    """Greedy text on the same prompts: of both models and the arms that write."""
    texts: Texts = {key: study.shared.texts.of("base", label(key)) for key in writing_keys(study)}
    for role in ("base", "fitted"):
        texts[role] = study.shared.texts.greedy(role).chosen(text_rows(study))
    texts[NONE, 0.0] = texts["base"]
    return texts


def label(key: Key) -> str:
    """Name of an arm in words."""
    return f"{key[0]}, alpha {key[1]:g}"


def closest_arm(texts: Texts, window: int) -> tuple[Measured, str]:
    """Fitted minus the arm that comes closest to it or passes it, and that arm's name.

    Of all arms that wrote text, on the prompts that are defined in both; an arm that ends more
    than half of its texts early is no alternative. An arm that the fitted model surely does not
    surpass (its whole interval is at 0 or below) decides, else the one with the smallest gap.
    Picking among several can only favour the static alternative.
    """
    gaps: dict[str, Measured] = {}
    for key, text in texts.items():
        arm, fitted = compared(window, text, texts["fitted"])
        keep = together(fitted, arm)
        if isinstance(key, str) or keep.sum() < max(2, len(keep) / 2):
            continue
        gaps[label(key)] = mean_of(values(fitted, "ttr", keep) - values(arm, "ttr", keep))
    if not gaps:
        return missing("no static arm wrote texts long enough on at least two prompts"), ""

    def how_close(name: str) -> tuple[bool, float]:
        value, hi = gaps[name].value, gaps[name].hi
        return hi is None or hi > 0, math.inf if value is None else value

    best = min(gaps, key=how_close)
    return gaps[best], best
