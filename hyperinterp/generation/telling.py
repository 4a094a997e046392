"""Progress of texts that are written together."""

from collections.abc import Callable

from hyperinterp.ticks import Tick


def by_share(texts: int, tick: Tick | None) -> Callable[[float], None]:
    """Return what tells of texts that are written together, by the share of them that is there.

    Args:
        texts: number of texts.
        tick: told of as many as the share comes to; None to tell nobody.
    """
    told = 0

    def written(share: float) -> None:
        nonlocal told
        now = int(texts * share)
        if tick is not None and now > told:
            tick(now - told)
            told = now

    return written
