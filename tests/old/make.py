"""Tiny models and adapters as older transformers and peft leave them, kept as test data.

    python -m tests.old.make PYTHON NAME

PYTHON is an interpreter that has torch and the versions in question, for example one made by

    python3.11 -m venv /tmp/old && /tmp/old/bin/pip install torch transformers==4.44.2 peft==0.12.0

NAME becomes `tests/old/NAME.tar.xz`. What that version does not know is named in its facts.json.
"""

import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import torch

from tests.hyperinterp.families import FAMILIES, NEWER, VARIANTS, VOCAB, spec, word_tokenizer

HERE = Path(__file__).parent
PICKLED = {"opt", "xglm", "gpt_neox", "bloom"}
"""Families that this data holds as pytorch_model.bin, as their published repositories do."""
CAUSAL = {"task_type": "CAUSAL_LM"}
ADAPTERS: dict[str, dict[str, Any]] = {
    "plain": CAUSAL,
    "no task type": {},
    "pattern of targets": CAUSAL
    | {"target_modules": r".*layers\.\d+\.(self_attn|mlp)\.(q|v|up)_proj"},
    "all linear": CAUSAL | {"target_modules": "all-linear"},
    "some layers": CAUSAL | {"layers_to_transform": [1, 2]},
    "rank pattern": CAUSAL | {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 6}},
    "rank by a pattern": CAUSAL | {"rank_pattern": {r".*\.1\..*q_proj": 2}},
    "rsLoRA": CAUSAL | {"use_rslora": True},
    "DoRA": CAUSAL | {"use_dora": True},
    "biases": CAUSAL | {"bias": "lora_only"},
    "embedding": CAUSAL | {"target_modules": ["embed_tokens", "q_proj"]},
    "head saved": CAUSAL | {"modules_to_save": ["lm_head"]},
}


def described() -> dict[str, Any]:
    """Everything that the older interpreter has to write."""
    generator = torch.Generator().manual_seed(5)
    models = {}
    for name in [*FAMILIES, *VARIANTS, *NEWER]:
        kind, config = spec(name)
        models[name] = {"kind": kind, "config": config, "pickled": name in PICKLED}
    ids = torch.randint(3, VOCAB, (2, 12), generator=generator).tolist()
    return {"models": models, "adapters": ADAPTERS, "ids": ids}


def packed(folder: Path, archive: Path) -> None:
    """One archive whose bytes depend on the files alone."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
        return info

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz", preset=9) as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=plain)
    archive.write_bytes(content.getvalue())


def main(python: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as where:
        root = Path(where)
        word_tokenizer().save_pretrained(root / "tokenizer")
        wanted = described() | {"tokenizer": str(root / "tokenizer" / "tokenizer.json")}
        (root / "spec.json").write_text(json.dumps(wanted))
        command = [python, str(HERE / "_write.py"), str(root / "spec.json"), str(root / "out")]
        subprocess.run(command, check=True)
        packed(root / "out", HERE / f"{name}.tar.xz")
        facts = json.loads((root / "out" / "facts.json").read_text())
        print(facts["versions"], "left out:", *facts["left_out"])


if __name__ == "__main__":
    main(*sys.argv[1:])
