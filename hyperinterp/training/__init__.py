"""Hyperfitting: train a model on a few passages until it knows them by heart."""

from hyperinterp.training.config import METHODS, SCHEDULES, TrainConfig
from hyperinterp.training.evaluation import Evaluation
from hyperinterp.training.result import TrainResult
from hyperinterp.training.resume import run_directory
from hyperinterp.training.run import train
from hyperinterp.training.sweep import Sweep, SweepCell, plan, sweep
from hyperinterp.training.tracker import Progress

__all__ = [
    "METHODS",
    "SCHEDULES",
    "Evaluation",
    "Progress",
    "Sweep",
    "SweepCell",
    "TrainConfig",
    "TrainResult",
    "plan",
    "run_directory",
    "sweep",
    "train",
]
