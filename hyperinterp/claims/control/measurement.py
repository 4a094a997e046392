"""C9: does the fitted model gain more than the control checkpoint?"""

from hyperinterp.analyses.intervals import context_mean, mean_of, pair_of
from hyperinterp.analyses.predictions import pair_over_contexts, read
from hyperinterp.analyses.scoring import compared, together, values
from hyperinterp.capture import run_pair
from hyperinterp.claims.control.result import ControlResult
from hyperinterp.claims.spec import Measured, Pair
from hyperinterp.under_comparison import Study


def prepare(study: Study) -> None:
    """Orders the texts."""
    study.shared.texts.order_greedy("base", "fitted", "control")


def measure(study: Study) -> ControlResult:
    """Measure text and predictions of the control beside the base, and its gap to the fitted."""
    control_model = study.model("control")
    written = {role: study.shared.texts.greedy(role) for role in ("base", "fitted", "control")}
    with study.run.log.timed("control"):
        window = study.sizes.window
        sides = compared(window, written["base"], written["control"])
        keep = together(*sides)
        pairs = {
            name: pair_of(*(values(side, name, keep) for side in sides))
            for name in ("ttr", "rep_4")
        }
        pairs |= _predictions(study)
        control, fitted = compared(window, written["control"], written["fitted"])
        keep = together(control, fitted)
        gap = mean_of(values(fitted, "ttr", keep) - values(control, "ttr", keep))
    return ControlResult(control_model.name, pairs, gap)


def quantities(result: ControlResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {"gap": result.gain_gap}


def _predictions(study: Study) -> dict[str, Pair]:
    """Entropy, loss and overrides on the held-out passages, base against control."""
    control = study.model("control")
    run = run_pair(
        study.base,
        control,
        study.heldout.rows,
        contexts_per_row=study.sizes.contexts_per_prompt,
        batch_size=study.run.batch_size,
        tick=study.run.log.ticker("base and control read the passages", len(study.heldout.rows)),
        processes=study.run.processes,
    )
    for role in ("base", "control"):
        study.run.log.forwards[f"{role} over the passages"] += 1
    found = run.contexts
    ours = read(study.base, found.base, found.target, found.row, study.run.processes)
    theirs = read(control, found.fitted, found.target, found.row, study.run.processes)
    overridden = context_mean((ours.choice != theirs.choice).float(), found.row)
    never = Measured(0.0, 0.0, 0.0, overridden.n, "prompt", "the base agrees with itself")
    return {
        "entropy": pair_over_contexts(ours.entropy, theirs.entropy, found.row),
        "heldout_loss": pair_over_contexts(ours.loss, theirs.loss, found.row),
        "override_rate": Pair(never, overridden, overridden),
    }
