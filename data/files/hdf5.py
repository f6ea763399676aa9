"""Open HDF5 files that may be damaged or hostile, and turn whatever they raise into a clear error."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np

from mimo.data.files.limits import check_size
from mimo.data.files.schema import Field, FileError, UnfitError, check_dtype
from mimo.input_file import irregular

__all__ = [
    "attribute",
    "check_memory",
    "check_shard",
    "dataset",
    "foreign_dataset",
    "guarded",
    "open_hdf5",
    "subgroup",
    "virtual_dataset",
]

# Limits on what a file may declare, so that a hostile one cannot exhaust the memory.
MOST_ELEMENTS = 2**40  # of a dataset
MOST_CHUNK_BYTES = 2**30
MOST_ATTRIBUTE = 2**22  # elements of an attribute
MOST_TEXT_BYTES = 2**28
FREE_BYTES = 2**24  # a dataset up to this size may be stored in any number of bytes
MOST_COMPRESSION = 2**11  # declared over stored bytes of larger ones; deflate reaches about 1030

# What h5py and NumPy raise on mangled files. HDF5's own errors come as OSError, RuntimeError, KeyError or ValueError.
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError)


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn whatever a damaged or wrong file raises into a `FileError` that names the file."""
    try:
        yield
    except FileError:
        raise
    except UnfitError as error:
        raise FileError(path, str(error)) from error
    except MemoryError as error:
        raise FileError(path, f"does not fit in memory ({error}): expected less, read some scenes at a time") from error
    except _DAMAGE as error:
        problem = f"cannot be read, it is damaged ({error}): expected a whole HDF5 file"
        raise FileError(path, problem) from error


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file to read; FileError when it is missing, a folder, unreadable or not a whole HDF5 file."""
    try:
        if not path.exists():
            raise FileError(path, "no such file: expected an HDF5 file")
        if not path.is_file():
            raise FileError(path, f"is {irregular(path)}: expected an HDF5 file")
        with path.open("rb"):
            pass
        # HDF5 looks for the shards of a joined file beside the file's real place
        file = h5py.File(path.resolve(), "r")
    except FileError:
        raise
    except PermissionError as error:
        raise FileError(path, "may not be read (permission denied): expected a readable HDF5 file") from error
    except _DAMAGE as error:
        raise FileError(path, f"is not a whole HDF5 file ({error}): expected an HDF5 file") from error
    try:
        yield file
    finally:
        file.close()


def _linked(group: h5py.Group, name: str, shown: str) -> Any:
    """Return the object `name`, ``None`` when absent; a link to anywhere else is refused before it is followed."""
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        kind = "an external" if isinstance(link, h5py.ExternalLink) else "a soft"
        raise UnfitError(f"{shown} is {kind} link: expected the data in this file")
    return group[name]


def subgroup(parent: h5py.Group, name: str, *, of: str = "") -> h5py.Group | None:
    """Return a group, ``None`` when absent; ValueError when it is a link elsewhere or not a group."""
    found = _linked(parent, name, f"{of}{name}") if name in parent.keys() else None  # noqa: SIM118 - `in group` follows
    if found is not None and not isinstance(found, h5py.Group):
        raise UnfitError(f"{of}{name} is a {type(found).__name__.lower()}: expected a group")
    return found


def dataset(path: Path, parent: h5py.Group, place: str, field: Field, *, name: str = "") -> h5py.Dataset | None:
    """Return the dataset at the path `place` in a group, ``None`` when absent, after all checks but that of the shape.

    Raises
    ------
    ValueError, FileError
        When it is a link elsewhere, not a dataset, of another kind of dtype, kept outside the file, or larger than
        its storage can hold; and when a shard of a virtual dataset is missing or unfit.
    """
    name = name or place
    *groups, last = place.split("/")
    group: h5py.Group | None = parent
    for part in groups:
        group = subgroup(group, part)
        if group is None:
            return None
    found = _linked(group, last, name)
    if found is None:
        return None
    _check_dataset(found, field, name)
    if found.is_virtual:
        _check_shards(path, found, field, name)
    else:
        _check_storage(found, name)
    return found


def virtual_dataset(parent: h5py.Group, place: str) -> h5py.Dataset | None:
    """Return the dataset at the path `place` if it exists and is virtual, else ``None``; shards are not checked."""
    *groups, last = place.split("/")
    group: h5py.Group | None = parent
    for part in groups:
        group = None if group is None else subgroup(group, part)
    found = None if group is None else _linked(group, last, place)
    return found if isinstance(found, h5py.Dataset) and found.is_virtual else None


def foreign_dataset(path: Path, parent: h5py.Group, place: str) -> h5py.Dataset | None:
    """Return a dataset of another program's file, ``None`` when absent, after the checks that need no schema.

    Raises
    ------
    ValueError, FileError
        When it is a link elsewhere, a group, kept outside the file, virtual, empty or larger than its storage can hold,
        or takes more memory than it may.
    """
    *groups, last = place.strip("/").split("/")
    group: h5py.Group | None = parent
    for part in groups:
        group = subgroup(group, part)
        if group is None:
            return None
    found = _linked(group, last, place)
    if found is None:
        return None
    if not isinstance(found, h5py.Dataset):
        held = f", with {', '.join(list(found)[:12]) or 'nothing'}" if isinstance(found, h5py.Group) else ""
        raise UnfitError(f"{place} is a {type(found).__name__.lower()}{held}: expected a dataset")
    if found.shape is None or found.size == 0 or math.prod(found.shape) > MOST_ELEMENTS or found.is_virtual:
        raise UnfitError(f"{place} is empty, virtual or too large: expected numbers in this file")
    _check_storage(found, place)
    check_memory(path, found, place)
    return found


def check_memory(path: Path, found: h5py.Dataset, name: str, n_scene: int | None = None) -> None:
    """Raise `FileError` when a dataset, or so many scenes of it, take more memory than they may."""
    n_bytes = math.prod(found.shape) * found.dtype.itemsize
    if n_scene is not None:
        n_bytes = n_bytes // max(1, found.shape[0]) * n_scene
    check_size(path, name, n_bytes, None if found.is_virtual else found.id.get_storage_size())


def _check_dataset(found: Any, field: Field, name: str) -> None:
    if not isinstance(found, h5py.Dataset):
        raise UnfitError(f"{name} is a {type(found).__name__.lower()}: expected a dataset")
    if found.shape is None:
        raise UnfitError(f"{name} is empty: expected {field.dtype}, {field.meaning}")
    check_dtype(field, found.dtype, name=name)
    if found.size == 0:
        raise UnfitError(f"{name} has shape {found.shape}: expected no empty axis")
    if math.prod(found.shape) > MOST_ELEMENTS:
        raise UnfitError(f"{name} has shape {found.shape}: expected at most 2**40 numbers")
    if field.dtype == "str" and found.dtype.itemsize > MOST_TEXT_BYTES:
        raise UnfitError(f"{name} is {found.dtype.itemsize} bytes long: expected at most {MOST_TEXT_BYTES}")


def _check_storage(found: h5py.Dataset, name: str) -> None:
    """Refuse data outside the file, and a declared size that the stored bytes cannot account for."""
    if found.external:
        raise UnfitError(f"{name} is stored in another file: expected the data in this file")
    itemsize = max(1, found.dtype.itemsize)
    if found.chunks is not None and math.prod(found.chunks) * itemsize > MOST_CHUNK_BYTES:
        raise UnfitError(
            f"{name} has chunks of shape {found.chunks}: expected at most {MOST_CHUNK_BYTES} bytes a chunk"
        )
    stored, declared = found.id.get_storage_size(), math.prod(found.shape) * itemsize
    if declared > FREE_BYTES and declared > MOST_COMPRESSION * stored:
        raise UnfitError(
            f"{name} has shape {found.shape} and {stored} bytes stored: expected the data that it declares"
        )


def _check_shards(path: Path, found: h5py.Dataset, field: Field, name: str) -> None:
    """Refuse a virtual dataset whose shards are outside the file's folder, missing, damaged or of another shape."""
    covered = sum(check_shard(path, found, source, field, name) for source in found.virtual_sources())
    if covered != found.shape[0]:
        raise UnfitError(f"{name} has {found.shape[0]} scenes, its shards hold {covered}: expected every scene once")


