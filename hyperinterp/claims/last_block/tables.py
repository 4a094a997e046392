"""Tables of C6: the last block, every patch, random changes, and text of stitched models."""

from hyperinterp.claims.last_block.patches import DIRECTIONS
from hyperinterp.claims.last_block.result import LastBlockResult
from hyperinterp.drawing.escape import clip
from hyperinterp.drawing.table import Table, table, values


def tables(result: LastBlockResult) -> tuple[Table, ...]:
    """Return the tables, the main one first."""
    return (
        values(
            "quantities", "The last block",
            {
                "decisions": result.n_contexts,
                "block that alone recovers most": f"block {result.largest_block}",
                "recovered by the last block alone": result.last_recovered,
                "margin over the best other block": result.last_contrast,
                "margin over the largest random change": result.last_above_null,
                "share of the diversity gain it moves": result.behaviour,
                **result.replays,
            },
        ),
        table(
            "stitched", "Text of the stitched models",
            (
                {
                    "label": item.label, "direction": item.direction,
                    "layers": " ".join(map(str, item.layers)), "ttr": item.ttr,
                    "rep_4": item.rep_4, "gain_share": item.gain_share, "example": item.example,
                }
                for item in result.stitched
            ),
            {
                "label": "stitched model", "direction": ("direction", DIRECTIONS.get),
                "ttr": "type-token ratio",
                "rep_4": "repeated 4-grams", "gain_share": "share of gain",
                "example": ("example", lambda text: clip(text, 160)),
            },
        ),
        table(
            "patches", "Patches",
            (
                {
                    "label": item.label, "kind": item.kind, "direction": item.direction,
                    "layers": " ".join(map(str, item.layers)),
                    "recovered_kl": item.recovered_kl, "recovered_logit": item.recovered_logit,
                    "agreement": item.agreement, "kl_to_donor": item.kl_to_donor,
                    "kl_to_recipient": item.kl_to_recipient,
                }
                for item in result.patches
            ),
        ),
        table(
            "nulls", "Random changes of the same norm",
            (
                {
                    "layer": item.layer, "draws": item.draws, "smallest": item.recovered_kl[0],
                    "mean": item.recovered_kl[1], "largest": item.recovered_kl[2],
                    "kl_to_recipient": item.kl_to_recipient,
                }
                for item in result.nulls
            ),
        ),
    )  # fmt: skip
