"""One door for every kind of checkpoint: from a `Source` to screened, staged files."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from hyperinterp.checkpoints import builtin, hub
from hyperinterp.checkpoints.bundle import stage_bundle
from hyperinterp.checkpoints.gguf import convert_gguf
from hyperinterp.checkpoints.source import Source
from hyperinterp.checkpoints.staging import Stored, private_directory, stage_directory
from hyperinterp.checkpoints.tensorfile import within
from hyperinterp.errors import CorruptFile, InputRefused


@contextlib.contextmanager
def open_source(source: Source) -> Iterator[Stored]:
    """Screen and stage a checkpoint; the staged files last as long as the `with` block.

    Raises:
        InputRefused: The files cannot be used; its subclasses say why.
    """
    with contextlib.ExitStack() as stack:
        yield _open(source, stack)


def _open(source: Source, stack: contextlib.ExitStack) -> Stored:
    if source.kind == "hub":
        folder = hub.fetch(source.name, source.revision)
        return stack.enter_context(stage_directory(source, folder))
    if source.kind == "builtin":
        return _open_builtin(source, stack)
    path = source.path
    if path is None:
        raise InputRefused(f"{source.name}: a checkpoint of kind {source.kind} needs a path")
    if source.kind in ("directory", "adapter"):
        return stack.enter_context(stage_directory(source, path))
    if source.kind == "bundle":
        return stack.enter_context(stage_bundle(source, path))
    if source.kind == "gguf":
        folder = stack.enter_context(private_directory()) / "converted"
        convert_gguf(path, folder, provenance={"from": path.name})
        return stack.enter_context(stage_directory(source, folder))
    return _open_single(source, path, stack)


def _open_builtin(source: Source, stack: contextlib.ExitStack) -> Stored:
    for attempt in (1, 2):
        folder = builtin.find_builtin()
        if folder is None:
            break
        try:
            return stack.enter_context(stage_directory(source, folder))
        except CorruptFile:
            if attempt == 2 or builtin.packaged_gguf() is None:
                raise
            builtin.drop_builtin()
    if not builtin.hub_allowed():
        raise builtin.refuse_missing()
    try:
        folder = hub.fetch(builtin.HUB_ID, None)
    except InputRefused as error:
        raise builtin.refuse_missing() from error
    return stack.enter_context(stage_directory(source, folder))


def _open_single(source: Source, path: Path, stack: contextlib.ExitStack) -> Stored:
    folder = path.parent
    if not (folder / "config.json").is_file():
        raise InputRefused(f"{path}: expected config.json beside it, found none in {folder}")
    real = within(folder, path)
    return stack.enter_context(stage_directory(source, folder, weights=real))
