"""Tables of the look at loops: by turn, out of loops, by length."""

from hyperinterp.drawing.table import Table, table
from hyperinterp.looks.loops.result import LoopsResult

SIDES = ("base", "fitted", "delta")


def tables(result: LoopsResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (_ways(result), _turns(result), _lengths(result))


def _ways(result: LoopsResult) -> Table:
    return table(
        "ways", "Who leaves whose loops",
        (
            {
                "of": item.of, "by": item.by, "prompts": item.prompts,
                "left": item.left, "free": item.free, "example": item.example,
            }
            for item in result.ways
        ),
        {
            "of": "loops of", "by": "continued by", "prompts": "texts",
            "left": "loop broken", "free": "in no loop later", "example": "one turn | what follows",
        },
        note="Greedy texts that end in a loop, cut after its second turn; then each model goes on "
        f"greedily for {result.written} tokens.",
        missing=result.why.get("ways", ""),
    )  # fmt: skip


def _turns(result: LoopsResult) -> Table:
    return table(
        "turns", "A span after copies of itself",
        (
            {
                "copies": item.copies,
                **{f"probability_{role}": getattr(item.probability, role) for role in SIDES},
                **{f"chosen_{role}": getattr(item.chosen, role) for role in SIDES},
            }
            for item in result.turns
        ),
        {
            "copies": "copies before",
            "probability_base": "probability, base", "probability_fitted": "probability, fitted",
            "probability_delta": "difference",
            "chosen_base": "chosen, base", "chosen_fitted": "chosen, fitted",
            "chosen_delta": "difference",
        },
        note=f"The first {result.span} tokens of the true continuation, repeated after the prompt: "
        "mean probability of its tokens, and share of them that are the greedy choice.",
        missing=result.why.get("turns", ""),
    )  # fmt: skip


def _lengths(result: LoopsResult) -> Table:
    return table(
        "lengths", "Type-token ratio by length",
        (
            {"tokens": item.tokens, **{role: getattr(item.ttr, role) for role in SIDES}}
            for item in result.lengths
        ),
        {"tokens": "tokens", "base": "base", "fitted": "fitted", "delta": "difference"},
        note=f"Of {result.texts} greedy texts of each model; a prompt counts as far as both of its "
        "texts reach.",
        shut=True,
        missing=result.why.get("lengths", ""),
    )  # fmt: skip
