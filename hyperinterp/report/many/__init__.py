"""Many reports in one table, and a forest of each claim."""

from hyperinterp.report.many.reading import reports
from hyperinterp.report.many.result import Reports

__all__ = ["Reports", "reports"]
