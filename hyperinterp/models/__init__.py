"""Hooked models: the only code that names transformer-lens or a model's internals."""

from hyperinterp.models.checks import check_logits, checked, self_check
from hyperinterp.models.hooked import HookedModel, Recording, SelfCheck
from hyperinterp.models.load import load
from hyperinterp.models.parts import Part, PartKind, blocks, paths_of
from hyperinterp.models.placement import devices_of, weights_of
from hyperinterp.models.settings import Acts, Setting, differing_settings, same_function
from hyperinterp.models.surgery import perturbed, transplanted

__all__ = [
    "Acts",
    "HookedModel",
    "Part",
    "PartKind",
    "Recording",
    "SelfCheck",
    "Setting",
    "blocks",
    "check_logits",
    "checked",
    "devices_of",
    "differing_settings",
    "load",
    "paths_of",
    "perturbed",
    "same_function",
    "self_check",
    "transplanted",
    "weights_of",
]
