"""Plotly figures of every block: `charts(block)` lists them, `Chart.figure()` draws one."""

from typing import Any

from hyperinterp.analyses.control import ControlBlock
from hyperinterp.analyses.diversity import DiversityBlock
from hyperinterp.analyses.geometry import GeometryBlock
from hyperinterp.analyses.quotation import QuotationBlock
from hyperinterp.analyses.ranks import RanksBlock
from hyperinterp.analyses.static_bias import StaticBiasBlock
from hyperinterp.analyses.sufficiency import SufficiencyBlock
from hyperinterp.analyses.temperature import TemperatureBlock
from hyperinterp.analyses.transplant import TransplantBlock
from hyperinterp.course import Course
from hyperinterp.drawing.chart import Chart
from hyperinterp.report.figures import (
    course,
    diversity,
    geometry,
    ranks,
    static_bias,
    temperature,
    transplant,
    twins,
)

__all__ = ["charts"]

_CHARTS: dict[type, Any] = {
    DiversityBlock: diversity.charts,
    TemperatureBlock: temperature.charts,
    StaticBiasBlock: static_bias.charts,
    RanksBlock: ranks.charts,
    GeometryBlock: geometry.charts,
    TransplantBlock: transplant.charts,
    SufficiencyBlock: twins.sufficiency_charts,
    QuotationBlock: twins.quotation_charts,
    ControlBlock: twins.control_charts,
    Course: course.charts,
}


def charts(block: object) -> tuple[Chart, ...]:
    """Every chart of a block, the main one first.

    Raises:
        TypeError: not a block of a report.
    """
    if type(block) not in _CHARTS:
        raise TypeError(f"charts: expected a block of a report, found {type(block).__name__}")
    return _CHARTS[type(block)](block)
