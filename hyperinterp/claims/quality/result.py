"""The result of C10: how surprising texts are to a reference, beside what people wrote."""

from dataclasses import dataclass

from hyperinterp.brief import Brief
from hyperinterp.claims.spec import Measured, missing
from hyperinterp.drawing.result import Result

EARLIER = missing("not measured by the hyperinterp that made this report")


@dataclass(frozen=True)
class TextQuality(Brief):
    """The texts of one source: people, or a model under one way of decoding.

    Attributes:
        source: what it is.
        kind: "human", "half" (of the human texts), "base", "fitted" or "remedy".
        fresh: mean surprisal of the tokens that no repetition explains, nats per token.
        shocking: share of those tokens beyond the 99th percentile of the human ones.
        gain: surprisal after another passage's prompt minus that after its own, nats per token.
        surprisal: mean surprisal of all tokens, nats per token.
        fresh_share: share of tokens that are fresh.
        ttr: type-token ratio on the window of C1.
        excess: fresh surprisal minus that of the human texts of the same passages.
        distance: mean distance of a text's surprisal from that of the human one.
        mauve: MAUVE between these texts and the human ones.
        bits_per_byte: surprisal of all tokens over the length of the text in UTF-8, which does not
            depend on how a tokenizer cuts it.
    """

    source: str
    kind: str
    fresh: Measured
    shocking: Measured
    gain: Measured
    surprisal: Measured
    fresh_share: Measured
    ttr: Measured
    excess: Measured
    distance: Measured
    mauve: Measured
    bits_per_byte: Measured = EARLIER


@dataclass(frozen=True)
class PromptQuality(Brief):
    """One text; None where it has no token, or no fresh one."""

    prompt_id: str
    source: str
    tokens: int
    fresh_tokens: int
    fresh: float | None
    shocking: float | None
    gain: float | None
    surprisal: float | None


@dataclass(frozen=True)
class QualityResult(Result):
    """Surprisal of generated and of human text under one reference.

    Attributes:
        reference: the model that the texts are judged by.
        judge: "base" or "fitted" where one of the pair judges, else "other".
        reads_text: it has another tokenizer, and reads text instead of ids.
        shocking_beyond: surprisal that 1 % of the fresh human tokens exceed, nats; None without
            human text.
        window: number of last generated ids of the type-token ratio.
        texts: by source, the human ones first.
        excess: fresh surprisal, fitted minus human.
        shocking: share of shocking tokens, fitted minus human.
        gain_share: the fitted model's prompt gain as a share of the human one.
        distance: distance to the human surprisal, fitted minus base.
        noise_floor: fresh surprisal of one half of the human texts minus that of the other.
        prompts: every text of every source.
    """

    reference: str
    judge: str
    reads_text: bool
    shocking_beyond: float | None
    window: int
    texts: tuple[TextQuality, ...]
    excess: Measured
    shocking: Measured
    gain_share: Measured
    distance: Measured
    noise_floor: Measured
    prompts: tuple[PromptQuality, ...]
