"""The tiny pairs and studies of the claims, for what has no verdict."""

from ..claims.conftest import (  # noqa: F401
    make_study,
    make_tiny,
    planted,
    words,
)
