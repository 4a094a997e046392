"""C10: is the more diverse text still good text?"""

from dataclasses import replace

from hyperinterp.analyses.human import human_text
from hyperinterp.analyses.reference import Reference
from hyperinterp.claims.quality.arms import BASE, FITTED, HUMAN, remedies
from hyperinterp.claims.quality.counting import Written
from hyperinterp.claims.quality.judging import judged
from hyperinterp.claims.quality.result import QualityResult
from hyperinterp.claims.spec import Measured
from hyperinterp.models import HookedModel
from hyperinterp.under_comparison import Study

NOTE = (
    "{name} reads other tokens than the pair: C10 gives it the texts, and its nats are per token "
    "of its own."
)


def prepare(study: Study) -> None:
    """Orders the texts."""
    study.shared.texts.order_greedy("base", "fitted")
    study.shared.texts.order("base", remedies(study.run.seed, study.heldout.control_rows))


def measure(study: Study) -> QualityResult:
    """Read human text, greedy text and the base's text under remedies with the reference."""
    arms = remedies(study.run.seed, study.heldout.control_rows)
    every = tuple(range(len(study.heldout.prompts)))
    texts = {HUMAN: Written(every, human_text(study).rows)}
    for name, role in ((BASE, "base"), (FITTED, "fitted")):
        texts[name] = Written(every, study.shared.texts.greedy(role).rows)
    for arm in arms:
        rows = study.shared.texts.of("base", arm.name).rows
        texts[arm.name] = Written(study.heldout.control_rows, rows)
    given = study.readers.get("reference")
    judge = study.base if given is None else given
    reference = Reference(
        judge,
        study.heldout.tokenizer,
        study.run.batch_size,
        study.run.processes,
        study.base.vocab_size,
    )
    if not reference.reads_ids:
        study.run.log.warn(NOTE.format(name=judge.name))
    reads = 2 * sum(len(item.rows) for item in texts.values())
    with study.run.log.timed("quality"):
        found = judged(
            reference,
            study.heldout.prompts.rows,
            texts,
            window=study.sizes.window,
            seed=study.run.seed,
            prompt_ids=[study.heldout.prompt_id(row) for row in every],
            tick=study.run.log.ticker("the reference reads the texts", reads),
        )
    study.run.log.forwards["reference over the texts"] += 1
    return replace(found, judge=_of_the_pair(study, judge))


def _of_the_pair(study: Study, judge: HookedModel) -> str:
    """Return the role of a model in the pair, by its weights."""
    for role, model in (("base", study.base), ("fitted", study.fitted)):
        same = bool(judge.fingerprint) and judge.fingerprint == model.fingerprint
        if judge is model or same:
            return role
    return "other"


def quantities(result: QualityResult) -> dict[str, Measured]:
    """Return what the rule judges."""
    return {
        "fresh": result.excess,
        "shocking": result.shocking,
        "gain": result.gain_share,
        "distance": result.distance,
    }
