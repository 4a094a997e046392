"""Names of sites in other libraries: transformer-lens, nnsight and nnterp."""

import re

from hyperinterp.errors import InputRefused
from hyperinterp.sites import Site, SiteKind

SiteName = Site | str | tuple[str, int] | int
"""A site, its key, a name of transformer-lens or nnterp, or the index of a block."""

_BEFORE = "before"  # the stream that enters a block: the embedding, or what the one before left
_PARTS: dict[str, SiteKind | str] = {
    **dict.fromkeys(
        ("resid", "resid_post", "hook_resid_post", "hook_out", "layers_output"), SiteKind.RESID
    ),
    **dict.fromkeys(("resid_pre", "hook_resid_pre", "hook_in", "layers_input"), _BEFORE),
    **dict.fromkeys(
        ("attn", "attn_out", "hook_attn_out", "attn.hook_out", "attentions_output"), SiteKind.ATTN
    ),
    **dict.fromkeys(
        ("mlp", "mlp_out", "hook_mlp_out", "mlp.hook_out", "mlps_output"), SiteKind.MLP
    ),
}
_WHOLE = {
    "embed": SiteKind.EMBED,
    "final_norm": SiteKind.FINAL_NORM,
    "ln_final.hook_out": SiteKind.FINAL_NORM,
}
_NAME = re.compile(r"blocks\.(?P<block>-?\d{1,6})\.(?P<part>[\w.]+)"
                   r"|(?P<list>\w+)(?:\.|\[)(?P<index>-?\d{1,6})\]?")  # fmt: skip
EXPECTED = (
    "a Site, its key such as 'resid.5', a name of transformer-lens such as 'blocks.5.hook_out' or "
    "('resid_post', 5), one of nnterp such as 'layers_output[5]', or the index of a block"
)


def site_of(name: SiteName, n_layers: int | None = None) -> Site:
    """Return the site that a name stands for.

    Args:
        name: see `SiteName`; `hook_in` and `resid_pre` of a block are what the one before left, or
            the embedding. A negative index counts from the last block.
        n_layers: number of blocks; None when it is not known, then no index may be negative.

    Raises:
        InputRefused: no such name, or a block that is not there.
    """
    found = _found(name, n_layers)
    if found is None:
        raise InputRefused(f"site: expected {EXPECTED}, found {name!r:.80}; give one of these")
    return found


def known_site(name: object, n_layers: int | None = None) -> Site | None:
    """Return the site of a name; None for one that means none here."""
    return _found(name, n_layers)


def _found(name: object, n_layers: int | None) -> Site | None:
    if isinstance(name, Site):
        _layer(name.layer, n_layers)
        return name
    if isinstance(name, int) and not isinstance(name, bool):
        return Site(SiteKind.RESID, _layer(name, n_layers))
    if isinstance(name, str):
        if name in _WHOLE:
            return Site(_WHOLE[name])
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        name = (match["part"] or match["list"], int(match["block"] or match["index"]))
    if not (isinstance(name, tuple) and len(name) == 2 and isinstance(name[0], str)):
        return None
    part, layer = _PARTS.get(name[0]), name[1]
    if part is None or isinstance(layer, bool) or not isinstance(layer, int):
        return None
    layer = _layer(layer, n_layers)
    if isinstance(part, SiteKind):
        return Site(part, layer)
    return Site(SiteKind.RESID, layer - 1) if layer else Site(SiteKind.EMBED)


def _layer(layer: int | None, n_layers: int | None) -> int:
    """A block index, counted from the first block.

    Raises:
        InputRefused: there is no such block.
    """
    counted = 0 if layer is None else layer
    if counted < 0 and n_layers is not None:
        counted += n_layers
    if counted < 0 or (n_layers is not None and counted >= n_layers):
        known = "0 or more" if n_layers is None else f"below {n_layers}, or -1 for the last"
        raise InputRefused(
            f"site: expected a block index {known}, found {layer}; give another block"
        )
    return counted
