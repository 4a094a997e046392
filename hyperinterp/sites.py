"""Activation sites: where in a decoder a tensor is read.

A site is a value, never a string to be parsed. `key` is for JSON, `label` for people.
"""

from dataclasses import dataclass
from enum import StrEnum


class SiteKind(StrEnum):
    """The kinds of site."""

    EMBED = "embed"
    RESID = "resid"
    ATTN = "attn"
    MLP = "mlp"
    FINAL_NORM = "final_norm"


_LABELS = {
    SiteKind.EMBED: "embedding",
    SiteKind.RESID: "block",
    SiteKind.ATTN: "attention",
    SiteKind.MLP: "MLP",
    SiteKind.FINAL_NORM: "final norm",
}


@dataclass(frozen=True)
class Site:
    """One place on the way through a decoder with `n` blocks.

    Attributes:
        kind: `EMBED` is the stream that enters block 0; `RESID` the stream that leaves
            block `layer`, before any final norm; `ATTN` and `MLP` what that block's
            attention and MLP add to the stream; `FINAL_NORM` the output of the final norm.
        layer: 0-based block index; None for `EMBED` and `FINAL_NORM`.

    Raises:
        ValueError: a layer is given where none belongs, or is missing.
    """

    kind: SiteKind
    layer: int | None = None

    def __post_init__(self) -> None:
        needs_layer = self.kind in (SiteKind.RESID, SiteKind.ATTN, SiteKind.MLP)
        if needs_layer != (self.layer is not None):
            expected = "a block index" if needs_layer else "no block index"
            raise ValueError(f"site {self.kind.value}: expected {expected}, found {self.layer}")

    @property
    def key(self) -> str:
        """Stable identifier for JSON, e.g. `resid.29`."""
        return self.kind.value if self.layer is None else f"{self.kind.value}.{self.layer}"

    @property
    def label(self) -> str:
        """Words for people, e.g. `block 29`."""
        return _LABELS[self.kind] if self.layer is None else f"{_LABELS[self.kind]} {self.layer}"

    @property
    def pre_norm(self) -> bool:
        """False only for the final norm's output."""
        return self.kind is not SiteKind.FINAL_NORM


def block_outputs(n_layers: int) -> tuple[Site, ...]:
    """The residual stream after each of `n_layers` blocks, in order (pre-norm)."""
    return tuple(Site(SiteKind.RESID, layer) for layer in range(n_layers))


def spread_outputs(n_layers: int, others: int | None) -> tuple[Site, ...]:
    """The stream after some blocks, evenly chosen, and after the last one.

    Args:
        n_layers: number of blocks.
        others: how many beside the last one; None for all.

    >>> [site.layer for site in spread_outputs(30, 4)]
    [3, 10, 18, 25, 29]
    """
    last = n_layers - 1
    count = last if others is None else min(others, last)
    even = [int((index + 0.5) * last / count) for index in range(count)]
    return tuple(Site(SiteKind.RESID, layer) for layer in (*even, last))


def stream_sites(n_layers: int) -> tuple[Site, ...]:
    """Embedding, every block's output, and the final norm's output, in order."""
    return (Site(SiteKind.EMBED), *block_outputs(n_layers), Site(SiteKind.FINAL_NORM))


def component_sites(n_layers: int) -> tuple[Site, ...]:
    """Return the sites of every block's attention and MLP output, in order."""
    return tuple(
        Site(kind, layer) for layer in range(n_layers) for kind in (SiteKind.ATTN, SiteKind.MLP)
    )
