"""Writing models and adapters as directories that plain transformers and peft load as they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperinterp.checkpoints.adapters import check_base_name, screen_adapter_config
from hyperinterp.checkpoints.building import check_finite, library_versions, quiet_transformers
from hyperinterp.checkpoints.files import translate_io_errors
from hyperinterp.checkpoints.manifest import write_directory
from hyperinterp.errors import InputRefused


def save_checkpoint(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase | None,
    out: str | Path,
    *,
    provenance: Mapping[str, Any],
    force: bool = False,
    state: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a whole model as a `save_pretrained` directory with a manifest.

    Args:
        model: A plain transformers model (merge or detach adapters first).
        tokenizer: Saved beside it; None leaves it out.
        out: The directory to create.
        provenance: JSON facts for the manifest; library versions are added.
        force: Exchange an existing checkpoint directory.
        state: The tensors to write, where the model's own are spread over processes.

    Raises:
        InputRefused: `out` exists, or the model has live adapters.
        NumericalFault: A weight is NaN or infinite: such a model is never saved as good.
        OutOfResources: The disk is full.
    """
    if isinstance(model, PeftModel) or getattr(model, "_hf_peft_config_loaded", False):
        raise InputRefused(f"{out}: the model has a live adapter; use save_adapter, or merge it")
    check_finite(model if state is None else state, str(out))
    given: Any = {} if state is None else {"state_dict": dict(state)}

    def writer(partial: Path) -> None:
        with quiet_saving(out):
            model.save_pretrained(partial, push_to_hub=False, **given)
            if tokenizer is not None:
                tokenizer.save_pretrained(partial)
        finish_permissions(partial)

    return write_directory(out, writer, provenance=_with_versions(provenance), force=force)


def save_adapter(
    peft_model: PeftModel,
    tokenizer: PreTrainedTokenizerBase | None,
    out: str | Path,
    *,
    provenance: Mapping[str, Any],
    force: bool = False,
    state: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a LoRA adapter as a PEFT directory with a manifest.

    Args:
        peft_model: Holds exactly one adapter, named `default`.
        tokenizer: Saved beside it; None leaves it out.
        out: The directory to create.
        provenance: JSON facts; must hold `base_name` (what `resolve` understands) and
            `base_fingerprint` (the base's `Checkpoint.fingerprint`).
        force: Exchange an existing checkpoint directory.
        state: The adapter's tensors, where the model's own are spread over processes.

    Raises:
        InputRefused: `out` exists, a required fact is missing, or the adapter is of a kind that
            we would refuse to read.
        NumericalFault: A weight is NaN or infinite.
        OutOfResources: The disk is full.
    """
    base_name, base_print = provenance.get("base_name"), provenance.get("base_fingerprint")
    if not isinstance(base_name, str) or not isinstance(base_print, str):
        raise InputRefused(
            "save_adapter: provenance needs base_name and base_fingerprint; add both"
        )
    if list(peft_model.peft_config) != ["default"]:
        found = ", ".join(peft_model.peft_config)
        raise InputRefused(
            f"{out}: expected exactly one adapter named 'default', found {found}; delete the others"
        )
    check_base_name(base_name)
    check_finite(peft_model if state is None else state, str(out))
    given: Any = {} if state is None else {"state_dict": dict(state)}

    def writer(partial: Path) -> None:
        with quiet_saving(out):
            peft_model.save_pretrained(
                str(partial), safe_serialization=True, save_embedding_layers=False, **given
            )
            if tokenizer is not None:
                tokenizer.save_pretrained(partial)
        (partial / "README.md").unlink(missing_ok=True)
        _settle_config(partial / "adapter_config.json", base_name)
        finish_permissions(partial)

    return write_directory(out, writer, provenance=_with_versions(provenance), force=force)


def quiet_saving(out: str | Path) -> Any:
    """`quiet_transformers`, with errors of the disk told apart from errors of the model."""
    return _QuietSaving(Path(out))


class _QuietSaving:
    def __init__(self, out: Path) -> None:
        self._io = translate_io_errors(out)
        self._quiet = quiet_transformers(str(out))

    def __enter__(self) -> None:
        self._quiet.__enter__()
        self._io.__enter__()

    def __exit__(self, *error: Any) -> None:
        try:
            self._io.__exit__(*error)
        except BaseException as translated:
            self._quiet.__exit__(type(translated), translated, translated.__traceback__)
            raise
        self._quiet.__exit__(*error)


def finish_permissions(folder: Path) -> None:
    """Give every file the permissions that the user's umask allows (safetensors writes 0600)."""
    probe = folder / ".umask-probe"
    probe.touch()
    mode = probe.stat().st_mode & 0o777
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _settle_config(path: Path, base_name: str) -> None:
    """Name the base, drop the mapping that only untyped tasks need, and check our own schema."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config.update(base_model_name_or_path=base_name, auto_mapping=None)
    config["inference_mode"] = True
    screen_adapter_config(config)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _with_versions(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {"versions": library_versions(), **provenance}
