import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import MixtralConfig, MixtralForCausalLM

from hyperinterp.errors import InputRefused, UnsupportedModel
from hyperinterp.models import HookedModel
from hyperinterp.training import TrainConfig, targets
from hyperinterp.training.targets import trainable

from .factory import CONFIGS, LAYERS, tiny


@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_late_stage_adapts_every_linear_map_of_the_last_blocks_and_no_other(family: str) -> None:
    model = tiny(family)
    maps = {
        f"{model.anatomy.blocks}.{index}.{path}"
        for index in (LAYERS - 2, LAYERS - 1)
        for path in targets.linear_maps(model.blocks[index])
    }
    with trainable(model, TrainConfig(blocks="last:2", rank=3)) as chosen:
        assert set(chosen.modules) == maps
        shapes = [p.shape for p in model.hf.parameters() if p.requires_grad]
        assert len(shapes) == 2 * len(maps)
        assert all(3 in shape for shape in shapes)
        assert chosen.trainable == sum(shape.numel() for shape in shapes)
        assert chosen.total == sum(p.numel() for p in model.hf.parameters())


@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_lora_reaches_all_blocks(family: str) -> None:
    model = tiny(family)
    with trainable(model, TrainConfig(method="lora", rank=2)) as chosen:
        assert chosen.blocks == tuple(range(LAYERS))
        assert len(chosen.modules) == LAYERS * len(targets.linear_maps(tiny(family).blocks[0]))


def test_full_trains_everything_and_late_stage_weights_only_the_last_blocks() -> None:
    model = tiny("llama")
    total = sum(p.numel() for p in model.hf.parameters())
    with trainable(model, TrainConfig(method="full")) as chosen:
        assert chosen.trainable == chosen.total == total
    with trainable(model, TrainConfig(blocks="last:1", late_stage_weights=True)) as chosen:
        assert chosen.trainable == sum(p.numel() for p in model.blocks[-1].parameters())


def test_leaving_takes_the_adapter_off_and_the_flags_back(llama: HookedModel) -> None:
    llama.hf.get_input_embeddings().weight.requires_grad_(False)
    names = list(dict(llama.hf.named_parameters()))
    before = llama.logits(torch.arange(6)[None])
    with trainable(llama, TrainConfig(blocks="last:1")):
        for name, parameter in llama.hf.named_parameters():
            if "lora_B" in name:
                nn.init.ones_(parameter)
        assert not torch.equal(llama.logits(torch.arange(6)[None]), before)
    assert list(dict(llama.hf.named_parameters())) == names
    assert not any(isinstance(module, LoraLayer) for module in llama.hf.modules())
    assert torch.equal(llama.logits(torch.arange(6)[None]), before)
    assert not llama.hf.get_input_embeddings().weight.requires_grad
    assert llama.blocks[0].self_attn.q_proj.weight.requires_grad


def test_more_blocks_than_there_are_is_refused(llama: HookedModel) -> None:
    with (
        pytest.raises(
            InputRefused, match="blocks: expected at most the model's 4 blocks, found last:5"
        ),
        trainable(llama, TrainConfig(blocks="last:5")),
    ):
        pass


def test_stacked_experts_are_refused_with_the_way_out() -> None:
    config = MixtralConfig(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=2,
    )  # fmt: skip
    model = HookedModel(MixtralForCausalLM(config))
    with (
        pytest.raises(UnsupportedModel, match=r"stacked experts .* train full weights"),
        trainable(model, TrainConfig(blocks="last:1")),
    ):
        pass
    with trainable(model, TrainConfig(blocks="last:1", late_stage_weights=True)) as chosen:
        assert chosen.trainable > 0


def test_nothing_to_train_is_refused(llama: HookedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "linear_maps", lambda _block: {})
    with (
        pytest.raises(UnsupportedModel, match="expected linear maps in the blocks, found none"),
        trainable(llama, TrainConfig(blocks="last:1")),
    ):
        pass
    llama.hf.requires_grad_(False)
    with pytest.raises(UnsupportedModel, match="expected trainable parameters in 1 blocks"):
        targets._counted(llama, (0,), None, ())


def test_an_adapter_outside_the_blocks_is_refused(
    llama: HookedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = targets.lora_config

    def stray(model: HookedModel, config: TrainConfig) -> object:
        made = honest(model, config)
        made.layers_to_transform, made.layers_pattern = None, None
        return made

    monkeypatch.setattr(targets, "lora_config", stray)
    with (
        pytest.raises(UnsupportedModel, match="expected LoRA in blocks 3, found"),
        trainable(llama, TrainConfig(blocks="last:1")),
    ):
        pass
