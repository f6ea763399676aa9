"""Decide what becomes of the images that a file to be written holds already.

No image is lost without being named: images of other methods stay, one that was made with the same options is not made
again, and one that would be replaced, or belongs to another measurement, needs the word of the user.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimo._values import same_arrays
from mimo.data import FileError, Measurement, Reconstruction, open_measurement, save, to_json
from mimo.recon.belief import TOO_FEW
from mimo.recon.registry import FILES, find_method

__all__ = ["Plan", "images_meanwhile", "plan_of", "version_of"]


@dataclass
class Plan:
    """Says what is made, and what stays in the file.

    Attributes
    ----------
    images
        Every image that the file will hold, by method; those that are made are put in as they are finished.
    todo
        Methods to run, as they were given.
    skipped
        Methods whose images are there already, made with the same options.
    replaced
        Methods whose images are there and are made anew.
    carried
        Methods whose images stay in the file and were not asked for.
    made
        The new images.
    """

    images: dict[str, Reconstruction]
    todo: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    carried: list[str] = field(default_factory=list)
    made: list[Reconstruction] = field(default_factory=list)


def plan_of(
    out: Path,
    source: Path,
    measurement: Measurement,
    images: Mapping[str, Reconstruction],
    methods: Mapping[str, Mapping[str, Any]],
    *,
    medium: Mapping[str, Any],
    inside: npt.NDArray[np.bool_] | None,
    check: str,
    overwrite: bool,
) -> Plan:
    """Decide what to make and what to keep, before any work.

    Parameters
    ----------
    out, source
        The file to write, which may exist or be the source, and the file that is reconstructed.
    measurement, images
        What is written: the measurement, and the images of the source that are carried over.
    methods
        Options of each method to run, by its name.
    medium
        Parameters that the medium adds to those of an image.
    inside
        Voxels of the region, or ``None``.
    check
        How new images are checked: an image without the share of data held out is made again to find it.
    overwrite
        Whether images that are there may be replaced.

    Raises
    ------
    mimo.data.FileError
        When an image would be lost and `overwrite` is not set.
    """
    there: dict[str, Reconstruction] = {}
    if out.exists() and out.samefile(source):
        there = dict(images)
        with open_measurement(source) as file:
            lost = [name for name in file.methods if name not in images]
        if lost and not overwrite:
            raise FileError(
                out,
                f"holds images on another grid, or made before the background was subtracted ({', '.join(lost)}): "
                "expected another OUT, or --overwrite to drop them",
            )
    elif out.exists():
        there = _images_of(out, measurement, overwrite)
    plan = Plan({**images, **there})
    clashes = []
    for name, options in methods.items():
        chosen = find_method(name)
        old = there.get(chosen.name)
        if old is None:
            plan.todo.append(name)
            continue
        wanted = {**chosen.options, **options}
        same = _same_run(old, wanted, medium, inside) and not name.endswith(tuple(FILES))
        again = bool(old.parameters.get("interrupted")) or (same and check == "held-out" and _not_held_out(old))
        if same and not overwrite and not again:
            plan.skipped.append(chosen.name)
            continue
        if not (overwrite or again):
            clashes.append(f"{chosen.name} ({_difference(old, wanted)})")
        plan.todo.append(name)
        plan.replaced.append(chosen.name)
    if clashes:
        raise FileError(
            out,
            f"holds an image of the same method: {', '.join(clashes)}; expected another OUT, or "
            "--overwrite to replace it",
        )
    asked = {find_method(name).name for name in methods}
    plan.carried = [name for name in there if name not in asked]
    return plan


def version_of(path: Path) -> tuple[int, ...] | None:
    """Return what changes whenever a file is written; ``None`` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def images_meanwhile(
    out: Path,
    measurement: Measurement,
    images: Mapping[str, Reconstruction],
    ours: set[str],
    *,
    overwrite: bool,
) -> dict[str, Reconstruction]:
    """Return the images that another run wrote to a file after this run looked at it, so that they stay.

    Of the methods `ours`, which this run makes, its own images stay. Where the file now holds another measurement, this
    run's images are kept in a file beside it.

    Raises
    ------
    mimo.data.FileError
        When the file holds another measurement and `overwrite` is not set; names the file with this run's images.
    """
    try:
        there = _images_of(out, measurement, overwrite)
    except FileError as error:
        beside = out.with_name(f"{out.stem}-{os.getpid()}{out.suffix}")
        save(beside, measurement, reconstructions=list(images.values()))
        raise FileError(out, f"was written meanwhile by another run; the images of this one are in {beside}") from error
    return {name: image for name, image in there.items() if name not in ours}


def _images_of(out: Path, measurement: Measurement, overwrite: bool) -> dict[str, Reconstruction]:
    """Return the images of a file that is in the way, if it holds the same measurement."""
    try:
        with open_measurement(out) as file:
            if _same_measurement(file.measurement(), measurement):
                return {name: file.reconstruction(name) for name in file.methods}
            held = f"holds another measurement or grid, and images of {', '.join(file.methods) or 'no method'}"
    except FileError as error:
        if not overwrite:
            raise FileError(out, f"{error.problem}; expected another OUT, or --overwrite to replace it") from error
        return {}
    if not overwrite:
        raise FileError(out, f"{held}: expected another OUT, or --overwrite to replace it")
    return {}


def _same_measurement(a: Measurement, b: Measurement) -> bool:
    if (a.array, a.sweep, a.grid, a.permittivity) != (b.array, b.sweep, b.grid, b.permittivity):
        return False
    names = ("values", "gain", "reference_path")
    return all(same_arrays(getattr(a, name), getattr(b, name)) for name in names)


def _not_held_out(old: Reconstruction) -> bool:
    """Say whether a second run would find what an image says of data held out, and nobody has made one."""
    shares = old.parameters.get("explained_held_out") or [None]
    return None in shares and old.parameters.get("held_out_unknown") != TOO_FEW


def _same_run(
    old: Reconstruction,
    wanted: Mapping[str, Any],
    medium: Mapping[str, Any],
    inside: npt.NDArray[np.bool_] | None,
) -> bool:
    """Say whether an image was made with these options, in this medium and region, by these sums."""
    if any(callable(value) or isinstance(value, torch.Tensor) for value in wanted.values()):
        return False
    around = {name: old.parameters.get(name) for name in ("pattern", "layers", "sums")}
    stated = {name: medium.get(name) for name in ("pattern", "layers", "sums")}
    return not _changed(old, wanted) and around == stated and same_arrays(old.inside, inside)


def _changed(old: Reconstruction, wanted: Mapping[str, Any]) -> list[str]:
    """Return the names of the options whose values are others than those that an image was made with."""
    plain = {
        name: value for name, value in wanted.items() if not callable(value) and not isinstance(value, torch.Tensor)
    }
    told = json.loads(to_json("options", plain))
    return [name for name, value in told.items() if old.parameters.get(name) != value]


def _difference(old: Reconstruction, wanted: Mapping[str, Any]) -> str:
    """Say in words how an image that is there was made differently."""
    changed = _changed(old, wanted)
    if not changed:
        return "in another medium or region, by other sums, or with a function or file that may differ"
    return ", ".join(f"{name} {old.parameters.get(name)!r}, now {wanted[name]!r}" for name in changed)
