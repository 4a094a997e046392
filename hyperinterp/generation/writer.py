"""A model, and all texts that it is to write."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from hyperinterp.generation.choosing import Chooser
from hyperinterp.generation.decoding import Decoding, Generated
from hyperinterp.generation.inside import inside_of
from hyperinterp.generation.keys import PromptKeys, kept_bytes
from hyperinterp.generation.looping import Batch
from hyperinterp.models import HookedModel, Stitch
from hyperinterp.text import TokenRows

KEPT_AT_ONCE = {"cpu": 2 << 30, "other": 8 << 30}
"""Bytes of the keys and values of one batch: fixed, so that batches do not hang on free memory."""

Keys = Mapping[int, PromptKeys]

Text = tuple[tuple[int, ...], bool]
"""The ids of a text, and whether the model ended it."""


def stop_tokens(model: HookedModel) -> tuple[int, ...]:
    """The ids that end a text, from the generation config, the config or the tokenizer."""
    for holder in (model.hf.generation_config, model.hf.config, model.tokenizer):
        found = getattr(holder, "eos_token_id", None)
        if found is not None:
            return (found,) if isinstance(found, int) else tuple(found)
    return ()


@dataclass(frozen=True)
class Writer:
    """A model, and the arms under which it continues the prompts.

    Attributes:
        model: the model that writes.
        prompts: token ids.
        arms: decodings with distinct names.
        stops: ids that end a text.
        new_tokens: most tokens generated per prompt.
        match_entropy_of: the second model of the arms with `match_entropy`.

    Raises:
        ValueError: two arms of one name, or an arm that matches a model that was not given.
        InputRefused: prompts and what is written after them have no place in a model's table of
            positions.
    """

    model: HookedModel
    prompts: TokenRows
    arms: Sequence[Decoding]
    stops: tuple[int, ...] = field(kw_only=True)
    new_tokens: int = field(kw_only=True)
    match_entropy_of: HookedModel | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if len({arm.name for arm in self.arms}) != len(self.arms):
            names = [arm.name for arm in self.arms]
            raise ValueError(f"arms: expected distinct names, found {names}")
        if self.match_entropy_of is None and any(arm.match_entropy for arm in self.arms):
            raise ValueError("match_entropy_of: expected the model to match, found none")
        longest = max(map(len, self.prompts.rows), default=0)
        for model in (self.model, self.match_entropy_of):
            if model is not None:
                model.check_length(longest + self.new_tokens, "new_tokens, or a shorter prompt")

    @cached_property
    def jobs(self) -> list[tuple[Decoding, int]]:
        """Every text: its arm, and the number of its prompt.

        Arms that match an entropy come first, so that the second model runs for as few batches as
        can be; then prompt by prompt, so that each process reads few of them.
        """
        jobs = [(arm, number) for arm in self.arms for number in arm.numbers(len(self.prompts))]
        return sorted(jobs, key=lambda job: (not job[0].match_entropy, job[1]))

    def batches(self, size: int) -> Iterator[list[int]]:
        """Batches of at most `size` texts whose prompts are equally long: numbers of the jobs.

        A stitched model that cannot run beside others for some rows writes its texts alone.
        """
        apart: dict[Stitch | None, list[int]] = {}
        for job, (arm, _) in enumerate(self.jobs):
            apart.setdefault(arm.stitch if self.alone(job) else None, []).append(job)
        rows = self.prompts.chosen(number for _, number in self.jobs)
        for jobs in apart.values():
            for chosen, _ in rows.batches(size, jobs):
                yield sorted(chosen, key=self._place)

    def alone(self, job: int) -> bool:
        """Return whether a text is written without those of other models."""
        stitch = self.jobs[job][0].stitch
        return stitch is not None and not stitch.by_rows

    def _place(self, job: int) -> tuple[int, bool, bool, int]:
        """Rows of one kind and arm lie side by side; those of stitched models come last."""
        arm = self.jobs[job][0]
        kind = arm.seed is not None, not arm.match_entropy, self._numbers[arm.name]
        return (self._stitches[arm.stitch], *kind)

    @cached_property
    def _stitches(self) -> dict[Stitch | None, int]:
        every = dict.fromkeys([None, *(arm.stitch for arm in self.arms)])
        return {stitch: number for number, stitch in enumerate(every)}

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {arm.name: number for number, arm in enumerate(self.arms)}

    def batch(self, chosen: Sequence[int], keys: Keys) -> Batch:
        """Some jobs whose prompts are equally long, ready to be written.

        Args:
            chosen: numbers of the jobs.
            keys: what is read of the prompts, by the `id` of the model.
        """
        decodings, numbers = zip(*(self.jobs[job] for job in chosen), strict=True)
        other = self.match_entropy_of
        target = "" if other is None else other.name
        return Batch(
            keys[id(self.model)],
            [self.prompts.rows[number] for number in numbers],
            Chooser(self.model.name, decodings, numbers, self.new_tokens, target),
            self.new_tokens,
            self.stops,
            inside_of(decodings),
        )

    @property
    def rows_at_once(self) -> int:
        """Most texts whose keys and values have room together."""
        device = "cpu" if self.model.home.type == "cpu" else "other"
        length = max(map(len, self.prompts.rows), default=0) + self.new_tokens
        return max(1, KEPT_AT_ONCE[device] // (kept_bytes(self.model) * length))

    @property
    def models(self) -> tuple[HookedModel, ...]:
        """Those that run."""
        other = self.match_entropy_of
        return (self.model,) if other is None else (self.model, other)

    def by_arm(self, texts: Mapping[int, Text]) -> dict[str, Generated]:
        """The texts of all jobs by arm, in the order of the arm's prompts."""
        found = {(arm.name, number): texts[job] for job, (arm, number) in enumerate(self.jobs)}
        written: dict[str, Generated] = {}
        for arm in self.arms:
            own = [found[arm.name, number] for number in arm.numbers(len(self.prompts))]
            written[arm.name] = Generated(
                tuple(ids for ids, _ in own), tuple(ended for _, ended in own)
            )
        return written
