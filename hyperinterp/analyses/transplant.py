"""C6: does the last block cause it?"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from hyperinterp.analyses.exchanges import INTO_BASE, Exchange
from hyperinterp.analyses.hybrids import HybridText, unchanged_texts, written_hybrids
from hyperinterp.analyses.intervals import context_mean, grouped, remaining_share, resampled
from hyperinterp.analyses.results import Claim, Measured, missing
from hyperinterp.analyses.sweep import Effects, Sweep, sweep
from hyperinterp.block import Block
from hyperinterp.models import Part, PartKind
from hyperinterp.study import Study
from hyperinterp.verdicts import judge
from probes import bootstrap_contrast, pseudo_values


@dataclass(frozen=True)
class Transplant:
    """One exchange of parts and what it did to the predictions.

    Attributes:
        label: what was exchanged, e.g. "block 29" or "blocks 25-29".
        kind: "block", "attention", "MLP", "final norm", "unembedding", "last k", "first k".
        layers: block indices; empty for final norm and unembedding.
        direction: "fitted into base" or "base into fitted".
        kl_to_donor: mean KL(donor || hybrid), nats.
        kl_to_recipient: mean KL(recipient || hybrid), nats.
        agreement: top-1 agreement with the donor.
        recovered_kl: 1 - KL(donor || hybrid) / KL(donor || recipient).
        recovered_logit: recovered share of the logit difference between the donor's and the
            recipient's choice, over contexts where they differ.
    """

    label: str
    kind: str
    layers: tuple[int, ...]
    direction: str
    kl_to_donor: Measured
    kl_to_recipient: Measured
    agreement: Measured
    recovered_kl: Measured
    recovered_logit: Measured


@dataclass(frozen=True)
class NullBand:
    """Random weight changes of the same norm at one block, into the base.

    Attributes:
        layer: block index.
        draws: number of random changes.
        recovered_kl: smallest, mean and largest recovered share over the draws.
        kl_to_recipient: mean size of the effect of the random change, nats.
    """

    layer: int
    draws: int
    recovered_kl: tuple[float, float, float]
    kl_to_recipient: float


@dataclass(frozen=True)
class TransplantBlock(Block):
    """Cause: exchanging functions between the two models.

    Attributes:
        n_contexts: next-token decisions behind the figures.
        transplants: every exchange.
        nulls: norm-matched random changes, per block.
        hybrids: generated text of hybrids.
        largest_block: index of the block whose function alone recovers most.
        last_recovered: recovered KL of the last block alone, fitted into base.
        last_contrast: that minus the most that any other single block recovers.
        last_above_null: that minus the largest random change of the same norm.
        behaviour: share of the diversity gain that the last block alone moves.
        replays: blocks executed, and what one full forward per exchange would have executed.
        unchanged: base and fitted model as they are, on the prompts of the hybrids.
        agreement: top-1 agreement of the two models before anything is exchanged.
    """

    n_contexts: int
    transplants: tuple[Transplant, ...]
    nulls: tuple[NullBand, ...]
    hybrids: tuple[HybridText, ...]
    largest_block: int
    last_recovered: Measured
    last_contrast: Measured
    last_above_null: Measured
    behaviour: Measured
    replays: dict[str, int]
    unchanged: tuple[HybridText, ...] = ()
    agreement: Measured = field(default_factory=lambda: missing("not recorded"))


def prepare(study: Study) -> None:
    """Orders the texts that those of hybrids are compared with."""
    if study.sizes.hybrids:
        study.texts.order_greedy("base", "fitted")


def analyse(study: Study) -> tuple[TransplantBlock, Claim]:
    """Exchange every part both ways, let hybrids write, and judge the last block's share."""
    with study.ledger.timed("transplants"):
        found = sweep(study)
        transplants = tuple(
            _transplant(found, exchange, direction)
            for direction in found.outcomes
            for exchange in found.exchanges
        )
        recovered = _recovered(found)
        _remark(study, found)
    last = study.base.n_layers - 1
    # One process says which: a tie that rounding breaks would have others write other hybrids.
    largest = study.processes.by_first(
        lambda: max(recovered, key=lambda layer: recovered[layer].value or 0.0)
    )
    hybrids = written_hybrids(study, largest, found.differing)
    figures = {
        "recovered": recovered[last],
        "contrast": _against_blocks(found, last, study.seed),
        "null": _against_nulls(found, last, study.seed),
        "behaviour": _behaviour(found, hybrids, last),
    }
    block = TransplantBlock(
        n_contexts=len(found.row),
        transplants=transplants,
        nulls=_nulls(found),
        hybrids=hybrids,
        largest_block=largest,
        last_recovered=figures["recovered"],
        last_contrast=figures["contrast"],
        last_above_null=figures["null"],
        behaviour=figures["behaviour"],
        replays={"blocks executed": found.executed, "blocks with full forwards": found.naive},
        unchanged=unchanged_texts(study) if hybrids else (),
        agreement=context_mean(found.outcomes[INTO_BASE].recipient.agreement.float(), found.row),
    )
    return block, judge("C6", figures)


