"""C9: does the fitted model gain more than the control checkpoint?"""

from dataclasses import dataclass

from hyperinterp.analyses.intervals import context_mean, mean_of, pair_of
from hyperinterp.analyses.results import Claim, Measured, Pair
from hyperinterp.analyses.scoring import compared, together, values
from hyperinterp.analyses.twins import pair_over_contexts, read
from hyperinterp.block import Block
from hyperinterp.capture import run_pair
from hyperinterp.errors import InputRefused
from hyperinterp.study import Study
from hyperinterp.verdicts import judge


@dataclass(frozen=True)
class ControlBlock(Block):
    """The same recipe stopped at the validation-loss minimum.

    Attributes:
        name: the control checkpoint.
        scores: per measure (ttr, rep_4, entropy, heldout_loss, override_rate): base against
            control.
        gain_gap: fitted minus control type-token ratio, paired by prompt.
    """

    name: str
    scores: dict[str, Pair]
    gain_gap: Measured


def prepare(study: Study) -> None:
    """Orders the texts."""
    study.texts.order_greedy("base", "fitted", "control")


def analyse(study: Study) -> tuple[ControlBlock, Claim]:
    """Text and predictions of the control beside the base, and its gap to the fitted model."""
    if study.control is None:
        raise InputRefused(
            "claim C9: expected a control checkpoint, found none; name it with --control"
        )
    written = {role: study.texts.greedy(role) for role in ("base", "fitted", "control")}
    with study.ledger.timed("control"):
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
    return ControlBlock(study.control.name, pairs, gap), judge("C9", {"gap": gap})


def _predictions(study: Study) -> dict[str, Pair]:
    """Entropy, loss and overrides on the held-out passages, base against control."""
    control = study.model("control")
    run = run_pair(
        study.base,
        control,
        study.contexts_rows,
        contexts_per_row=study.sizes.contexts_per_prompt,
        batch_size=study.batch_size,
        tick=study.ledger.ticker("base and control read the passages", len(study.contexts_rows)),
        processes=study.processes,
    )
    for role in ("base", "control"):
        study.ledger.forwards[f"{role} over the passages"] += 1
    found = run.contexts
    ours = read(study.base, found.base, found.target, found.row, study.processes)
    theirs = read(control, found.fitted, found.target, found.row, study.processes)
    overridden = context_mean((ours.choice != theirs.choice).float(), found.row)
    never = Measured(0.0, 0.0, 0.0, overridden.n, "prompt", "the base agrees with itself")
    return {
        "entropy": pair_over_contexts(ours.entropy, theirs.entropy, found.row),
        "heldout_loss": pair_over_contexts(ours.loss, theirs.loss, found.row),
        "override_rate": Pair(never, overridden, overridden),
    }
