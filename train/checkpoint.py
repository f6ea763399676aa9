"""Read and write checkpoints, from which a training run resumes exactly. Nothing is ever unpickled."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mimo.cache import as_text
from mimo.input_file import refuse_irregular

__all__ = ["CHECKPOINT", "load_checkpoint", "save_checkpoint"]

CHECKPOINT = "checkpoint.pt"
"""Name of the checkpoint in the folder of a run."""
KINDS: dict[str, type] = {"config": dict, "model": dict, "ema": dict, "optimizer": dict, "step": int}
"""What every checkpoint holds."""


def save_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and dicts of those, beside the target and then renamed."""
    temporary = path.with_name(path.name + ".part")
    torch.save(dict(checkpoint), temporary)
    temporary.replace(path)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint with ``weights_only=True``.

    Raises
    ------
    FileNotFoundError
        When there is none.
    ValueError
        When the file cannot be read; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    _check_archive(path)
    try:
        checkpoint = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises whatever its reader met
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not a readable checkpoint ({type(error).__name__}: {said})") from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path}: the checkpoint is a {type(checkpoint).__name__}: expected a table")
    missing = KINDS.keys() - checkpoint.keys()
    if missing:
        raise ValueError(f"{path}: the checkpoint has no {', '.join(sorted(missing))}")
    for name, kind in KINDS.items():
        if not isinstance(checkpoint[name], kind) or isinstance(checkpoint[name], bool):
            given = f"a {type(checkpoint[name]).__name__}"
            raise ValueError(f"{path}: {name} is {given}: expected {'a table' if kind is dict else 'a whole number'}")
    for name in ("model", "ema"):
        for key, tensor in checkpoint[name].items():
            if not isinstance(key, str) or not isinstance(tensor, torch.Tensor):
                raise ValueError(f"{path}: {name}[{str(key)[:60]!r}] is no tensor: expected names and tensors")
    return checkpoint


def _check_archive(path: Path) -> None:
    """Refuse an archive whose parts are compressed: torch stores them as they are, so one that expands is not its."""
    refuse_irregular(path, "a checkpoint of `mimo train`")
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(part.file_size for part in archive.infolist())
    except Exception as error:  # of a damaged directory
        raise ValueError(f"{path}: not a readable checkpoint ({error})") from error
    n_stored = path.stat().st_size
    if n_bytes > n_stored:
        raise ValueError(
            f"{path}: not a readable checkpoint, its {as_text(n_stored)} expand to {as_text(n_bytes)}: expected an "
            "archive that is not compressed, as torch writes it"
        )
