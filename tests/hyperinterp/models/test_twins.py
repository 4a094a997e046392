"""Two models recorded together: the same as one after the other, to the bit."""

import pytest
import torch

from hyperinterp.models import recorded_together, shared_start

from ..claims.conftest import word_tokenizer
from ..claims.planted import disturb
from ..claims.tiny import changed, tiny

IDS = torch.tensor([[5, 9, 40, 3, 77], [8, 8, 1, 2, 100]])


def blocks_of(hf):
    return hf.base_model.layers if hasattr(hf.base_model, "layers") else hf.base_model.h


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
@pytest.mark.parametrize(("which", "shared"), [(2, 2), (0, 0), (None, 3), ("embedding", 3)])
def test_the_blocks_in_common_run_once(family, which, shared):
    def change(hf):
        if which == "embedding":
            hf.get_input_embeddings().weight.mul_(1.5)
        elif which is not None:
            disturb(blocks_of(hf)[which], 0.3)

    base = tiny(family, word_tokenizer())
    twin = changed(base, change)
    assert shared_start(base, twin) == shared
    ran = []
    handles = [block.register_forward_hook(lambda *_: ran.append(1)) for block in twin.blocks]
    pair = recorded_together(base, twin, IDS, {1, 3}, shared)
    assert len(ran) == (3 if which == "embedding" else 3 - shared)
    for handle in handles:
        handle.remove()
    for model, found in zip((base, twin), pair, strict=True):
        alone = model.record(IDS, {1, 3})
        for index in (1, 3):
            assert torch.equal(found.inputs[index], alone.inputs[index])
        assert torch.equal(model.replay(found, 1), model.replay(alone, 1))


def test_other_settings_or_another_device_share_nothing():
    base = tiny("llama", word_tokenizer())
    other = changed(base, lambda hf: setattr(hf.config, "rms_norm_eps", 0.1))
    assert shared_start(base, other) == 0
