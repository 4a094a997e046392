"""Which models can be compared at all."""

from hyperinterp.errors import MismatchedPair
from hyperinterp.models import HookedModel


def check_pair(base: HookedModel, other: HookedModel) -> None:
    """Refuse two models that cannot be compared.

    Raises:
        MismatchedPair: names every field that differs: family, blocks, width, vocabulary, dtype,
            tokenizer.
    """
    fields = {
        "family": (base.anatomy.family, other.anatomy.family),
        "blocks": (base.n_layers, other.n_layers),
        "width": (base.d_model, other.d_model),
        "vocabulary": (base.vocab_size, other.vocab_size),
        "dtype": tuple(str(model.dtype).removeprefix("torch.") for model in (base, other)),
    }
    if base.tokenizer is not None and other.tokenizer is not None:
        ours, theirs = base.tokenizer.get_vocab(), other.tokenizer.get_vocab()
        if ours != theirs:
            differing = sum(ours.get(token) != index for token, index in theirs.items())
            fields["tokenizer"] = (f"{len(ours)} tokens", f"{differing} of {len(theirs)} differ")
    wrong = [f"{name} {a} and {b}" for name, (a, b) in fields.items() if a != b]
    if wrong:
        raise MismatchedPair(
            f"{base.name} and {other.name}: expected one architecture, dtype and tokenizer, found "
            + ", ".join(wrong)
        )
