"""Continue a few texts by hand."""

from collections.abc import Sequence

from hyperinterp.ambient import own_settings
from hyperinterp.errors import InputRefused
from hyperinterp.generation.decoding import GREEDY, Decoding
from hyperinterp.generation.writing import generate
from hyperinterp.models import AnyModel, check_given, taken
from hyperinterp.ranges import at_least, check_seed, of_kind, positive
from hyperinterp.text import TokenRows, encoded


@own_settings()
def continue_text(
    model: AnyModel,
    texts: str | Sequence[str],
    *,
    new_tokens: int = 96,
    temperature: float | None = None,
    seed: int = 0,
) -> list[str]:
    """Generate text after each prompt; greedy unless a temperature is given.

    Args:
        model: the model that writes, by name or in memory: whatever `hyperinterp.load` takes. It
            needs a tokenizer.
        texts: one prompt or several, taken whole; an end token that the tokenizer appends is left
            out, since nothing follows it.
        new_tokens: most tokens generated per prompt.
        temperature: sample at this temperature (above 0) instead.
        seed: of the sampling, 0 to 4294967295; a text's draw depends on nothing but its number
            and this.

    Returns:
        One generation per text, without the prompt.

    Raises:
        InputRefused: no tokenizer, no text, a text without tokens, a temperature, number of
            tokens or seed out of range, or more tokens than the model has positions for.
    """
    given = [texts] if isinstance(texts, str) else texts
    of_kind("texts", given, (list, tuple), "a string or a list of strings")
    for text in given:
        of_kind("texts", text, str, "strings")
    if temperature is not None:
        positive("temperature", temperature)
    at_least("new_tokens", new_tokens, 1)
    check_seed(seed)
    check_given(model, "model")
    model = taken(model, "model", identified=False)
    if model.tokenizer is None:
        raise InputRefused(
            f"{model.name}: expected a tokenizer, found none; give it one with "
            "hyperinterp.load(model, tokenizer=tokenizer)"
        )
    ids = [tuple(row) for row in encoded(model.tokenizer, given)]
    if not ids or not all(ids):
        raise InputRefused(
            "texts: expected at least one text, each with a token, found none; leave empty ones out"
        )
    prompts = TokenRows(tuple(ids), tuple(range(len(ids))), max(map(len, ids)), 0)
    arm = GREEDY if temperature is None else Decoding("sampled", temperature, seed)
    rows = generate(model, prompts, (arm,), new_tokens=new_tokens)[arm.name].rows
    return [str(model.tokenizer.decode(list(row))) for row in rows]
