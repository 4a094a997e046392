"""Every folder whose result a report may hold: claims, then what has no verdict."""

from hyperinterp.claims import registry
from hyperinterp.claims.folder import Folder
from hyperinterp.looks.registry import LOOKS


def folders() -> tuple[Folder, ...]:
    """Return the claims, those of other packages included, then the looks."""
    return (*registry.every_claim(), *LOOKS)
