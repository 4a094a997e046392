import pytest

from hyperinterp.errors import InputRefused
from hyperinterp.ranges import at_least, check_seed, each, of_kind, positive
from hyperinterp.training import TrainConfig
from hyperinterp.training.config import differing_fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "late"), ("schedule", "step"), ("dtype", "float16"),
        ("blocks", "late:5"), ("rank", 0), ("rank", True), ("alpha", 0.0), ("lr", -1.0),
        ("lr", float("nan")), ("lr", float("inf")), ("epochs", 0), ("max_steps", 0),
        ("max_seconds", 0.0), ("target_loss", 0.0), ("batch_size", 0), ("grad_accum", 0),
        ("seq_len", 1), ("seed", -1), ("seed", 2**32), ("weight_decay", -0.1), ("warmup", -1),
        ("eval_every", 0), ("save_at", (0.0,)), ("save_epochs", (0,)),
        ("resume_every", -1.0), ("max_grad_norm", float("nan")), ("prefix_budget_bytes", -1),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputRefused, match=rf"^{field}: expected .*, found ") as refusal:
        TrainConfig(**{field: value})
    assert "\n" not in str(refusal.value)


def test_a_value_of_another_type_is_refused_too() -> None:
    """Called below the constructor, whose own annotations are enforced in tests."""
    with pytest.raises(InputRefused, match=r"rank: expected a whole number .*, found 2\.5"):
        at_least("rank", 2.5, 1)
    with pytest.raises(InputRefused, match="lr: expected a number, found 'fast'"):
        positive("lr", "fast")
    with pytest.raises(InputRefused, match=r"save_at: expected a tuple of numbers, found \[1.0\]"):
        each("save_at", [1.0])
    with pytest.raises(InputRefused, match="deterministic: expected True or False, found str"):
        of_kind("deterministic", "yes", bool, "True or False")
    with pytest.raises(InputRefused, match="seed: expected a whole number from 0 to 4294967295"):
        check_seed(True)


def test_full_weights_of_the_last_blocks_belong_to_late_stage() -> None:
    with pytest.raises(InputRefused, match="late_stage_weights"):
        TrainConfig(method="lora", late_stage_weights=True)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"dtype": "float32"}, "expected dtype bfloat16, found 'float32'"),
        ({"method": "full"}, "expected method LoRA, which leaves the base as it is, found 'full'"),
        ({"late_stage_weights": True}, "expected method LoRA"),
        ({"eval_every": 2}, "expected eval_every none: texts are written in float32, found 2"),
    ],
)
def test_a_base_in_bf16_is_for_lora_in_bf16(changed: dict, told: str) -> None:
    recipe = {"dtype": "bfloat16", "frozen_bf16": True, **changed}
    with pytest.raises(InputRefused, match=f"^frozen_bf16: {told}.*; leave frozen_bf16 out$"):
        TrainConfig(**recipe)


def test_defaults_depend_on_the_method() -> None:
    assert TrainConfig(method="full").learning_rate == 1e-4
    assert TrainConfig(method="lora").learning_rate == 2e-3
    assert TrainConfig(lr=0.5).learning_rate == 0.5
    assert TrainConfig(rank=7).lora_alpha == 14.0
    assert TrainConfig(rank=7, alpha=3.0).lora_alpha == 3.0
    assert not TrainConfig(late_stage_weights=True).uses_lora


def test_only_fields_that_change_weights_keep_a_run_from_resuming() -> None:
    stored = TrainConfig().as_json()
    assert differing_fields(stored, TrainConfig(resume_every=1.0, eval_every=3).as_json()) == []
    assert differing_fields(stored, TrainConfig(seed=1, lr=0.1).as_json()) == [
        "lr: None -> 0.1",
        "seed: 0 -> 1",
    ]


def test_a_recipe_of_before_a_field_was_there_has_its_default() -> None:
    stored = TrainConfig().as_json()
    del stored["deterministic"], stored["save_at"]
    assert differing_fields(stored, TrainConfig().as_json()) == []
    assert differing_fields(stored, TrainConfig(deterministic=True).as_json()) == [
        "deterministic: False -> True"
    ]
