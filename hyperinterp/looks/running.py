"""Make the measurements without a verdict; what fails in one leaves the others standing."""

from collections.abc import Sequence
from typing import Any

from hyperinterp.claims.running import told
from hyperinterp.errors import OutOfResources, memory_ran_out
from hyperinterp.looks.spec import LookSpec
from hyperinterp.under_comparison import Study


def run_looks(study: Study, looks: Sequence[LookSpec]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return results by slug, and why others are not there.

    Args:
        study: the pair, the text and the shared runs.
        looks: those that were asked for.

    Raises:
        OutOfResources: memory or the disk ran out.
    """
    results: dict[str, Any] = {}
    absent: dict[str, str] = {}
    for look in looks:
        try:
            with study.run.log.timed(look.title.lower()):
                results[look.slug] = look.part("measurement", "measure")(study)
        except Exception as error:
            stops = isinstance(error, OutOfResources | OSError) or memory_ran_out(error)
            if stops or study.run.processes.size > 1:
                raise
            absent[look.slug] = told(error)
    return results, absent
