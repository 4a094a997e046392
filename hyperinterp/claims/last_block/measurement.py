"""C6: does the last block cause it?"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from hyperinterp.analyses.intervals import (
    NOTHING,
    context_mean,
    nothing,
    remaining_share,
    share_contrast,
)
from hyperinterp.claims.last_block.patches import INTO_BASE, Patch
from hyperinterp.claims.last_block.patching import Effects, Patching, patched_everywhere
from hyperinterp.claims.last_block.result import (
    LastBlockResult,
    NullBand,
    PatchEffect,
    StitchedText,
)
from hyperinterp.claims.last_block.stitched import order_known, stitched_texts, unchanged_texts
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.models import Component, ComponentKind
from hyperinterp.under_comparison import Study


def prepare(study: Study) -> None:
    """Orders the texts of stitched models, and those that they are compared with."""
    if study.sizes.stitched:
        study.shared.texts.order_greedy("base", "fitted")
        order_known(study)


def measure(study: Study) -> LastBlockResult:
    """Patch every component both ways, and let stitched models generate."""
    with study.run.log.timed("patches"):
        found = patched_everywhere(study)
        patches = tuple(
            _effect(found, patch, direction)
            for direction in found.outcomes
            for patch in found.patches
        )
        recovered = _recovered(found)
        _remark(study, found)
    last = study.base.n_layers - 1
    # One process says which: a tie broken by rounding would make others stitch other models.
    largest = study.run.processes.by_first(
        lambda: max(recovered, key=lambda layer: recovered[layer].value or 0.0)
    )
    stitched = stitched_texts(study, largest, found.differing)
    figures = {
        "recovered": recovered[last],
        "contrast": _against_blocks(found, last, study.run.seed),
        "null": _against_nulls(found, last, study.run.seed),
        "behaviour": _behaviour(found, stitched, last),
    }
    return LastBlockResult(
        n_contexts=len(found.row),
        patches=patches,
        nulls=_nulls(found),
        stitched=stitched,
        largest_block=largest,
        last_recovered=figures["recovered"],
        last_contrast=figures["contrast"],
        last_above_null=figures["null"],
        behaviour=figures["behaviour"],
        replays={
            "blocks executed": found.executed,
            "blocks that a whole run of the model for every patch would execute": found.naive,
        },
        unchanged=unchanged_texts(study) if stitched else (),
        agreement=context_mean(found.outcomes[INTO_BASE].recipient.agreement.float(), found.row),
    )


def quantities(result: LastBlockResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {
        "recovered": result.last_recovered,
        "contrast": result.last_contrast,
        "null": result.last_above_null,
        "behaviour": result.behaviour,
    }


def _effect(found: Patching, patch: Patch, direction: str) -> PatchEffect:
    effects, outcome, row = found.effects(patch, direction), found.outcomes[direction], found.row
    apart = outcome.recipient.kl_to_donor
    return PatchEffect(
        label=patch.label,
        kind=patch.kind,
        layers=patch.layers,
        direction=direction,
        kl_to_donor=context_mean(effects.kl_to_donor, row),
        kl_to_recipient=context_mean(effects.kl_to_recipient, row),
        agreement=context_mean(effects.agreement, row),
        recovered_kl=remaining_share(apart - effects.kl_to_donor, apart, row),
        recovered_logit=_recovered_logit(effects, outcome.recipient, outcome.donor, row),
    )


def _recovered_logit(effects: Effects, recipient: Effects, donor: Effects, row: Tensor) -> Measured:
    """Ratio of sums, over the contexts where donor and recipient choose differently."""
    apart = ~recipient.agreement
    if not bool(apart.any()):
        return missing("donor and recipient make the same choice in every context")
    moved = effects.difference - recipient.difference
    return remaining_share(
        moved[apart], (donor.difference - recipient.difference)[apart], row[apart]
    )


def _blocks(found: Patching) -> dict[int, Effects]:
    """Every single block's function in the base, by block index."""
    return {
        patch.layers[0]: found.effects(patch, INTO_BASE)
        for patch in found.patches
        if patch.kind == ComponentKind.BLOCK.value
    }


