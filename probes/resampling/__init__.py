"""Resampling: intervals and tests whose unit is the prompt."""

from .bootstrap import bootstrap, bootstrap_contrast, paired_bootstrap
from .estimate import Estimate
from .jackknife import jackknife, paired_jackknife, pseudo_values
from .permutation import PermutationTest, holm, permutation_test

__all__ = [
    "Estimate",
    "PermutationTest",
    "bootstrap",
    "bootstrap_contrast",
    "holm",
    "jackknife",
    "paired_bootstrap",
    "paired_jackknife",
    "permutation_test",
    "pseudo_values",
]
