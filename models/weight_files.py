"""Read and write the weights of a network with the configuration that builds it, as safetensors files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from mimo.data.files.limits import check_size
from mimo.input_file import refuse_irregular, whole_input
from mimo.output_file import replacing

__all__ = ["EXPECTED", "WEIGHTS", "check_network", "find_weights", "load_description", "load_weights", "save_weights"]

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the weights that ship."""
FORMAT = "mimo-imaging-weights"
VERSION = 1
EXPECTED = "weights that `mimo train` writes"
TABLES = ("method", "network", "setting", "data", "runs", "spread")
"""Entries of a configuration that are tables, where they are there."""


def find_weights(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the file of shipped weights of that name, or the path itself when it names a file.

    Raises
    ------
    FileNotFoundError
        When there is neither; the message lists the names that ship.
    """
    path = Path(name_or_path)
    shipped = WEIGHTS / f"{name_or_path}.safetensors"
    if path.suffix != ".safetensors" and shipped.is_file():
        return shipped
    if path.is_file():
        return path
    names = ", ".join(sorted(p.stem for p in WEIGHTS.glob("*.safetensors"))) or "none"
    raise FileNotFoundError(f"no weights {str(name_or_path)!r}: neither a file nor one of those that ship ({names})")


def save_weights(
    path: str | os.PathLike[str], state: Mapping[str, torch.Tensor], config: Mapping[str, Any], *, half: bool = False
) -> None:
    """Write tensors and the configuration that builds their network, beside the target and then renamed.

    Parameters
    ----------
    path
        The file, by convention ``*.safetensors``.
    state
        Name to tensor.
    config
        What can be said in JSON; stored in the file's metadata.
    half
        Store float32 as float16, half the size.
    """
    if half:
        state = {name: value.half() if value.dtype == torch.float32 else value for name, value in state.items()}
    metadata = {"format": FORMAT, "version": str(VERSION), "config": json.dumps(config, sort_keys=True)}
    _replace(Path(path), save({k: v.detach().cpu().contiguous() for k, v in state.items()}, metadata=metadata))


def load_weights(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_weights` wrote; float16 comes back as float32.

    Raises
    ------
    ValueError
        When the file is truncated, is not safetensors, or has no configuration of this project or a newer one; the
        message names the file.
    """
    with _opened(path) as file:
        config = _description(path, file.metadata() or {})
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    return {name: value.float() if value.dtype == torch.float16 else value for name, value in state.items()}, config


def load_description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the configuration that a file of weights holds, without its tensors; errors as `load_weights`."""
    with _opened(path) as file:
        return _description(path, file.metadata() or {})


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    with whole_input(path, EXPECTED):
        refuse_irregular(path, EXPECTED)
        try:
            with safe_open(str(path), framework="pt") as file:
                yield file
        except SafetensorError as error:
            raise ValueError(f"{path}: not a whole safetensors file ({error})") from error


def _description(path: str | os.PathLike[str], metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration in the metadata, whose tables are tables."""
    if metadata.get("format") != FORMAT or "config" not in metadata:
        raise ValueError(f"{path}: safetensors without the metadata format = {FORMAT!r} and config, written by train")
    if not metadata.get("version", "").isdecimal() or int(metadata["version"]) > VERSION:
        raise ValueError(f"{path}: weights of version {metadata.get('version')}, this program reads up to {VERSION}")
    try:
        config = json.loads(metadata["config"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its configuration is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: its configuration is {str(config)[:60]!r}: expected tables")
    for name in TABLES:
        if name in config and not isinstance(config[name], dict):
            raise ValueError(f"{path}: {name} is {str(config[name])[:60]!r}: expected a table")
    return config


def check_network(path: str | os.PathLike[str], n_weight: float) -> None:
    """Refuse a description whose network, of `n_weight` weights at least, is far larger than the file that fills it.

    Raises
    ------
    mimo.data.FileError
        The message says the size, the limit and what lifts it.
    """
    check_size(path, "the network that it describes", int(4 * n_weight), os.stat(path).st_size)


def _replace(path: Path, content: bytes) -> None:
    """Write beside the target and rename."""
    with replacing(path) as part:
        part.write_bytes(content)
