"""The trace of a training run: its data, figures, page and files."""

from hyperinterp.report.trace.data import TRACE_VERSION, TracePoint
from hyperinterp.report.trace.schema import Trace, trace_schema
from hyperinterp.report.trace.writing import save_trace

__all__ = ["TRACE_VERSION", "Trace", "TracePoint", "save_trace", "trace_schema"]
