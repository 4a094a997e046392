"""Hostile files: pickles that would run code, and files that hang or explode when they are read."""

import builtins
import io
import json
import os
import pickle
import struct
import subprocess
import tarfile
import timeit
import zipfile
from pathlib import Path

import torch

from hyperinterp.checkpoints.bundle import seal
from hyperinterp.checkpoints.zipscreen import TRAILER


class _Call:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class _Later:
    """A callable named by module and attribute, pickled as a GLOBAL without being imported."""

    def __init__(self, module, name):
        self.module, self.name = module, name


def _raw(module, name, *arguments):
    """A protocol-2 pickle that calls `module.name(*arguments)`."""
    body = b"".join(pickle.dumps(a, protocol=2)[2:-1] for a in arguments)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + body + b"tR."


def gadgets(sentinel: Path) -> dict[str, bytes]:
    """Pickles that each create `sentinel` when they are loaded without care."""
    s = str(sentinel)
    code = f"open({s!r}, 'w').close()"
    script = sentinel.with_suffix(".script.py")
    script.write_text(code)
    shell = f"touch {s}"
    calls = {
        "os.system": _Call(os.system, shell),
        "os.popen": _Call(os.popen, shell),
        "subprocess.call": _Call(subprocess.call, ["touch", s]),
        "subprocess.check_output": _Call(subprocess.check_output, ["touch", s]),
        "builtins.eval": _Call(eval, f"open({s!r}, 'w')"),
        "builtins.exec": _Call(exec, code),
        "builtins.open": _Call(builtins.open, s, "w"),
        "os.mkdir": _Call(os.mkdir, s),
        "os.symlink": _Call(os.symlink, "/dev/null", s),
        "timeit.timeit": _Call(timeit.timeit, code, "pass", timeit.default_timer, 1),
        "pickle.loads": _Call(pickle.loads, _raw("builtins", "exec", code)),
        "zipfile.ZipFile": _Call(zipfile.ZipFile, s, "w"),
        "tarfile.open": _Call(tarfile.open, s, "w"),
    }
    found = {name: pickle.dumps(call, protocol=2) for name, call in calls.items()}
    found.update(
        {
            "shutil.copyfile": _raw("shutil", "copyfile", "/etc/hostname", s),
            "runpy.run_path": _raw("runpy", "run_path", str(script)),
            "cProfile.run": _raw("cProfile", "run", code),
            "profile.run": _raw("profile", "run", code),
            "sqlite3.connect": _raw("sqlite3", "connect", s),
            "gzip.open": _raw("gzip", "open", s, "wb"),
            "logging.FileHandler": _raw("logging", "FileHandler", s),
            "pdb.run": _raw("bdb", "Bdb.run", code),
            "torch.save": _raw("torch.serialization", "save", {}, s),
            "code.interact": _raw("code", "compile_command", "1"),
            "numpy.savetxt": _raw("numpy", "savetxt", s, [1.0]),
            "bytearray.write_text": _raw("_pyio", "open", s, "w"),
        }
    )
    for inert in ("pdb.run", "code.interact"):  # need a bound object: left out of the count
        del found[inert]
    return found


def as_zip(pickled: bytes, *, sealed: bool = False, members: dict[str, bytes] | None = None):
    """A torch-style zip around a pickle; `sealed` gives it a valid digest like our bundles."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for name, content in (members or {}).items():
            archive.writestr(name, content)
        archive.writestr("archive/version", "3\n")
    if sealed:
        seal(stream)
    return stream.getvalue()


def as_legacy(pickled: bytes) -> bytes:
    """torch's format before zip: magic number, protocol, system, object, storage keys."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = [0x1950A86A20F9469CFC6C, 1001, system]
    return b"".join(pickle.dumps(h, protocol=2) for h in head) + pickled + pickle.dumps([])


def as_tar(pickled: bytes) -> bytes:
    """torch's oldest format."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in (
            ("storages", pickle.dumps(0, protocol=2)),
            ("tensors", pickle.dumps(0, protocol=2)),
            ("pickle", pickled),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


CONTAINERS = {
    "zip": as_zip,
    "sealed": lambda p: as_zip(p, sealed=True),
    "legacy": as_legacy,
    "tar": as_tar,
    "raw": lambda p: p,
}


def write_pickles(folder: Path) -> list[tuple[str, Path, Path]]:
    """Every gadget in every container: (name, file, sentinel)."""
    written = []
    for container, wrap in CONTAINERS.items():
        for number, name in enumerate(gadgets(folder / "probe")):
            sentinel = folder / f"fired-{container}-{number}"
            path = folder / f"{container}-{number}.pt"
            path.write_bytes(wrap(gadgets(sentinel)[name]))
            written.append((f"{name} in {container}", path, sentinel))
    return written


def payload(tensors) -> dict:
    """The top level of a bundle around some tensors."""
    return {
        "format": "hyperinterp-bundle",
        "format_version": "1",
        "kind": "whole",
        "meta": json.dumps({"digests": {}, "fingerprint": "", "provenance": {}}),
        "texts": {"config.json": "{}"},
        "tensors": tensors,
    }


def saved(value) -> bytes:
    """`torch.save` of anything, sealed like a bundle."""
    stream = io.BytesIO()
    torch.save(value, stream)
    seal(stream)
    return stream.getvalue()


def _patched_numel(data: bytes) -> bytes:
    """A storage record of 4 floats whose pickle claims 2**40."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pickled = archive.read("archive/data.pkl")
        record = archive.read("archive/data/0")
    # BINPERSID tuple ends with the number of elements: K\x04 (BININT1 4)
    claimed = b"\x8a\x06" + (1 << 40).to_bytes(6, "little")
    return as_zip(
        pickled.replace(b"K\x04tq", claimed + b"tq", 1),
        sealed=True,
        members={"archive/data/0": record},
    )


