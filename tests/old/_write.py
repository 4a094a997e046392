"""Write tiny models and adapters with whatever transformers and peft run it: `_write.py SPEC OUT`.

Imports nothing of this repository: an older interpreter runs it. SPEC is the JSON that `make.py`
makes. Every folder gets the files that `save_pretrained` of that version leaves, and the logits
that it computed for fixed ids.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

LEVELS = 8


def drawn(model, seed):
    """Random weights of few distinct values, so that many models fit into a small archive."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            steps = torch.randint(-LEVELS, LEVELS + 1, parameter.shape, generator=generator)
            centre = 1.0 if bool((parameter == 1).all()) else 0.0
            parameter.copy_(centre + steps / (4.0 * LEVELS))
    return model.float().eval()


def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits.float()


def write_model(name, spec, tokenizer, ids, folder):
    config = AutoConfig.for_model(spec["kind"], **spec["config"])
    model = drawn(AutoModelForCausalLM.from_config(config), seed=0)
    model.save_pretrained(folder, safe_serialization=not spec["pickled"])
    tokenizer.save_pretrained(folder)
    save_file({"logits": logits_of(model, ids).contiguous()}, folder / "logits.safetensors")


def write_adapter(name, settings, base, tokenizer, ids, folder):
    from peft import LoraConfig, get_peft_model

    model = AutoModelForCausalLM.from_pretrained(base)
    given = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], **settings}
    adapted = get_peft_model(model, LoraConfig(**given)).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                steps = torch.randint(-LEVELS, LEVELS + 1, parameter.shape, generator=generator)
                parameter.add_(steps / (8.0 * LEVELS))
    adapted.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "base"}))
    save_file({"logits": logits_of(adapted, ids).contiguous()}, folder / "logits.safetensors")


def main(spec_path, out):
    spec = json.loads(Path(spec_path).read_text())
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=spec["tokenizer"], unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    ids = torch.tensor(spec["ids"])
    out, left = Path(out), {}
    base = None
    jobs = [(f"model {k}", write_model, v) for k, v in spec["models"].items()]
    jobs += [(f"adapter {k}", write_adapter, v) for k, v in spec["adapters"].items()]
    for number, (name, write, given) in enumerate(jobs):
        folder = out / f"{number:02d}"
        folder.mkdir(parents=True)
        if name == "model llama":
            base = folder
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if write is write_model:
                    write_model(name, given, tokenizer, ids, folder)
                else:
                    write_adapter(name, given, base, tokenizer, ids, folder)
        except Exception as error:  # a family or an option that this version does not know
            left[name] = (
                f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
            )
            shutil.rmtree(folder)
            continue
        (folder / "name.txt").write_text(name)
    import peft

    versions = {"transformers": transformers.__version__, "peft": peft.__version__}
    facts = {"versions": versions, "ids": spec["ids"], "left_out": left}
    (out / "facts.json").write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main(*sys.argv[1:])
