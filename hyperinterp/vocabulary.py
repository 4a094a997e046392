"""The tokens that several models share: who reads text how, and which logits are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperinterp.errors import InputRefused, MismatchedPair
from hyperinterp.models import HookedModel

_EXAMPLES = 3


@dataclass(frozen=True)
class Shared:
    """The common tokens of two models' vocabularies.

    Attributes:
        count: the ids below this are compared; they mean the same in both models.
        notes: for the reader: what is left out, and what differs without harm.
    """

    count: int
    notes: tuple[str, ...] = ()


def on_shared_tokens(
    models: Mapping[str, HookedModel],
) -> tuple[dict[str, HookedModel], tuple[str, ...]]:
    """Every model limited to the tokens that all of them share, and notes for the reader.

    Args:
        models: by role, "base" among them; its tokenizer makes the rows for all.

    Returns:
        The models by role, those that need no limit as they were, and the notes.

    Raises:
        MismatchedPair: as `shared_tokens`.
        InputRefused: no model has a tokenizer.
    """
    base = models["base"]
    donor = next((model for model in models.values() if model.tokenizer is not None), base)
    others = [model for model in models.values() if model is not base] or [base]
    found = [shared_tokens(base if base.tokenizer is not None else donor, it) for it in others]
    if base.tokenizer is None:
        found += [shared_tokens(base, donor)]
    count = min(shared.count for shared in found)
    notes = [note for shared in found for note in shared.notes]
    if base.tokenizer is None:
        notes.append(f"{base.name} has no tokenizer: that of {donor.name} makes the rows.")
    limited = {
        role: model
        if model.rows == count and model.tokenizer is not None
        else model.on_tokens(count, model.tokenizer or donor.tokenizer)
        for role, model in models.items()
    }
    return limited, tuple(dict.fromkeys(notes))


def shared_tokens(base: HookedModel, other: HookedModel) -> Shared:
    """The token ids on which two models can be compared.

    One model may have tokens that were added behind the vocabulary of both, and rows without any
    token; tokenizers may differ in whatever does not change ids. Where nothing differs, all rows
    are compared, as either model has them.

    Args:
        base: the model whose tokenizer makes the rows; the other's does where it has none.
        other: the model beside it.

    Raises:
        MismatchedPair: the same ids mean other tokens; says how many, and which for example.
        InputRefused: neither model has a tokenizer.
    """
    named = [_named(model) for model in (base, other) if model.tokenizer is not None]
    if not named:
        names = " and ".join(dict.fromkeys((base.name, other.name)))
        raise InputRefused(
            f"{names}: expected a tokenizer, found none; name a checkpoint that has the right one "
            "(--tokenizer, tokenizer=)"
        )
    ours, theirs = named[0], named[-1]
    count = min(_agreed(ours, theirs), base.rows, other.rows)
    _check(base, other, ours, theirs, count)
    if ours == theirs and base.rows == other.rows:  # the same in both, rows without a token too
        return Shared(base.rows)
    notes = []
    for model, tokens in ((base, ours), (other, theirs)):
        notes += _extra(model, {k: tokens[k] for k in tokens if k >= count}, count)
        spare = model.rows - max(count, max(tokens) + 1)
        if spare > 0:
            notes.append(
                f"{model.name} has {spare} rows without a token behind its vocabulary: they have "
                "no logit here and are never written."
            )
    return Shared(count, tuple(dict.fromkeys(notes)))


def _named(model: HookedModel) -> dict[int, str]:
    vocabulary: Mapping[str, int] = model.tokenizer.get_vocab()  # pyright: ignore
    return {index: token for token, index in vocabulary.items()}


def _agreed(ours: Mapping[int, str], theirs: Mapping[int, str]) -> int:
    """The first id on which the two do not agree; one more than the last where they do on all."""
    differing = [k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k)]
    return min(differing, default=max(ours, default=-1) + 1)


def _check(
    base: HookedModel,
    other: HookedModel,
    ours: Mapping[int, str],
    theirs: Mapping[int, str],
    count: int,
) -> None:
    """Refuse tokens that are left out and are not additions behind a common vocabulary."""
    tokenizers: list[Any] = [base.tokenizer, other.tokenizer]
    added = {token for one in tokenizers if one is not None for token in one.get_added_vocab()}
    beyond = [{k: t for k, t in tokens.items() if k >= count} for tokens in (ours, theirs)]
    common = [k for k in beyond[0] if beyond[1].get(k) == beyond[0][k] and ours != theirs]
    ordinary = {token for tokens in beyond for token in tokens.values() if token not in added}
    if not ordinary and not common and count > 0:
        return
    if ours == theirs:
        rows = min(base.rows, other.rows)
        name = base.name if base.rows == rows else other.name
        raise MismatchedPair(
            f"{name}: expected an embedding row for every token, found {len(ours)} tokens, the "
            f"embedding {rows} rows; name the checkpoint whose tokenizer fits (--tokenizer, "
            "tokenizer=)"
        )
    wrong = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    told = "; ".join(
        f"id {k} is {_token(ours.get(k))} and {_token(theirs.get(k))}" for k in wrong[:_EXAMPLES]
    )
    raise MismatchedPair(
        f"{base.name} and {other.name}: expected one vocabulary, found {len(wrong)} ids that "
        f"differ between {len(ours)} tokens and {len(theirs)} ({told}); "
        "where one tokenizer is right for both, name its checkpoint (--tokenizer, tokenizer=)"
    )


def _token(token: str | None) -> str:
    return "no token" if token is None else repr(token[:40])


def _extra(model: HookedModel, tokens: Mapping[int, str], count: int) -> list[str]:
    if not tokens or model.tokenizer is None:
        return []
    shown = [f"{tokens[k][:40]!r} (id {k})" for k in sorted(tokens)[:_EXAMPLES]]
    if len(tokens) > _EXAMPLES:
        shown.append(f"{len(tokens) - _EXAMPLES} more")
    return [
        f"The models are compared on the {count} tokens that both have. {model.name} has "
        f"{', '.join(shown)} besides: no logit here, and never written."
    ]


def reading_notes(base: HookedModel, other: HookedModel, texts: Sequence[str]) -> tuple[str, ...]:
    """Return notes on tokenizers that read text differently; the base's makes the rows.

    Args:
        base: the model whose tokenizer is used.
        other: the model beside it.
        texts: some passages to try both on.
    """
    ours, theirs = base.tokenizer, other.tokenizer
    if ours is None or theirs is None or ours is theirs:
        return ()
    notes = []
    begin = [_begins(tokenizer) for tokenizer in (ours, theirs)]
    if begin[0] != begin[1]:
        words = [f"begins a text with {_token(text)}" if text else "adds no begin token"
                 for text in begin]  # fmt: skip
        notes.append(
            f"{base.name}'s tokenizer {words[0]}, {other.name}'s {words[1]}: both models read "
            f"texts as {base.name}'s has them."
        )
    plain: dict[str, Any] = {"add_special_tokens": False, "verbose": False}
    cut = [[one(text, **plain)["input_ids"] for text in texts] for one in (ours, theirs)]
    differing = sum(a != b for a, b in zip(*cut, strict=True))
    if differing:
        notes.append(
            f"{other.name}'s tokenizer cuts {differing} of {len(texts)} passages otherwise: both "
            f"models read them as {base.name}'s does."
        )
    return tuple(notes)


def _begins(tokenizer: Any) -> str | None:
    ids = tokenizer("a", verbose=False)["input_ids"]
    plain = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    longer = len(ids) > len(plain) and ids[: len(plain)] != plain
    return tokenizer.convert_ids_to_tokens(ids[0]) if longer else None


def check_ids(base: HookedModel, largest: int, what: str) -> None:
    """Refuse text that holds tokens which not every model has.

    Args:
        base: the model whose tokenizer made the ids, limited to the shared ones.
        largest: the largest id in the text.
        what: what the text is called.

    Raises:
        InputRefused: names the token.
    """
    if largest >= base.vocab_size:
        token = base.tokenizer.convert_ids_to_tokens(largest)  # pyright: ignore
        raise InputRefused(
            f"{what}: expected tokens that all models have, found {_token(str(token))} (id "
            f"{largest}), which not all of them know; take it out of the text, or name the "
            "checkpoint whose tokenizer has only the shared ones (--tokenizer, tokenizer=)"
        )


def check_reads(model: HookedModel) -> None:
    """Refuse a model that cannot read text of others: without a tokenizer, or too few rows for it.

    Raises:
        InputRefused: names the model.
    """
    if model.tokenizer is None:
        raise InputRefused(
            f"{model.name}: expected a tokenizer, found none; give the model one with "
            "hyperinterp.load(model, tokenizer=tokenizer)"
        )
    largest = max(_named(model), default=0)
    if largest >= model.rows:
        raise InputRefused(
            f"{model.name}: expected an embedding row for every token, found {model.rows} rows and "
            f"the token id {largest}; give the model its own tokenizer with "
            "hyperinterp.load(model, tokenizer=tokenizer)"
        )
