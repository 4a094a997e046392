"""Hostile configurations, adapters and paths through the front door, as rows that count."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hyperinterp.checkpoints import attaching, bundle, load_checkpoint, manifest, save_checkpoint
from hyperinterp.checkpoints import building as building_module
from hyperinterp.checkpoints.bundle import read_bundle
from tests.hyperinterp.checkpoints.conftest import make_model
from tests.hyperinterp.checkpoints.hostile_configs import (
    ADAPTERS,
    CONFIGS,
    LEFT_OUT,
    TOKENIZERS,
    UNRUN,
    change_adapter,
    change_json,
    copy_foreign,
)
from tests.hyperinterp.checkpoints.trust_rows import outcome

ROOT = Path(__file__).parents[3]
_SOCKET_EVENTS = {"socket.__new__", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}
_sockets: list[str] = []
_hooked: list[bool] = []

# What `auto_map` points at, and how a careless reader runs it.
_EVIL = "open({sentinel!r}, 'w').close()\nfrom transformers import LlamaForCausalLM as Evil\n"
_CARELESS = """
import os, sys
os.environ["HF_MODULES_CACHE"] = sys.argv[2]
from transformers import AutoModelForCausalLM
AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True)
"""
_HANG = """
import os, resource
import peft, torch
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("a" * 40, torch.nn.Linear(2, 2))
used = int(sum(os.times()[:2]))
resource.setrlimit(resource.RLIMIT_CPU, (used + 5, used + 5))
print("starting", flush=True)
peft.get_peft_model(Model(), peft.LoraConfig(target_modules="(a+)+b"))
"""


def _note(event: str, _: object) -> None:
    if event in _SOCKET_EVENTS:
        _sockets.append(event)


@contextmanager
def counted_sockets() -> Iterator[list[str]]:
    """The names of socket calls inside, from the interpreter's audit events."""
    if not _hooked:
        sys.addaudithook(
            lambda event, _: _sockets.append(event) if event in _SOCKET_EVENTS else None
        )
        _hooked.append(True)
    _sockets.clear()
    found: list[str] = []
    try:
        yield found
    finally:
        found += _sockets


@contextmanager
def _what_peft_is_given() -> Iterator[list[str]]:
    """The settings that reach peft inside, as text."""
    honest, given = attaching.LoraConfig, []

    def maker(**settings: Any) -> Any:
        given.append(repr(settings))
        return honest(**settings)

    setattr(attaching, "LoraConfig", maker)  # noqa: B010
    try:
        yield given
    finally:
        setattr(attaching, "LoraConfig", honest)  # noqa: B010


@contextmanager
def _what_is_read() -> Iterator[list[str]]:
    """The configurations that reach transformers inside, as text."""
    honest, read = building_module.read_config, []

    def reader(root: Path) -> Any:
        read.append("".join(path.read_text() for path in sorted(root.glob("*.json"))))
        return honest(root)

    setattr(building_module, "read_config", reader)  # noqa: B010
    try:
        yield read
    finally:
        setattr(building_module, "read_config", honest)  # noqa: B010


def config_rows(made: Path, folder: Path) -> list[dict[str, Any]]:
    """Hostile model and tokenizer configurations beside code that would leave a mark."""
    rows = []
    cases = [("config.json", n, c, True) for n, c in sorted(CONFIGS.items())]
    cases += [("tokenizer_config.json", n, c, True) for n, c in sorted(TOKENIZERS.items())]
    cases += [(file, n, c, False) for n, (file, c) in sorted(LEFT_OUT.items())]
    for number, (file, name, changes, refused) in enumerate(cases):
        place, sentinel = folder / f"config-{number}", folder / f"ran-{number}"
        copy_foreign(made / "whole", place)
        change_json(place / file, changes)
        (place / "evil.py").write_text(_EVIL.format(sentinel=str(sentinel)))
        modules = set(sys.modules)
        with _what_is_read() as read, counted_sockets() as sockets:
            row = outcome(lambda place=place: load_checkpoint(place))
        reached = read if refused else [text for text in read if "evil" in text.lower()]
        rows.append(
            {
                "name": f"{file}: {name}",
                "reached": len(reached),
                "sockets": len(sockets),
                "imports": sum("evil" in module for module in set(sys.modules) - modules),
                "executed": sentinel.exists(),
                "kept": row["refused"] is refused,
                "one_line": True,
                **row,
            }
        )
        shutil.rmtree(place)
    return rows


def config_control(made: Path, folder: Path) -> bool:
    """Positive control: transformers that trusts remote code runs the same file."""
    place, sentinel = folder / "trusting", folder / "control-ran"
    copy_foreign(
        made / "whole", place, auto_map={"AutoModelForCausalLM": "evil.Evil"},
    )  # fmt: skip
    (place / "evil.py").write_text(_EVIL.format(sentinel=str(sentinel)))
    subprocess.run(
        [sys.executable, "-c", _CARELESS, str(place), str(folder / "modules")],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        timeout=300,
        check=False,
    )
    return sentinel.exists()


