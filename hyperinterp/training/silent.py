"""Trainer and what belongs to it, imported in silence: it prints a line in wandb's offline mode."""

import sys
from contextlib import redirect_stdout

with redirect_stdout(sys.stderr):  # stdout is for what was asked for, JSON among it
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
    from transformers.integrations.integration_utils import get_available_reporting_integrations
    from transformers.trainer import TRAINER_STATE_NAME

__all__ = [
    "TRAINER_STATE_NAME",
    "PrinterCallback",
    "Trainer",
    "TrainerCallback",
    "TrainingArguments",
    "get_available_reporting_integrations",
]
