import pytest

from hyperinterp.models import HookedModel

from .factory import tiny


@pytest.fixture
def llama() -> HookedModel:
    return tiny("llama")
