"""Run two models side by side once and feed accumulators.

Memory is O(sites x d_model^2) for the moments, O(prompts x d_model) for the intervals, and one
batch of activations of the base model, whatever the number of tokens. Where a text is short for
the width, a `Spool` keeps its activations instead, which are then smaller.
"""

from hyperinterp.capture.accumulators import SiteAccumulators
from hyperinterp.capture.apart import Half
from hyperinterp.capture.contexts import (
    CHUNK,
    Contexts,
    chosen_positions,
    evenly,
    logit_chunks,
    over_logits,
    paired_logits,
)
from hyperinterp.capture.pair import PairRun, run_pair, sums_from
from hyperinterp.capture.prompts import (
    ContextRows,
    PromptAccumulator,
    feed_prompts,
    leave_one_out,
    rows_of_prompts,
    spectra_everywhere,
    spectra_of,
)
from hyperinterp.capture.resume import ResumeDirectory
from hyperinterp.capture.single import ModelRun, run_one
from hyperinterp.capture.spool import Spool

__all__ = [
    "CHUNK",
    "ContextRows",
    "Contexts",
    "Half",
    "ModelRun",
    "PairRun",
    "PromptAccumulator",
    "ResumeDirectory",
    "SiteAccumulators",
    "Spool",
    "chosen_positions",
    "evenly",
    "feed_prompts",
    "leave_one_out",
    "logit_chunks",
    "over_logits",
    "paired_logits",
    "rows_of_prompts",
    "run_one",
    "run_pair",
    "spectra_everywhere",
    "spectra_of",
    "sums_from",
]
