"""Options of commands and functions: stated once, read from YAML, written beside the results."""

from hyperinterp.config.arguments import settled, takes
from hyperinterp.config.comparing import CompareConfig, TraceConfig
from hyperinterp.config.option import Config, Kind, Option, Spec, specs_of
from hyperinterp.config.reading import nearest, read_options, written

__all__ = [
    "CompareConfig",
    "Config",
    "Kind",
    "Option",
    "Spec",
    "TraceConfig",
    "nearest",
    "read_options",
    "settled",
    "specs_of",
    "takes",
    "written",
]
