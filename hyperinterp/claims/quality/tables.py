"""Tables of C10: every source beside the human texts, and the single texts."""

from collections.abc import Iterator

from hyperinterp.claims.quality.result import QualityResult
from hyperinterp.claims.quality.words import LEANS
from hyperinterp.drawing.numbers import number
from hyperinterp.drawing.table import Heading, Table, table


def tables(result: QualityResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    read: dict[str, Heading] = {
        "source": "text", "ttr": "type-token ratio", "fresh": "fresh surprisal",
        "excess": "over human", "shocking": "shocking tokens", "gain": "prompt gain",
        "surprisal": "surprisal", "bits_per_byte": "bits per byte", "distance": "distance",
    }  # fmt: skip
    if any(item.mauve.value is not None for item in result.texts):
        read["mauve"] = "MAUVE"
    return (
        table(
            "texts", f"Texts under {result.reference}",
            (
                {
                    "source": item.source, "ttr": item.ttr, "fresh": item.fresh,
                    "excess": item.excess, "shocking": item.shocking, "gain": item.gain,
                    "surprisal": item.surprisal, "bits_per_byte": item.bits_per_byte,
                    "distance": item.distance,
                    "fresh_share": item.fresh_share, "mauve": item.mauve, "n": item.fresh.n,
                    "kind": item.kind,
                }
                for item in result.texts
            ),
            read,
            note=note(result),
        ),
        table(
            "prompts", "Quality, text by text",
            (
                {
                    "source": item.source, "prompt_id": item.prompt_id, "tokens": item.tokens,
                    "fresh_tokens": item.fresh_tokens, "fresh": item.fresh,
                    "shocking": item.shocking, "gain": item.gain, "surprisal": item.surprisal,
                }
                for item in result.prompts
            ),
        ),
    )  # fmt: skip


def note(result: QualityResult) -> str:
    """Return what has to be known to read the values."""
    return " ".join(_told(result))


def _told(result: QualityResult) -> Iterator[str]:
    yield "Nats per token of the reference" + (
        ", which has another tokenizer than the pair and reads text." if result.reads_text else "."
    )
    if result.shocking_beyond is not None:
        yield f"Shocking: a fresh token of more than {number(result.shocking_beyond)} nats."
    if result.judge in LEANS:
        yield f"Mind that {LEANS[result.judge]}"
    reasons = {item.mauve.reason for item in result.texts if item.kind == "fitted"} - {""}
    yield from (f"{reason}." for reason in sorted(reasons))
