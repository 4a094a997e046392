"""Options of commands and functions: stated once, read from YAML, written beside the results."""

from hyperinterp.config.arguments import settled, takes
from hyperinterp.config.comparing import CompareConfig, TraceConfig
from hyperinterp.config.option import Config, Kind, Option, Spec, specs_of
from hyperinterp.config.reading import nearest, read_options, written
from hyperinterp.config.yamlfile import as_yaml, read_mapping

__all__ = [
    "CompareConfig",
    "Config",
    "Kind",
    "Option",
    "Spec",
    "TraceConfig",
    "as_yaml",
    "nearest",
    "read_mapping",
    "read_options",
    "settled",
    "specs_of",
    "takes",
    "written",
]
