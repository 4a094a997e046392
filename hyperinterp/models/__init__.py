"""Hooked models: the only code that names transformer-lens or a model's internals."""

from hyperinterp.models.checks import check_logits, checked, self_check
from hyperinterp.models.hooked import HookedModel, Recording, SelfCheck
from hyperinterp.models.load import load
from hyperinterp.models.placement import devices_of, weights_of
from hyperinterp.models.surgery import Part, PartKind, blocks, paths_of, perturbed, transplanted

__all__ = [
    "HookedModel",
    "Part",
    "PartKind",
    "Recording",
    "SelfCheck",
    "blocks",
    "check_logits",
    "checked",
    "devices_of",
    "load",
    "paths_of",
    "perturbed",
    "self_check",
    "transplanted",
    "weights_of",
]
