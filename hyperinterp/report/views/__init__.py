"""Tables for reading on the page, in notebooks and in Markdown; the main one of a block first."""

from hyperinterp.drawing.view import Cell, View
from hyperinterp.report.views import inside, text

__all__ = ["VIEWS", "Cell", "View"]

VIEWS = {
    "diversity": text.diversity,
    "temperature": text.temperature,
    "static_bias": text.static_bias,
    "ranks": inside.ranks,
    "geometry": inside.geometry,
    "transplant": inside.transplant,
    "sufficiency": text.sufficiency,
    "quotation": text.quotation,
    "control": text.control,
    "course": text.course,
}
