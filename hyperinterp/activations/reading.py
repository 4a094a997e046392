"""Read a cache back: every field is checked, and the activations stay on disk until used."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from hyperinterp.activations.names import known_site
from hyperinterp.activations.store import ActivationCache, Origin
from hyperinterp.activations.writing import FORMAT, KEY, VERSION
from hyperinterp.checkpoints.screen import parse_json
from hyperinterp.checkpoints.tensorfile import StoredTensor, read_header
from hyperinterp.errors import CorruptFile, InputRefused
from hyperinterp.sites import Site

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_WORDS = ("model", "fingerprint", "text_sha256")


def read_cache(path: str | Path) -> ActivationCache:
    """Return a cache that `ActivationCache.save` wrote, mapped into memory.

    Only what is used is read from the disk; what is written into the tensors stays in memory.

    Args:
        path: the file.

    Raises:
        InputRefused: there is no such file, it is no cache, or one of a later version.
        CorruptFile: truncated, or its header does not agree with its tensors.
        UnsafeFile: a header that is too large.
    """
    path = Path(path)
    if not path.is_file():
        raise InputRefused(
            f"{path}: expected a file that ActivationCache.save wrote, found none; name another"
        )
    stored = read_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = _header(path, file.metadata())
            sites = _sites(path, header, stored)
            tensors = {site: file.get_tensor(site.key) for site in sites}
    except SafetensorError as error:
        raise CorruptFile(f"{path}: not a safetensors file ({error})") from error
    shape = next(iter(tensors.values())).shape
    lengths = _counts(path, header, "lengths", shape[0], least=1)
    positions = _counts(path, header, "positions", shape[1])
    prompts = _counts(path, header, "prompts", shape[0])
    return ActivationCache(tensors, lengths, _origin(path, header), positions, prompts)


def _header(path: Path, metadata: dict[str, str] | None) -> dict[str, Any]:
    told = (metadata or {}).get(KEY)
    if told is None:
        raise InputRefused(
            f"{path}: expected an activation cache, found a safetensors file without its header; "
            "give its tensors to hyperinterp.as_cache"
        )
    header = parse_json(told, f"{path} header")
    if header.get("format") != FORMAT:
        raise InputRefused(
            f"{path}: expected format {FORMAT!r}, found {header.get('format')!r:.80}; "
            "name another file"
        )
    if header.get("version") != VERSION:
        raise InputRefused(
            f"{path}: expected version {VERSION} of the layout, found "
            f"{header.get('version')!r:.80}; read it with the hyperinterp that wrote it"
        )
    return header


def _sites(path: Path, header: dict[str, Any], stored: dict[str, StoredTensor]) -> list[Site]:
    """The sites of the file, each with a tensor of the shape and dtype of the others."""
    keys = header.get("sites")
    if not isinstance(keys, list) or not keys or sorted(map(str, keys)) != sorted(stored):
        raise CorruptFile(f"{path}: its header names other sites than its {len(stored)} tensors")
    sites = [site for key in keys if (site := known_site(key)) is not None and site.key == key]
    if len(sites) != len(keys):
        raise CorruptFile(f"{path}: expected keys of sites, found {keys!r:.80}")
    kinds = {(tensor.dtype, tensor.shape[:2], len(tensor.shape)) for tensor in stored.values()}
    dtype, shape, axes = next(iter(kinds))
    if len(kinds) > 1 or axes != 3 or 0 in shape or _DTYPES.get(dtype) != header.get("dtype"):
        raise CorruptFile(
            f"{path}: expected tensors [prompt position d_model] of one floating dtype, found "
            f"{dtype} {list(next(iter(stored.values())).shape)}"
        )
    return sites


def _counts(
    path: Path, header: dict[str, Any], name: str, count: int, least: int = 0
) -> tuple[int, ...]:
    found = header.get(name)
    if (
        not isinstance(found, list)
        or len(found) != count
        or any(type(item) is not int or not least <= item < 1 << 40 for item in found)
    ):
        raise CorruptFile(
            f"{path}: {name}: expected {count} numbers of {least} or more, found {found!r:.80}"
        )
    return tuple(found)


def _origin(path: Path, header: dict[str, Any]) -> Origin:
    words = {name: header.get(name) for name in _WORDS}
    layers = header.get("n_layers")
    told = all(isinstance(word, str) for word in words.values())
    if not told or not (layers is None or (type(layers) is int and layers > 0)):
        raise CorruptFile(
            f"{path}: expected texts on the model and a number of blocks in its header"
        )
    return Origin(**words, n_layers=layers)  # type: ignore[arg-type]
