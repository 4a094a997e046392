"""The help of commands beside their options: groups, examples, and the claims."""

from collections.abc import Iterable
from typing import Any

from hyperinterp.claims import registry

GROUPS = {
    "Checkpoints": (
        "revision", "fitted_revision", "subfolder", "fitted_subfolder", "like", "tokenizer", "base",
    ),
    "Text": (
        "prompts", "data", "passages", "heldout", "column", "split", "chat", "max_tokens",
        "seq_len",
    ),
    "What is measured": (
        "config", "claims", "also", "preset", "quick", "seed", "seeds", "compare",
    ),
    "What is trained": (
        "method", "methods", "blocks", "whole", "shuffled", "full_weights", "rank", "alpha",
        "target_loss", "epochs", "max_steps", "max_seconds",
    ),
    "How it is trained": (
        "lr", "schedule", "warmup", "weight_decay", "grad_accum", "deterministic",
    ),
    "Machine": (
        "device", "device_map", "dtype", "memory", "batch_size", "gradient_checkpointing",
        "compile", "fsdp", "frozen_bf16",
    ),
    "Output": (
        "out", "json", "figures", "force", "resume_dir", "resume", "cell", "dry_run",
        "eval_every", "save_at", "save_epochs", "keep_control", "report_to",
    ),
}  # fmt: skip
BESIDE = "Beside the pair"
"""The group of what stands in the roles that claims declare."""

_FEW = ",".join(spec.id for spec in registry.by_id(registry.CLAIMS)[:2])
EXAMPLES = {
    "compare": (
        "hyperinterp compare smollm2 demo/late-stage --preset quick --out report",
        f"hyperinterp compare owner/base runs/my-adapter --prompts heldout.jsonl --claims {_FEW}",
    ),
    "train": (
        "hyperinterp train smollm2 --method late-stage --out twin",
        "hyperinterp train smollm2 --blocks last:1,last:5 --seeds 0,1 --out sweep",
    ),
    "trace": (
        "hyperinterp trace twin --out trace",
        "hyperinterp trace twin --prompts heldout.jsonl --figures png --out trace",
    ),
    "export": (
        "hyperinterp export twin twin.pt",
        "hyperinterp export owner/adapter whole.pt --base owner/base",
    ),
    "inspect": (
        "hyperinterp inspect smollm2",
        "hyperinterp inspect weights.pt --like owner/model --json",
    ),
    "study": (
        "hyperinterp study smollm2 --dry-run",
        "hyperinterp study smollm2 --blocks last:5,first:5 --seeds 0,1,2 --out study",
    ),
    "reports": (
        "hyperinterp reports runs/first runs/second",
        "hyperinterp reports study --format csv --out claims.csv",
    ),
    "push": (
        "hyperinterp push twin owner/my-twin --license apache-2.0 --report report",
        "hyperinterp push report owner/my-report --license cc-by-4.0",
    ),
    "judge-sheet": (
        "hyperinterp judge-sheet report --out judges",
        "hyperinterp judge-sheet report --seed 1 --out other-order",
    ),
    "judge-read": (
        "hyperinterp judge-read judges answers-1.csv answers-2.csv",
        "hyperinterp judge-read judges answers-1.csv --json",
    ),
    "demo": ("hyperinterp demo", "hyperinterp demo --preset default --out larger"),
}


def arranged(command: Any) -> Any:
    """Return the command line with its options in groups and examples below.

    Args:
        command: the group of all commands, as the parser has it; changed in place.
    """
    roles = {role.keyword for role in registry.roles()}
    for name, part in command.commands.items():
        known = [item for item in part.params if hasattr(item, "rich_help_panel")]
        for item in known:
            item.rich_help_panel = _group(item, roles) or item.rich_help_panel
        more = list(_claims()) if any(item.name == "claims" for item in known) else []
        examples = [f"Example: {line}" for line in EXAMPLES.get(name, ())]
        part.epilog = "\n\n".join([*more, *examples]) or None
    return command


def _group(item: Any, roles: set[str]) -> str:
    """The group of an option; "" for an argument or one that stands in none."""
    if not item.opts[0].startswith("-"):
        return ""
    if item.name in roles:
        return BESIDE
    return next((title for title, names in GROUPS.items() if item.name in names), "")


def _claims() -> Iterable[str]:
    """A line for every claim, for the help of --claims."""
    yield "Claims (--claims takes ids or names):"
    for spec in registry.by_id(registry.every_claim()):
        yield f"{spec.id} {spec.slug}: {spec.rule.statement}"
