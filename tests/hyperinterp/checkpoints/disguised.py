"""Hostile files as others name and place them: `.bin`, `.pth`, `.ckpt`, shards, nested tables."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from tests.hyperinterp.checkpoints import hostile
from tests.hyperinterp.checkpoints.conftest import make_model

ADAPTER = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "target_modules": ["q_proj"]}


def text(value: str) -> bytes:
    """A text as protocol 2 writes it."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def honest(**beside: object) -> bytes:
    """The pickle of a nested state dict of one small tensor, and its record."""
    stream = io.BytesIO()
    torch.save({"model": {"x": torch.arange(4.0)}, **beside}, stream)
    with zipfile.ZipFile(stream) as archive:
        return archive.read("archive/data.pkl")


def nested(gadget: bytes) -> bytes:
    """The gadget under the key of a state dict."""
    return b"\x80\x02}(" + text("model") + gadget[2:-1] + text("step") + b"K\x01u."


def beside(gadget: bytes) -> bytes:
    """The gadget beside an honest state dict, where training programs keep their numbers."""
    return honest()[:-1] + text("args") + gadget[2:-1] + b"s."


def zipped(pickled: bytes) -> bytes:
    """A zip file with the record of the honest state dict."""
    record = {"archive/data/0": torch.arange(4.0).numpy().tobytes()}
    return hostile.as_zip(pickled, members=record)


CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "zip": zipped,
    "legacy": hostile.as_legacy,
    "tar": hostile.as_tar,
    "raw": lambda pickled: pickled,
    "nested zip": lambda pickled: zipped(nested(pickled)),
    "nested legacy": lambda pickled: hostile.as_legacy(nested(pickled)),
    "beside a state dict": lambda pickled: zipped(beside(pickled)),
}


def _alone(suffix: str) -> Callable[[Path, bytes], Path]:
    def place(folder: Path, content: bytes) -> Path:
        _model_texts(folder)
        (folder / f"weights{suffix}").write_bytes(content)
        return folder / f"weights{suffix}"

    return place


def _single(folder: Path, content: bytes) -> Path:
    _model_texts(folder)
    (folder / "pytorch_model.bin").write_bytes(content)
    return folder


def _shard(folder: Path, content: bytes) -> Path:
    """An honest first shard, a hostile second one."""
    _model_texts(folder)
    names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    torch.save({"x": torch.arange(4.0)}, folder / names[0])
    (folder / names[1]).write_bytes(content)
    index = {"metadata": {}, "weight_map": {"x": names[0], "y": names[1]}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


def _adapter(folder: Path, content: bytes) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps(ADAPTER))
    (folder / "adapter_model.bin").write_bytes(content)
    return folder


def _model_texts(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(make_model().config.to_dict()))


PLACES: dict[str, Callable[[Path, bytes], Path]] = {
    **{suffix: _alone(suffix) for suffix in (".bin", ".pth", ".ckpt", ".pt", ".pkl")},
    "pytorch_model.bin": _single,
    "a shard": _shard,
    "adapter_model.bin": _adapter,
}


def write_all(root: Path, every: int = 1) -> Iterator[tuple[str, Path, Path]]:
    """Every gadget in every container at every place: (name, what to open, sentinel)."""
    names = list(hostile.gadgets(root / "probe"))
    number = 0
    for container, wrap in CONTAINERS.items():
        for place, put in PLACES.items():
            for gadget in names:
                number += 1
                if number % every:
                    continue
                folder, sentinel = root / str(number), root / f"fired-{number}"
                folder.mkdir()
                content = wrap(hostile.gadgets(sentinel)[gadget])
                yield f"{gadget} in {container} as {place}", put(folder, content), sentinel


def hostile_file(opened: Path) -> Path:
    """The one file of what `write_all` made that holds the gadget."""
    if opened.is_file():
        return opened
    return sorted(opened.glob("*model*.bin"))[-1]


def explosions() -> dict[str, bytes]:
    """State dicts that hang or explode a careless reader, or lie about what they hold."""
    ours = {
        name: content[: -len(hostile.seal_of(content))] + b"\0\0"
        for name, content in hostile.explosions().items()
        if name != "bare state_dict"
    }
    body = honest()
    doubled = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60))
    legacy = io.BytesIO()
    torch.save({"x": torch.arange(4.0)}, legacy, _use_new_zipfile_serialization=False)
    claimed = (1 << 40).to_bytes(8, "little")
    four = (4).to_bytes(8, "little")
    big = b"\x8a\x06" + (1 << 40).to_bytes(6, "little")
    views = {str(n): torch.arange(2.0**16).reshape(1, -1)[:1] for n in range(1)}
    whole = torch.zeros(1 << 18)
    views |= {f"view {n}": whole[:] for n in range(64)}
    stream = io.BytesIO()
    torch.save(views, stream)
    return {
        **ours,
        "tuple as a key": zipped(b"\x80\x02})" + doubled + b"K\x01s."),
        "half a million lists": zipped(b"\x80\x02" + b"](" * 300_000 + b"e" * 300_000 + b"."),
        "storage beyond the record": zipped(body.replace(b"K\x04tq", big + b"tq", 1)),
        "record of another length": hostile.as_zip(body, members={"archive/data/0": b"\0" * 8}),
        "no record": hostile.as_zip(body),
        "legacy storage beyond the file": legacy.getvalue().replace(four, claimed),
        "legacy pickle beyond the file": legacy.getvalue().replace(b"K\x04N", big + b"N"),
        "legacy cut short": legacy.getvalue()[:-1],
        "legacy with a tail": legacy.getvalue() + b"\0",
        "many views of everything": stream.getvalue(),
        "something before the zip": b"PK\x03\x04" + zipped(body),
        "something after the zip": zipped(body) + b"\0" * 22,
        "high byte first": hostile.as_zip(body).replace(b"little", b"great!"),
        "negative stride": zipped(body.replace(b"K\x01\x85", b"J\xff\xff\xff\xff\x85")),
        "hooks": zipped(body.replace(b")Rq", b")R(X\x01\0\0\0hNuq", 2)),
        "attributes of a state dict": zipped(b"\x80\x02ccollections\nOrderedDict\n)R}"
                                             + text("keys") + b"K\x01sb."),
        "no state dict": zipped(pickle.dumps({"step": 3}, protocol=2)),
        "numpy scalar": zipped(beside(b"\x80\x02cnumpy.core.multiarray\nscalar\n)R.")),
        "empty": b"",
        "only zeros": b"\0" * 4096,
        "web page": b"<!DOCTYPE html><html></html>",
        "pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "GGUF": b"GGUF\3\0\0\0" + b"\0" * 16,
    }  # fmt: skip
