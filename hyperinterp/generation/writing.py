"""Generate texts: one batch for all arms that differ only in logit processing.

Every row's sampling depends only on its prompt and seed, so neither the batch size nor the
other rows of a batch change what is drawn. Several processes get whole batches of whole models:
a step costs a pass over the weights, however few rows it has.
"""

from collections.abc import Callable, Sequence

from hyperinterp.distributed import ALONE, Processes
from hyperinterp.generation.decoding import GREEDY, Decoding, Generated
from hyperinterp.generation.keys import PromptKeys
from hyperinterp.generation.looping import written_together
from hyperinterp.generation.telling import by_share
from hyperinterp.generation.writer import Keys, Text, Writer, stop_tokens
from hyperinterp.models import HookedModel
from hyperinterp.text import TokenRows
from hyperinterp.ticks import Tick

Chosen = tuple[int, list[int]]
"""A batch before it is written: the number of its writer, and those of its jobs."""


def write_all(
    writers: Sequence[Writer],
    *,
    batch_size: int = 64,
    tick: Tick | None = None,
    processes: Processes = ALONE,
) -> list[dict[str, Generated]]:
    """Everything that several models are to write.

    Args:
        writers: the models with their prompts and arms.
        batch_size: most texts of one model at once, whatever their arm; fewer where their keys
            and values would take more than 2 GiB (on a CPU) or 8 GiB.
        tick: called with the number of texts done; texts half done count as half as many.
        processes: the processes that share the batches; all of them get every text.

    Returns:
        Per writer and name of an arm, the generations in the order of the arm's prompts.

    Raises:
        NumericalFault: a logit is NaN or infinite; names the model.
        UnsupportedModel: an arm matches entropies, and a model rules token ids out by minus
            infinity.
    """
    most = min([batch_size, *(writer.rows_at_once for writer in writers)])
    sizes = processes.rows_per_batch(most, [len(writer.jobs) for writer in writers])
    batches = [
        (number, chosen)
        for number, (writer, size) in enumerate(zip(writers, sizes, strict=True))
        for chosen in writer.batches(size)
    ]
    models = {id(model): model for writer in writers for model in writer.models}
    keys = {key: PromptKeys(model) for key, model in models.items()}
    mine: dict[tuple[int, int], Text] = {}
    left = sum(len(writer.jobs) for writer in writers)
    work = _in_pairs(writers, batches) if processes.size == 1 else [[item] for item in batches]
    for pair in processes.dealt(work, lambda pair: len(pair[0][1])):
        done = min(sum(len(chosen) for _, chosen in pair) * processes.size, left)
        written = by_share(done, tick)
        mine |= _written(writers, pair, keys, written)
        written(1.0)
        left -= done
    every = processes.collected(mine)
    if tick is not None and left:
        tick(left)
    return [
        writer.by_arm({job: every[number, job] for job in range(len(writer.jobs))})
        for number, writer in enumerate(writers)
    ]


def _in_pairs(writers: Sequence[Writer], batches: Sequence[Chosen]) -> list[list[Chosen]]:
    """Batches, each that matches a model's entropies with one that this model writes itself.

    The second model runs at every step of the first batch anyway, for a few rows only.
    """
    plain = [item for item in batches if not _matches(writers, item)]
    found: list[list[Chosen]] = []
    for item in batches:
        if not _matches(writers, item):
            continue
        guest = next((other for other in plain if _goes_along(writers, item, other)), None)
        if guest is not None:
            plain.remove(guest)
        found.append([item] if guest is None else [item, guest])
    return found + [[item] for item in plain]


def _matches(writers: Sequence[Writer], item: Chosen) -> bool:
    number, chosen = item
    return any(writers[number].jobs[job][0].match_entropy for job in chosen)


def _goes_along(writers: Sequence[Writer], item: Chosen, guest: Chosen) -> bool:
    host, writer = writers[item[0]], writers[guest[0]]
    lengths = [
        len(who.prompts.rows[who.jobs[chosen[0]][1]])
        for who, (_, chosen) in ((host, item), (writer, guest))
    ]
    same = host.new_tokens == writer.new_tokens and lengths[0] == lengths[1]
    return same and writer.model is host.match_entropy_of and not writer.alone(guest[1][0])


def _written(
    writers: Sequence[Writer],
    pair: Sequence[Chosen],
    keys: Keys,
    tell: Callable[[float], None],
) -> dict[tuple[int, int], Text]:
    """The text of every job of a batch, and of the one that goes along, by writer and job."""
    ready = [writers[number].batch(chosen, keys) for number, chosen in pair]
    other = writers[pair[0][0]].match_entropy_of
    target = None if other is None else keys[id(other)]
    found = written_together(ready[0], target, *ready[1:], tell=tell)
    return {
        (number, job): _cut(ids, writers[number].stops)
        for (number, chosen), rows in zip(pair, found, strict=True)
        for job, ids in zip(chosen, rows, strict=True)
    }


def generate(
    model: HookedModel,
    prompts: TokenRows,
    arms: Sequence[Decoding] = (GREEDY,),
    *,
    new_tokens: int = 96,
    batch_size: int = 64,
    stops: Sequence[int] | None = None,
    match_entropy_of: HookedModel | None = None,
    tick: Tick | None = None,
    processes: Processes = ALONE,
) -> dict[str, Generated]:
    """Continue the prompts under every arm, each arm those that it asks for.

    Args:
        model: the model that writes.
        prompts: token ids; rows of equal length run together.
        arms: decodings with distinct names.
        new_tokens: most tokens generated per prompt.
        batch_size: most rows at once, whatever their arm.
        stops: ids that end a text; by default those that the model names.
        match_entropy_of: the second model of the arms with `match_entropy`.
        tick: called with the number of rows done.
        processes: the processes that share the texts; all of them get every text.

    Returns:
        Per arm name, the generations in the order of its prompts.

    Raises:
        ValueError: two arms of one name, or an arm that matches a model that was not given.
        InputRefused: prompts and what is written after them have no place in a model's table of
            positions.
        NumericalFault: a logit is NaN or infinite; names the model.
        UnsupportedModel: an arm matches entropies, and a model rules token ids out by minus
            infinity.
    """
    ends = stop_tokens(model) if stops is None else tuple(stops)
    writer = Writer(
        model, prompts, arms, stops=ends, new_tokens=new_tokens, match_entropy_of=match_entropy_of
    )
    return write_all([writer], batch_size=batch_size, tick=tick, processes=processes)[0]


def _cut(sequence: Sequence[int], stops: tuple[int, ...]) -> Text:
    for position, token in enumerate(sequence):
        if token in stops:
            return tuple(sequence[:position]), True
    return tuple(sequence), False