def check_shard(path: Path, found: h5py.Dataset, source: Any, field: Field, name: str) -> int:
    """Return how many scenes of a virtual dataset one of its sources holds; UnfitError, FileError when it is unfit."""
    place = PurePosixPath(source.file_name)
    if place.is_absolute() or ".." in place.parts or source.file_name in ("", "."):
        raise UnfitError(f"{name} has its data in {source.file_name!r}: expected a shard in this file's folder")
    start, stop = source.vspace.get_select_bounds()
    scenes = f"scenes {start[0]} to {stop[0]} of {name}"
    shard = path.resolve().parent / place
    if not shard.is_file():
        raise UnfitError(f"{scenes} are in {source.file_name}, which is missing: expected all shards beside the file")
    with open_hdf5(shard) as file, guarded(shard):
        inner = file
        *groups, last = source.dset_name.strip("/").split("/")
        for part in groups:
            inner = subgroup(inner, part)
            if inner is None:
                raise UnfitError(f"{source.dset_name} is missing: expected {scenes} of {path.name}")
        values = _linked(inner, last, source.dset_name)
        if values is None:
            raise UnfitError(f"{source.dset_name} is missing: expected {scenes} of {path.name}")
        _check_dataset(values, field, source.dset_name)
        _check_storage(values, source.dset_name)
        expected = (stop[0] - start[0] + 1, *found.shape[1:])
        if values.is_virtual or values.shape != expected or values.dtype != found.dtype:
            raise UnfitError(
                f"{source.dset_name} has shape {values.shape}, {values.dtype}: "
                f"expected {expected}, {found.dtype}, stored in the shard"
            )
    return int(expected[0])


def attribute(owner: Any, name: str, kind: str) -> Any:
    """Read an attribute as ``string`` (str), ``number`` (float) or ``numbers`` (float64 array); ``None`` when absent.

    Raises
    ------
    ValueError
        When it is of another kind, naming the object and the attribute.
    """
    if owner is None or name not in owner.attrs:
        return None
    shown = f"{(owner.name or '').strip('/')} attribute {name}".strip()
    stored = owner.attrs.get_id(name)
    dtype, shape = stored.dtype, stored.shape
    if math.prod(shape) > MOST_ATTRIBUTE or dtype.itemsize > MOST_TEXT_BYTES:
        raise UnfitError(f"{shown} has shape {shape}, {dtype}: expected a {kind}")
    is_text = h5py.check_string_dtype(dtype) is not None
    fits = dtype.kind in "fiu" and (kind == "numbers" or math.prod(shape) == 1)
    if not (is_text and math.prod(shape) == 1 if kind == "string" else fits):
        raise UnfitError(f"{shown} has dtype {dtype}, shape {shape}: expected a {kind}")
    value = owner.attrs[name]
    if kind == "string":
        text = np.asarray(value).reshape(-1)[0]
        return text if isinstance(text, str) else bytes(text).decode()
    values = np.asarray(value, np.float64)
    if kind == "numbers":
        return values
    if not np.isfinite(values).all():
        raise UnfitError(f"{shown} is {values.reshape(-1)[0]}: expected a finite number")
    return float(values.reshape(-1)[0])
