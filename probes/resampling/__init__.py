"""Resampling: intervals and tests whose unit is the prompt, and above it the training seed."""

from .bootstrap import bootstrap, bootstrap_contrast, paired_bootstrap
from .estimate import Estimate
from .hierarchical import hierarchical_bootstrap, over_seeds
from .jackknife import jackknife, paired_jackknife, pseudo_values
from .permutation import PermutationTest, holm, permutation_test

__all__ = [
    "Estimate",
    "PermutationTest",
    "bootstrap",
    "bootstrap_contrast",
    "hierarchical_bootstrap",
    "holm",
    "jackknife",
    "over_seeds",
    "paired_bootstrap",
    "paired_jackknife",
    "permutation_test",
    "pseudo_values",
]
