"""Tiny random models of several families, shared by the tests of hyperinterp."""

from collections.abc import Callable

import pytest

from hyperinterp.models import HookedModel
from tests.hyperinterp.families import FAMILIES, VARIANTS, make_tiny


@pytest.fixture
def tiny() -> Callable[..., HookedModel]:
    return make_tiny


@pytest.fixture(params=[*sorted(FAMILIES), *sorted(VARIANTS)])
def family(request: pytest.FixtureRequest) -> str:
    return request.param
