"""On-policy contexts: the fitted model's greedy text, read by both models."""

from dataclasses import replace

from hyperinterp.capture import Contexts, chosen_positions, run_pair
from hyperinterp.under_comparison import Study


def on_policy_contexts(study: Study) -> Contexts | None:
    """Decisions of both models along the fitted model's own greedy text.

    A row's decisions begin at the last token of its own prompt, so that every one of them is
    followed by a token that the model wrote. None where fewer than two rows have any.
    """
    written = study.shared.texts.greedy("fitted")
    prompts = study.heldout.prompts
    rows = tuple(prompt + text for prompt, text in zip(prompts.rows, written.rows, strict=True))

    def positions(number: int, length: int) -> list[int]:
        start = max(1, len(prompts.rows[number]) - 1)
        if length - 1 <= start:
            return []
        return chosen_positions(length, study.sizes.contexts_per_prompt, start)

    if sum(bool(positions(number, len(row))) for number, row in enumerate(rows)) < 2:
        study.run.log.warnings.append(
            "Fewer than two of the fitted model's texts have a token: on-policy ranks are "
            "not measured."
        )
        return None

    with study.run.log.timed("reading the fitted model's text"):
        run = run_pair(
            study.base,
            study.fitted,
            replace(prompts, rows=rows),
            positions=positions,
            batch_size=study.run.batch_size,
            tick=study.run.log.ticker("both models read the fitted model's text", len(rows)),
            processes=study.run.processes,
        )
    study.run.log.forwards["both over the fitted model's text"] += 1
    return run.contexts
