"""Blind pairs of texts for human judges, and what their answers come to."""

from hyperinterp.report.judging.answers import judge_read
from hyperinterp.report.judging.result import Judgement
from hyperinterp.report.judging.sheet import judge_sheet

__all__ = ["Judgement", "judge_read", "judge_sheet"]
