"""Names of stored tensors as wrappers leave them: torch.compile, DDP, FSDP, Lightning, peft."""

import re
from collections.abc import Iterable

_INNER = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_OUTER = ("module.", "_forward_module.", "model.")
_TOPS = ("model.", "transformer.", "gpt_neox.", "lm_head.", "embed_out.")
_ADAPTER_ROOT = "base_model.model."
_ADAPTER_NAME = re.compile(
    r"(\.lora_(?:A|B|embedding_A|embedding_B|magnitude_vector))\.default(?=\.weight$|$)"
)


def unwrapped(names: Iterable[str], *, adapter: bool) -> dict[str, str]:
    """Return the plain name of every stored name; the same dictionary order.

    What torch.compile and FSDP put between the parts of a name is taken out. What DDP and others
    put before all names is taken off; so is a second `model.` where the head lies behind it too.
    A name is left as it is where two would become one.

    Args:
        names: As they are stored.
        adapter: Whether they are an adapter's, which begin with `base_model.model.`.
    """
    stored = list(names)
    plain = {name: _without_inner(name) for name in stored}
    root = _ADAPTER_ROOT if adapter else ""
    if adapter:
        plain = {name: _ADAPTER_NAME.sub(r"\1", to) for name, to in plain.items()}
        plain = {name: _from_root(to) for name, to in plain.items()}
    while (prefix := _common(list(plain.values()), root)) is not None:
        plain = {name: root + to.removeprefix(root + prefix) for name, to in plain.items()}
    return plain if len(set(plain.values())) == len(stored) else {name: name for name in stored}


def _without_inner(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _INNER)


def _from_root(name: str) -> str:
    """An adapter's name from its `base_model.model.` on, whatever a wrapper put before it."""
    _, found, rest = name.partition(_ADAPTER_ROOT)
    return found + rest if found else name


def _common(names: list[str], root: str) -> str | None:
    """A wrapper's prefix that stands before all names; None without one."""
    for prefix in _OUTER:
        if not names or not all(name.startswith(root + prefix) for name in names):
            continue
        rest = [name.removeprefix(root + prefix) for name in names]
        # `model.` is a plain model's own prefix, unless everything lies one level deeper
        if prefix != "model." or any(name.startswith(_TOPS) for name in rest):
            return prefix
    return None
