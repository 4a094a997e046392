"""Adapters as peft leaves them."""

from benchmarks.input_rows.bench import Bench, Case, Make, plain
from tests.hyperinterp import people


def adapted(**settings: object) -> Make:
    """An adapter as peft leaves it."""

    def make(bench: Bench) -> Case:
        folder = people.adapter(bench.root, **settings)
        wanted = plain(bench.base, folder)
        return Case(bench.base, folder, wanted, loading={"base": bench.base})

    return make


def other_revision(bench: Bench) -> Case:
    """An adapter that names another base than the one given."""
    case = adapted()(bench)
    people.edit(
        case.fitted / "adapter_config.json",
        base_model_name_or_path="someone/base-4bit", revision="main-4bit",
    )  # fmt: skip
    return case


def two_adapters(bench: Bench) -> Case:
    """Two fine-tunes of one base."""
    first = people.adapter(bench.root, "first")
    second = people.adapter(bench.root, "second", task_type=None, target_modules=["down_proj"])
    return Case(first, second, plain(bench.base, second), loading={"base": bench.base})