def _bomb() -> bytes:
    stream = io.BytesIO()
    pickled = pickle.dumps({}, protocol=2)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", b"\0" * (256 << 20))
    seal(stream)
    return stream.getvalue()


def _overlap() -> bytes:
    """Sixty-four members that all point at the same bytes."""
    data = bytearray(as_zip(b"\x80\x02}.", members={f"archive/data/{i}": b"x" for i in range(64)}))
    start, position = 0, data.find(b"PK\x01\x02")
    while position >= 0:
        data[position + 42 : position + 46] = struct.pack("<I", start)
        position = data.find(b"PK\x01\x02", position + 4)
    stream = io.BytesIO(bytes(data))
    seal(stream)
    return stream.getvalue()


def explosions() -> dict[str, bytes]:
    """Sealed bundles that hang or explode a careless reader."""
    doubled = b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(60))
    hashes = b"\x80\x02})" + doubled + b"K\x01s."
    giant = torch.zeros(1).expand(1 << 20, 1 << 20)
    sparse = torch.sparse_coo_tensor(
        torch.tensor([[1 << 40]]), torch.ones(1), (1 << 41,), check_invariants=False
    )
    good = saved(payload({"x": torch.arange(4.0)}))
    return {
        "tuple-hash": as_zip(hashes, sealed=True),
        "stride-0 giant": saved(payload({"x": giant})),
        "deflate bomb": _bomb(),
        "huge bytearray": as_zip(
            b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\x10\x85R.", sealed=True
        ),
        "200k-deep list": as_zip(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".", sealed=True),
        "200k-deep tuple": as_zip(b"\x80\x02)" + b"\x85" * 200_000 + b".", sealed=True),
        "sparse tensor": saved(payload({"x": sparse})),
        "storage beyond the file": _patched_numel(good),
        "overlapping members": _overlap(),
        "huge long": as_zip(b"\x80\x02\x8b\xff\xff\xff\x7f" + b"\1" * 64 + b".", sealed=True),
        "huge memo index": as_zip(b"\x80\x02}r\xff\xff\xff\x7f.", sealed=True),
        "many set items": as_zip(
            b"\x80\x02}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(500_000))
            + b"u.", sealed=True
        ),
        "no tensors": saved(payload({})),
        "view into a larger storage": saved(payload({"x": torch.zeros(1000)[10:20]})),
        "complex dtype": saved(payload({"x": torch.zeros(4, dtype=torch.complex64)})),
        "quantised tensor": as_zip(b"\x80\x02ctorch._utils\n_rebuild_qtensor\n)R.", sealed=True),
        "whole nn.Module": saved(torch.nn.Linear(2, 2)),
        "bare state_dict": saved(torch.nn.Linear(2, 2).state_dict()),
    }  # fmt: skip


def header_file(length: int, text: bytes, data: bytes = b"") -> bytes:
    """A safetensors file with any declared header length."""
    return struct.pack("<Q", length) + text + data


def hostile_safetensors() -> dict[str, bytes]:
    """Safetensors files whose headers lie."""

    def entry(**changes):
        fields = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}
        text = json.dumps({"x": fields}).encode()
        return header_file(len(text), text, b"\0" * 8)

    deep = b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    twice = b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},' * 1
    twice += b'"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    return {
        "header of 2**63 bytes": header_file(1 << 63, b"{}"),
        "header beyond the file": header_file(1 << 20, b"{}"),
        "deep header": header_file(len(deep), deep),
        "empty": b"",
        "not JSON": header_file(4, b"\xff\xfe{}"),
        "shape of 2**60": entry(shape=[1 << 60]),
        "negative offset": entry(data_offsets=[-8, 0]),
        "offset beyond the end": entry(data_offsets=[0, 1 << 40], shape=[1 << 38]),
        "gap": entry(data_offsets=[4, 12]),
        "unknown dtype": entry(dtype="PICKLE"),
        "repeated name": header_file(len(twice), twice, b"\0" * 8),
        "boolean shape": entry(shape=[True, 2]),
        "trailing bytes": entry() + b"\0" * 64,
    }


def seal_of(content: bytes) -> bytes:
    """The end of a sealed file: the length of its comment and the comment."""
    return content[content.rindex(TRAILER) - 2 :]
