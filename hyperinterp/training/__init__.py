"""Hyperfitting: train a model on a few passages until it knows them by heart."""

from hyperinterp.training.config import METHODS, SCHEDULES, TrainConfig
from hyperinterp.training.evaluation import Evaluation
from hyperinterp.training.result import TrainResult
from hyperinterp.training.resume import run_directory
from hyperinterp.training.run import train
from hyperinterp.training.tracker import Progress

__all__ = [
    "METHODS",
    "SCHEDULES",
    "Evaluation",
    "Progress",
    "TrainConfig",
    "TrainResult",
    "run_directory",
    "train",
]