def adapter_rows(made: Path, folder: Path) -> list[dict[str, Any]]:
    """Hostile adapter configurations, and an honest adapter on another base."""
    rows = []
    cases = [(name, changes, True) for name, changes in sorted(ADAPTERS.items())]
    cases += [(name, changes, False) for name, changes in sorted(UNRUN.items())]
    for number, (name, changes, refused) in enumerate(cases):
        place = folder / f"adapter-{number}"
        change_adapter(made / "adapter", place, **changes)
        with _what_peft_is_given() as given:
            row = outcome(lambda place=place: load_checkpoint(place))
        reached = given if refused else [text for text in given if "(a+)" in text or "evil" in text]
        kept = row["refused"] is refused
        rows.append({"name": name, "reached": len(reached), "kept": kept, "one_line": True, **row})
        shutil.rmtree(place)
    base = load_checkpoint(made / "whole")
    save_checkpoint(make_model(7), base.tokenizer, folder / "other", provenance={})
    row = outcome(lambda: load_checkpoint(made / "adapter", base=folder / "other"))
    return [*rows, {"name": "wrong base", "reached": 0, "kept": row["refused"], **row}]


def adapter_control() -> bool:
    """Positive control: peft itself hangs on the regular expression until its CPU time is over."""
    done = subprocess.run(
        [sys.executable, "-c", _HANG], capture_output=True, text=True, timeout=300, check=False
    )
    return "starting" in done.stdout and done.returncode < 0


def path_cases(made: Path, folder: Path) -> dict[str, Callable[[], Any]]:
    """Ways out of a checkpoint's directory, by name, each made when it is called."""

    def fresh(name: str) -> Path:
        place = folder / name.replace(" ", "-").replace("/", "_") / "m"
        copy_foreign(made / "whole", place)
        return place

    def shard(target: str) -> Any:
        place = fresh(f"shard {target}")
        shutil.move(place / "model.safetensors", place.parent / "secret.safetensors")
        index = {"metadata": {}, "weight_map": {"lm_head.weight": target}}
        (place / "model.safetensors.index.json").write_text(json.dumps(index))
        return load_checkpoint(place)

    def link(name: str) -> Any:
        place = fresh(f"link {name}")
        shutil.move(place / name, place.parent / name)
        (place / name).symlink_to(place.parent / name)
        return load_checkpoint(place)

    def fifo(name: str) -> Any:
        place = fresh(f"fifo {name}")
        (place / name).unlink()
        os.mkfifo(place / name)
        return load_checkpoint(place)

    def listed(name: str) -> Any:
        place = folder / f"listed-{len(name)}" / "m"
        shutil.copytree(made / "whole", place)
        (place.parent / "secret").write_text("x")
        entry = manifest.FileEntry(1, manifest.file_sha256(place.parent / "secret"))
        (place / manifest.MANIFEST_NAME).write_bytes(manifest._serialise({name: entry}, {}))
        return load_checkpoint(place)

    def text(name: str) -> Any:
        path = folder / f"text-{len(name)}.pt"
        found = read_bundle(made / "whole.pt")
        meta = {
            "digests": dict(found.digests),
            "fingerprint": found.fingerprint,
            "provenance": dict(found.provenance),
        }
        with path.open("x+b") as handle:
            bundle.write_bundle(
                handle, kind="whole", tensors=found.tensors,
                texts={**found.texts, name: "x"}, meta=meta,
            )  # fmt: skip
        return load_checkpoint(path)

    shards = ["../secret.safetensors", "/etc/x.safetensors", "a/b.safetensors", "x.bin", ".."]
    texts = ["model.safetensors", "config.json", "tokenizer.json"]
    cases: dict[str, Callable[[], Any]] = {f"shard {s}": lambda s=s: shard(s) for s in shards}
    cases |= {f"link {n}": lambda n=n: link(n) for n in texts}
    cases |= {f"fifo {n}": lambda n=n: fifo(n) for n in ("model.safetensors", "tokenizer.json")}
    cases |= {
        f"manifest {n}": lambda n=n: listed(n)
        for n in ("../secret", "/etc/passwd", "a/../../secret")
    }
    cases |= {
        f"bundle text {n}": lambda n=n: text(n)
        for n in ("../escaped", "/tmp/escaped.json", "evil.py")
    }
    return cases


def path_rows(made: Path, folder: Path) -> list[dict[str, Any]]:
    """Every way out of a checkpoint's directory."""
    rows = [{"name": n, **outcome(act)} for n, act in path_cases(made, folder).items()]
    escaped = sorted(path.name for path in folder.rglob("*escaped*"))
    return [{**row, "escaped": escaped} for row in rows]
