"""Hooked models: the only code that names transformer-lens or a model's internals."""

from hyperinterp.models.checks import check_logits, checked, self_check
from hyperinterp.models.components import Component, ComponentKind, blocks, paths_of
from hyperinterp.models.differences import SelfCheck
from hyperinterp.models.heads import head_count, output_map
from hyperinterp.models.hooked import HookedModel
from hyperinterp.models.load import load, taken
from hyperinterp.models.moving import reweighted
from hyperinterp.models.placement import devices_of, weights_of
from hyperinterp.models.recording import Recording
from hyperinterp.models.settings import (
    Acts,
    Setting,
    differing_settings,
    same_function,
    same_tensor,
    settings_digest,
)
from hyperinterp.models.stitches import Stitch
from hyperinterp.models.surgery import edited, patched, perturbation, perturbed, replaced
from hyperinterp.models.twins import recorded_together, shared_start
from hyperinterp.models.wrapping import AnyModel, as_hooked, check_given, check_tokenizer

__all__ = [
    "Acts",
    "AnyModel",
    "Component",
    "ComponentKind",
    "HookedModel",
    "Recording",
    "SelfCheck",
    "Setting",
    "Stitch",
    "as_hooked",
    "blocks",
    "check_given",
    "check_logits",
    "check_tokenizer",
    "checked",
    "devices_of",
    "differing_settings",
    "edited",
    "head_count",
    "load",
    "output_map",
    "patched",
    "paths_of",
    "perturbation",
    "perturbed",
    "recorded_together",
    "replaced",
    "reweighted",
    "same_function",
    "same_tensor",
    "self_check",
    "settings_digest",
    "shared_start",
    "taken",
    "weights_of",
]