def _transplant(found: Sweep, exchange: Exchange, direction: str) -> Transplant:
    effects, outcome, row = found.effects(exchange, direction), found.outcomes[direction], found.row
    apart = outcome.recipient.kl_to_donor
    return Transplant(
        label=exchange.label,
        kind=exchange.kind,
        layers=exchange.layers,
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


def _blocks(found: Sweep) -> dict[int, Effects]:
    """Every single block's function in the base, by block index."""
    return {
        exchange.layers[0]: found.effects(exchange, INTO_BASE)
        for exchange in found.exchanges
        if exchange.kind == PartKind.BLOCK.value
    }


def _recovered(found: Sweep) -> dict[int, Measured]:
    apart = found.outcomes[INTO_BASE].recipient.kl_to_donor
    return {
        layer: remaining_share(apart - effects.kl_to_donor, apart, found.row)
        for layer, effects in _blocks(found).items()
    }


def _contrast(found: Sweep, target: Effects, others: Sequence[Effects], seed: int) -> Measured:
    """Recovered KL of one hybrid minus the most that any other recovers, paired by passage."""
    whole = grouped(found.outcomes[INTO_BASE].recipient.kl_to_donor, found.row)
    total, left = whole.sum(), whole.sum() - whole
    if total <= 1e-12:
        return _nothing(len(whole), "nothing to recover: the models agree")
    if len(whole) < 2 or (left <= 0).any():
        return missing("fewer than two passages on which the models differ")
    gained = np.stack(
        [whole - grouped(item.kl_to_donor, found.row) for item in (target, *others)], axis=1
    )
    sums = gained.sum(axis=0)
    pseudo = pseudo_values(sums / total, (sums - gained) / left[:, None])
    rest = list(range(1, pseudo.shape[1]))
    return resampled(bootstrap_contrast, pseudo, target=0, others=rest, seed=seed)


def _nothing(passages: int, why: str) -> Measured:
    return Measured(0.0, 0.0, 0.0, passages, "prompt", why)


def _against_blocks(found: Sweep, last: int, seed: int) -> Measured:
    blocks = _blocks(found)
    target = blocks.pop(last)
    if not blocks:
        return missing("the model has one block only")
    return _contrast(found, target, list(blocks.values()), seed)


def _against_nulls(found: Sweep, last: int, seed: int) -> Measured:
    if Part(PartKind.BLOCK, last) not in found.differing:
        return _nothing(len(found.row.unique()), "the last block is equal in both: no change")
    draws = found.outcomes[INTO_BASE].nulls.get(last, ())
    if _settings_alone(found, last):
        draws = (found.outcomes[INTO_BASE].recipient,)  # of norm zero: no change
    if not draws:
        return missing("no random changes were drawn: none asked for, or packed weights")
    return _contrast(found, _blocks(found)[last], draws, seed)


def _settings_alone(found: Sweep, layer: int) -> bool:
    """Whether a block has equal weights in both models, and other settings."""
    return Part(PartKind.BLOCK, layer) in found.differing and layer not in found.unequal


def _nulls(found: Sweep) -> tuple[NullBand, ...]:
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


def _behaviour(found: Sweep, hybrids: Sequence[HybridText], last: int) -> Measured:
    """Share of the diversity gain that the fitted last block moves into the base's text."""
    if float(found.outcomes[INTO_BASE].recipient.kl_to_donor.sum()) <= 1e-12:
        return _nothing(len(found.row.unique()), "nothing to move: the models agree")
    for item in hybrids:
        if item.direction == INTO_BASE and item.layers == (last,):
            return item.gain_share
    return missing("no hybrid wrote text")


def _remark(study: Study, found: Sweep) -> None:
    """Tell the reader what could not be exchanged or compared, and why."""
    kinds = {exchange.kind for exchange in found.exchanges}
    if PartKind.ATTN.value in kinds and PartKind.MLP.value not in kinds:
        study.ledger.warnings.append(
            f"{study.base.anatomy.family} keeps weights outside attention and MLP, so C6 "
            "exchanges blocks and attention but not the MLP on its own."
        )
    equal = [
        layer
        for layer in range(study.base.n_layers)
        if Part(PartKind.BLOCK, layer) not in found.differing
    ]
    alone = [layer for layer in range(study.base.n_layers) if _settings_alone(found, layer)]
    if alone:
        study.ledger.warnings.append(
            f"{len(alone)} of {study.base.n_layers} blocks have equal weights and other settings: "
            "C6 exchanges the settings with them, and a random change of their norm is no change."
        )
    if equal:
        study.ledger.warnings.append(
            f"{len(equal)} of {study.base.n_layers} blocks have equal weights and settings in both "
            "models: exchanging them changes nothing, so C6 draws no random changes for them."
        )
