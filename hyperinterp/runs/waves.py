"""Groups of sites of the geometry that are in memory at once, such that each fits."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hyperinterp.sites import Site, SiteKind

WIDE = 8  # bytes of a number in float64
SOLVING = 4  # [d d] in float64 that an eigen-decomposition takes beside what it gives
FEEDING = 2.5  # the same of taking in a prompt, or a batch
GROUPS = 256  # most prompts that an accumulator keeps apart


@dataclass(frozen=True)
class Workload:
    """The sizes that decide how much a site of the geometry takes.

    Attributes:
        width: of the residual stream.
        itemsize: bytes of one activation of the base and one of the fitted model together.
        tokens: token positions that this process reads; None for a corpus, which is never kept.
        prompts: texts that it reads.
        variants: of the rows, beside the plain ones.
        processes: that share the sites between the two passes; each reads a part of the text.
    """

    width: int
    itemsize: int
    tokens: int | None
    prompts: int
    variants: tuple[str, ...] = ()
    processes: int = 1

    @property
    def matrix(self) -> int:
        """Bytes of one `[d d]` in float64."""
        return WIDE * self.width**2

    def spectra(self, site: Site) -> int:
        """Eigen-decompositions of one site in one model."""
        return 1 + len(self.variants) if stream(site) else 1

    def sums(self, site: Site) -> int:
        """Bytes of the sums of one site: both models, both scaled to length 1, and across."""
        if not stream(site):
            return 3 * self.matrix
        matrices = 5 if "unit_norm" in self.variants else 3
        return matrices * self.matrix + self.prompts * self.width * self.itemsize

    def rows(self, site: Site) -> int:
        """Bytes of all activations at one site."""
        return 0 if self.tokens is None else self.tokens * self.width * self.itemsize

    def units(self, site: Site) -> int:
        """Bytes of what one model's accumulators at one site keep of the prompts."""
        return self.spectra(site) * min(GROUPS, self.prompts) * 3 * WIDE * self.width

    def second(self, sites: Sequence[Site]) -> int:
        """Peak bytes of both passes at some sites at once, sums included.

        The first pass leaves sums of all sites in every process; then each has those of its own.
        """
        matrix = self.matrix
        own = sites[:: self.processes]
        base = sum(self.sums(site) + matrix for site in own)  # and the base's own vectors
        vectors = matrix * sum(map(self.spectra, sites))
        units = sum(map(self.units, sites))
        feeding = vectors * 3 // 2 + units + int(FEEDING * matrix)  # and the vectors in float32
        after = base + max(vectors + SOLVING * matrix, feeding)
        return max(after, sum(map(self.sums, sites)) + int(FEEDING * matrix)) + self.seen

    @property
    def seen(self) -> int:
        """Bytes of what takes rows to what the logits see of them."""
        return 4 * self.matrix if "visible" in self.variants else 0


@dataclass(frozen=True)
class Waves:
    """The sites in groups, each of which is measured at once.

    Attributes:
        groups: the sites.
        kept: whether their activations are kept, instead of their sums and a second pass.
        held: bytes that the first pass at the first group holds until it is measured.
        peak: most bytes that a group takes beside the models.
        least: the same with one site at a time, which is all that more groups could save.
    """

    groups: tuple[tuple[Site, ...], ...]
    kept: bool
    held: int
    peak: int
    least: int

    @property
    def passes(self) -> int:
        """Return how often each model reads the text."""
        return len(self.groups) * (1 if self.kept else 2)


def stream(site: Site) -> bool:
    """Return True for a site of the residual stream, before or after the final norm."""
    return site.kind not in (SiteKind.ATTN, SiteKind.MLP)


def waves(sites: Iterable[Site], work: Workload, room: int | None) -> Waves:
    """Divide the sites such that every group fits; a site that does not fit is alone.

    Activations are kept where those of a site take less than its sums and vectors do: the text
    is then read once in place of twice. The groups do not change what is measured.

    Args:
        sites: where to measure.
        work: what decides how much a site takes.
        room: bytes there are beside the models; None for no limit.
    """
    every = tuple(sites)
    found = [_divided(every, work, room, kept=False)]
    if work.tokens is not None and all(work.rows(site) <= _resident(site, work) for site in every):
        found.insert(0, _divided(every, work, room, kept=True))
    fitting = [item for item in found if room is None or item.peak <= room]
    if fitting:
        return min(fitting, key=lambda item: item.passes)
    return min(found, key=lambda item: item.peak)


def summed(sites: Iterable[Site], work: Workload, room: int) -> tuple[tuple[Site, ...], ...]:
    """Divide the sites such that the sums of every group fit; no second pass follows.

    Args:
        sites: where sums are taken.
        work: what decides how much a site takes.
        room: bytes there are beside the models.
    """
    return _grouped(sites, lambda group: sum(map(work.sums, group)) + FEEDING * work.matrix <= room)


def _resident(site: Site, work: Workload) -> int:
    """Bytes that a site holds through its second pass."""
    return work.sums(site) + work.matrix * (1 + 3 * work.spectra(site) // 2)


def _peak(group: Sequence[Site], work: Workload, *, kept: bool) -> int:
    if kept:
        return sum(map(work.rows, group)) + max(work.second([site]) for site in group)
    return work.second(group)


def _divided(every: tuple[Site, ...], work: Workload, room: int | None, *, kept: bool) -> Waves:
    groups = _grouped(every, lambda group: room is None or _peak(group, work, kept=kept) <= room)
    return Waves(
        groups=groups,
        kept=kept,
        held=sum(map(work.rows if kept else work.sums, groups[0])) if groups else 0,
        peak=max((_peak(group, work, kept=kept) for group in groups), default=0),
        least=max((_peak([site], work, kept=kept) for site in every), default=0),
    )


def _grouped(
    sites: Iterable[Site], fits: Callable[[Sequence[Site]], bool]
) -> tuple[tuple[Site, ...], ...]:
    """The sites in order, as many together as fit; one that does not fit is alone."""
    groups: list[tuple[Site, ...]] = []
    for site in sites:
        wider = (*groups[-1], site) if groups else (site,)
        if groups and fits(wider):
            groups[-1] = wider
        else:
            groups.append((site,))
    return tuple(groups)
