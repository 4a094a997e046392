"""Many twins of several recipes, over seeds and placements, and verdicts about the recipes."""

from hyperinterp.studies.cells import Cell, planned
from hyperinterp.studies.config import PRESETS, StudyConfig
from hyperinterp.studies.files import study_config
from hyperinterp.studies.schema import StudyReport, study_schema
from hyperinterp.studies.studying import study

__all__ = [
    "PRESETS",
    "Cell",
    "StudyConfig",
    "StudyReport",
    "planned",
    "study",
    "study_config",
    "study_schema",
]
