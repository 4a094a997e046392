"""The command line: parse, call, write. Heavy imports happen inside the commands."""

from hyperinterp.cli.main import main

__all__ = ["main"]
