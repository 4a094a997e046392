"""Activations kept to look closer: by site, with the names of other libraries, on disk."""

from hyperinterp.activations.collecting import cache
from hyperinterp.activations.foreign import as_cache
from hyperinterp.activations.names import SiteName, site_of
from hyperinterp.activations.reading import read_cache
from hyperinterp.activations.store import ActivationCache, Origin

__all__ = [
    "ActivationCache",
    "Origin",
    "SiteName",
    "as_cache",
    "cache",
    "read_cache",
    "site_of",
]
