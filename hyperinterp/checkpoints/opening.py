"""One door for every kind of checkpoint: from a `Source` to screened, staged files."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hyperinterp.checkpoints import builtin, ggufcache, hub
from hyperinterp.checkpoints.bundle import stage_bundle
from hyperinterp.checkpoints.folders import is_checkpoint
from hyperinterp.checkpoints.manifest import file_sha256
from hyperinterp.checkpoints.places import within
from hyperinterp.checkpoints.source import Source, resolve
from hyperinterp.checkpoints.staging import Stored, stage_directory
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
        return _open_hub(source, stack)
    if source.kind == "builtin":
        return _open_builtin(source, stack)
    path = source.path
    if path is None:
        raise InputRefused(
            f"{source.name}: a checkpoint of kind {source.kind} needs a path; give one"
        )
    if source.kind in ("directory", "adapter"):
        return stack.enter_context(stage_directory(source, path, above=source.above))
    if source.kind == "bundle":
        return stack.enter_context(stage_bundle(source, path))
    if source.kind == "gguf":
        return _open_gguf(source, path, stack)
    return _open_single(source, path, stack)


def _open_gguf(source: Source, path: Path, stack: contextlib.ExitStack) -> Stored:
    try:
        return stack.enter_context(stage_directory(source, ggufcache.find_converted(path)))
    except CorruptFile as error:
        digest = file_sha256(path)
        if str(ggufcache.cached(digest)) not in str(error):
            raise
        ggufcache.drop(digest)
        return stack.enter_context(stage_directory(source, ggufcache.find_converted(path)))


def _open_hub(source: Source, stack: contextlib.ExitStack) -> Stored:
    folder, top = hub.fetch(str(source.repository), source.revision, source.subfolder)
    if not is_checkpoint(folder):
        raise InputRefused(
            f"{source.name}: expected config.json or adapter_config.json there, found none; name "
            f"the folder of the repository that has one: {source.repository}:FOLDER"
        )
    above = None if folder == top else top
    return stack.enter_context(stage_directory(source, folder, above=above))


def _open_builtin(source: Source, stack: contextlib.ExitStack) -> Stored:
    model = builtin.BUILTINS[source.name]
    if model.terms:
        source = replace(source, notes=(*source.notes, model.terms))
    for attempt in (1, 2):
        folder = builtin.find_builtin(source.name)
        if folder is None:
            break
        try:
            stored = stack.enter_context(stage_directory(source, folder))
            return replace(stored, provenance={"model": source.name, **stored.provenance})
        except CorruptFile:
            if attempt == 2 or not model.paths():
                raise
            builtin.drop_builtin(source.name)
    if model.hub_id is None or not builtin.hub_allowed():
        raise model.refuse_missing()
    try:
        folder, _ = hub.fetch(model.hub_id, None)
    except InputRefused as error:
        raise model.refuse_missing() from error
    return stack.enter_context(stage_directory(source, folder))


def _open_single(source: Source, path: Path, stack: contextlib.ExitStack) -> Stored:
    """Weights alone: config and tokenizer are those of `like`, or lie beside the file."""
    real, folder = within(path.parent, path), path.parent
    like = source.like
    if like is not None:
        note = f"Config and tokenizer of {source.name} are those of {like} (--like)."
        source = replace(source, notes=(*source.notes, note))
        folder = _texts_of(resolve(like), stack)
    elif not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise InputRefused(f"{path}: holds an adapter's weights; name its directory, {folder}")
        raise InputRefused(
            f"{path}: expected config.json beside it, found none; name a checkpoint with the same "
            "config and tokenizer: --like CKPT (in Python like=)"
        )
    return stack.enter_context(stage_directory(source, folder, weights=real))


def _texts_of(like: Source, stack: contextlib.ExitStack) -> Path:
    """A folder with the config and tokenizer of a whole model; its weights are not looked at."""
    if like.kind == "directory" and like.path is not None:
        return like.path
    if like.kind == "hub":
        return hub.fetch(str(like.repository), like.revision, like.subfolder)[0]
    if like.kind in ("builtin", "gguf", "bundle", "safetensors"):
        stored = _open(like, stack)
        if stored.adapter is None:
            return stored.root
    raise InputRefused(
        f"{like.name}: --like takes a whole model with its config, found "
        f"{'an adapter' if like.kind != 'state_dict' else 'a file of weights alone'}; name the "
        "directory that the model was loaded from"
    )
