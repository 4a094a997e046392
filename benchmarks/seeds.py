"""Do intervals over training seeds keep their promise? Simulated studies, seed by prompt.

`python -m benchmarks.seeds` draws 400 studies for each number of seeds and each mixture of what
varies: the seeds, the prompts (the same for all seeds), and single texts. It counts how often the
interval holds the truth, beside the plain percentile bootstrap, and how often a recipe without any
effect is called supported although its single seeds differ. Needs no model; a minute.
"""

import argparse
import itertools
from typing import Any

import numpy as np

from benchmarks import pages, record
from probes.resampling import Estimate, hierarchical_bootstrap, over_seeds
from probes.resampling.estimate import student_quantile

PROMPTS = 24
SEEDS = (3, 5, 8)
SPREADS = {
    "seeds as much as texts": (0.1, 0.0, 0.1),
    "all three": (0.1, 0.3, 0.2),
    "prompts most": (0.05, 0.3, 0.2),
    "no seed effect": (0.0, 0.3, 0.2),
    "seeds only, nearly": (0.3, 0.1, 0.1),
    "prompts only, nearly": (0.05, 0.3, 0.01),
}
"""Standard deviations of seeds, of prompts, and of single texts."""


def simulated(seeds: int, spread: tuple[float, float, float], number: int) -> np.ndarray:
    """One study of a recipe without effect: a value per seed and prompt."""
    draw = np.random.default_rng([number, seeds])
    of_seeds, of_prompts, of_texts = spread
    return (
        of_seeds * draw.standard_normal((seeds, 1))
        + of_prompts * draw.standard_normal((1, PROMPTS))
        + of_texts * draw.standard_normal((seeds, PROMPTS))
    )


def own(row: np.ndarray) -> Estimate:
    """One seed's mean over prompts with Student's interval, as a report has it."""
    se = float(row.std(ddof=1)) / len(row) ** 0.5
    half = -student_quantile(0.025, len(row) - 1) * se
    centre = float(row.mean())
    return Estimate(centre, centre - half, centre + half, se, len(row), "t")


def percentile(values: np.ndarray, number: int, resamples: int = 400) -> tuple[float, float]:
    """The plain percentile bootstrap, seeds drawn first and prompts within."""
    draw = np.random.default_rng(number)
    seeds, prompts = values.shape
    first = draw.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    second = draw.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples) / prompts
    low, high = np.quantile(((first @ values) * second).sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def row(seeds: int, name: str, studies: int) -> dict[str, Any]:
    """Coverage of three intervals, and false support, for one kind of study."""
    held: dict[str, int] = dict.fromkeys(("bootstrap", "own intervals", "percentiles"), 0)
    supported = single = 0
    for number in range(studies):
        values = simulated(seeds, SPREADS[name], number)
        each = [own(row) for row in values]
        found = hierarchical_bootstrap(values, n_resamples=1000, seed=number)
        low, high = percentile(values, number)
        held["bootstrap"] += not found.excludes()
        held["own intervals"] += not over_seeds(each).excludes()
        held["percentiles"] += low <= 0 <= high
        supported += found.lo > 0
        single += sum(item.lo > 0 for item in each)
    shares = {key: count / studies for key, count in held.items()}
    return {
        "seeds": seeds, "varies": name, **shares,
        "falsely supported": supported / studies, "a single seed": single / studies / seeds,
    }  # fmt: skip


def measured(studies: int) -> list[dict[str, Any]]:
    """Every number of seeds with every mixture."""
    return [row(seeds, name, studies) for seeds, name in itertools.product(SEEDS, SPREADS)]


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400)
    given = parser.parse_args()
    rows = measured(given.studies)
    record.write("seeds", {"studies": given.studies, "prompts": PROMPTS, "rows": rows}, 1)
    heads = list(rows[0])
    cells = [
        [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()]
        for row in rows
    ]
    print(pages.table(heads, cells))


if __name__ == "__main__":
    main()