def _recovered(found: Patching) -> dict[int, Measured]:
    apart = found.outcomes[INTO_BASE].recipient.kl_to_donor
    return {
        layer: remaining_share(apart - effects.kl_to_donor, apart, found.row)
        for layer, effects in _blocks(found).items()
    }


def _contrast(found: Patching, target: Effects, others: Sequence[Effects], seed: int) -> Measured:
    """Recovered KL of one stitched model: its margin over the best other, by passage."""
    whole = found.outcomes[INTO_BASE].recipient.kl_to_donor
    gains = [whole - item.kl_to_donor for item in (target, *others)]
    return share_contrast(gains, whole, found.row, seed)


def _against_blocks(found: Patching, last: int, seed: int) -> Measured:
    blocks = _blocks(found)
    target = blocks.pop(last)
    if not blocks:
        return missing("the model has one block only")
    return _contrast(found, target, list(blocks.values()), seed)


def _against_nulls(found: Patching, last: int, seed: int) -> Measured:
    if Component(ComponentKind.BLOCK, last) not in found.differing:
        return nothing(len(found.row.unique()), "the last block is equal in both: no change")
    draws = found.outcomes[INTO_BASE].nulls.get(last, ())
    if _settings_alone(found, last):
        draws = (found.outcomes[INTO_BASE].recipient,)  # of norm zero: no change
    if not draws:
        return missing("no random changes were drawn: none asked for, or packed weights")
    return _contrast(found, _blocks(found)[last], draws, seed)


def _settings_alone(found: Patching, layer: int) -> bool:
    """Return whether a block has equal weights in both models, and other settings."""
    return Component(ComponentKind.BLOCK, layer) in found.differing and layer not in found.unequal


def _nulls(found: Patching) -> tuple[NullBand, ...]:
    outcome, bands = found.outcomes[INTO_BASE], []
    whole = float(outcome.recipient.kl_to_donor.sum())
    for layer, draws in outcome.nulls.items():
        shares = [1 - float(item.kl_to_donor.sum()) / whole if whole else 0.0 for item in draws]
        bands.append(
            NullBand(
                layer=layer,
                draws=len(draws),
                recovered_kl=(min(shares), float(np.mean(shares)), max(shares)),
                kl_to_recipient=float(np.mean([item.kl_to_recipient.mean() for item in draws])),
            )
        )
    return tuple(sorted(bands, key=lambda band: band.layer))


def _behaviour(found: Patching, stitched: Sequence[StitchedText], last: int) -> Measured:
    """Share of the diversity gain that the fitted last block moves into the base's text."""
    if float(found.outcomes[INTO_BASE].recipient.kl_to_donor.sum()) <= NOTHING:
        return nothing(len(found.row.unique()), "nothing to move: the models agree")
    for item in stitched:
        if item.direction == INTO_BASE and item.layers == (last,):
            return item.gain_share
    return missing("no stitched model wrote text")


def _remark(study: Study, found: Patching) -> None:
    """Tell the reader what could not be patched or compared, and why."""
    kinds = {patch.kind for patch in found.patches}
    if ComponentKind.ATTN.value in kinds and ComponentKind.MLP.value not in kinds:
        study.run.log.warnings.append(
            f"{study.base.anatomy.family} keeps weights outside attention and MLP, so C6 "
            "patches blocks and attention but not the MLP on its own."
        )
    equal = [
        layer
        for layer in range(study.base.n_layers)
        if Component(ComponentKind.BLOCK, layer) not in found.differing
    ]
    alone = [layer for layer in range(study.base.n_layers) if _settings_alone(found, layer)]
    if alone:
        study.run.log.warnings.append(
            f"{len(alone)} of {study.base.n_layers} blocks have equal weights and other settings: "
            "C6 patches the settings with them, and a random change of their norm is no change."
        )
    if equal:
        study.run.log.warnings.append(
            f"{len(equal)} of {study.base.n_layers} blocks have equal weights and settings in both "
            "models: patching them changes nothing, so C6 draws no random changes for them."
        )
