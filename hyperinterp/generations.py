"""The generations of one study: ordered by its analyses, then generated together, each once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from hyperinterp.distributed import Processes
from hyperinterp.generation import GREEDY, Decoding, Generated, Writer, stop_tokens, write_all
from hyperinterp.models import HookedModel
from hyperinterp.run_log import RunLog
from hyperinterp.text import TokenRows

TEXTS_PER_ROW = 24
"""Texts written at once per row of a forward pass; a step of a text is one token, cached."""

WRITTEN = "texts generated"
"""What `RunLog.forwards` counts texts under."""


@dataclass
class Generations:
    """The generations of models after the same prompts, under arms that are ordered by role.

    A step of decoding costs a pass over the weights, however few rows it has: so analyses say
    first what they need (`order`), and the first text asked for has all of it written.

    Attributes:
        models: by role; arms that match an entropy match that of the role "fitted".
        prompts: token ids.
        new_tokens: most tokens generated per prompt.
        batch_size: rows per forward pass; up to 24 times as many texts are written at once.
        processes: who shares the texts.
        log: told of time, texts and warnings.
    """

    models: Mapping[str, HookedModel]
    prompts: TokenRows
    new_tokens: int = field(kw_only=True)
    batch_size: int = field(kw_only=True)
    processes: Processes = field(kw_only=True)
    log: RunLog = field(kw_only=True)
    _orders: dict[str, dict[str, Decoding]] = field(default_factory=lambda: defaultdict(dict))
    _written: dict[str, dict[str, Generated]] = field(default_factory=lambda: defaultdict(dict))

    def order(self, role: str, arms: Sequence[Decoding]) -> None:
        """Have these arms written together with all else that is ordered.

        Args:
            role: one of `models`.
            arms: decodings; each name is written once per role.
        """
        known = self._orders[role] | self._written[role]
        self._orders[role] |= {arm.name: arm for arm in arms if arm.name not in known}

    def of(self, role: str, name: str) -> Generated:
        """The texts of an arm that was ordered; the first call writes all orders of all roles."""
        if name not in self._written[role]:
            orders = {which: tuple(arms.values()) for which, arms in self._orders.items() if arms}
            self._orders.clear()
            found = self._write([(self.models[which], arms) for which, arms in orders.items()])
            for which, texts in zip(orders, found, strict=True):
                self._written[which] |= texts
        return self._written[role][name]

    def order_greedy(self, *roles: str) -> None:
        """Have greedy generations of all prompts made by the models in these roles."""
        for role in roles:
            self.order(role, [GREEDY])

    def greedy(self, role: str) -> Generated:
        """Greedy generations of all prompts by the model in a role; made once."""
        self.order(role, [GREEDY])
        return self.of(role, GREEDY.name)

    @cached_property
    def stops(self) -> tuple[int, ...]:
        """The ids that end a text, whoever writes it: those of all models."""
        named = [set(stop_tokens(model)) for model in self.models.values()]
        ids = tuple(sorted(set().union(*named)))
        if any(found != named[0] for found in named):
            self.log.warnings.append(
                "The checkpoints name different end tokens; the texts of all of them end at any "
                f"of {', '.join(map(str, ids))}."
            )
        return ids

    def write(
        self,
        model: HookedModel,
        arms: Sequence[Decoding] = (GREEDY,),
        *,
        task: str = "",
        processes: Processes | None = None,
    ) -> dict[str, Generated]:
        """Generations by one model under some arms.

        Arms that match an entropy match the fitted model's.

        Args:
            model: the model that writes.
            arms: decodings with distinct names.
            task: what to call it while it runs.
            processes: who shares the texts, where that is not `processes`.
        """
        return self._write([(model, arms)], task or f"{model.name} writes", processes)[0]

    def _write(
        self,
        works: Sequence[tuple[HookedModel, Sequence[Decoding]]],
        task: str = "the models write",
        processes: Processes | None = None,
    ) -> list[dict[str, Generated]]:
        writers = [
            Writer(
                model,
                self.prompts,
                arms,
                stops=self.stops,
                new_tokens=self.new_tokens,
                match_entropy_of=self.models["fitted"],
            )
            for model, arms in works
        ]
        texts = sum(len(writer.jobs) for writer in writers)
        with self.log.timed("generation"):
            written = write_all(
                writers,
                batch_size=TEXTS_PER_ROW * self.batch_size,
                tick=self.log.ticker(task, texts),
                processes=processes or self.processes,
            )
        self.log.forwards[WRITTEN] += texts
        return written
