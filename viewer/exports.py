"""Export the images of a file for another program, as volumes, a mesh, a film or a page; the suffix chooses."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps

from mimo import VoxelGrid
from mimo.data import FileError
from mimo.display_defaults import COLOR_MAP, FLOOR_DB
from mimo.options import unknown
from mimo.viewer.export_surface import write_ply
from mimo.viewer.export_volumes import npy_sidecar, write_nifti, write_npy, write_vti, write_vtr
from mimo.viewer.files import images_of_scene
from mimo.viewer.movie import write_gif, write_mp4
from mimo.viewer.projections import to_db
from mimo.viewer.reference import references
from mimo.viewer.standalone import save_html
from mimo.viewer.turntables import turntable

__all__ = ["MOVIES", "SUFFIXES", "export"]

VOLUMES = {".vti": write_vti, ".vtr": write_vtr, ".nii.gz": write_nifti, ".nii": write_nifti, ".npy": write_npy}
MOVIES = {".gif": write_gif, ".mp4": write_mp4}
SUFFIXES = (*VOLUMES, ".ply", *MOVIES, ".html")
"""Suffixes of the formats that `export` writes."""

Progress = Callable[[int, int], None]


def export(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    scene: int = 0,
    methods: Sequence[str] = (),
    linear: bool | None = None,
    floor_db: float = FLOOR_DB,
    common_scale: bool = False,
    levels_db: Sequence[float] = (-10.0,),
    rendering: str = "maximum",
    cmap: str = COLOR_MAP,
    n_frame: int = 48,
    fps: float = 20.0,
    elevation: float = 20.0,
    size: int = 320,
    progress: Progress | None = None,
) -> None:
    """Write one scene of a file in a format for another program, under another name first, then renamed to `out`.

    Parameters
    ----------
    path
        A file with images or a truth.
    out
        File to write; its suffix, one of `SUFFIXES`, chooses the format. An ``.npy`` gets ``OUT.json`` beside it, with
        the grid. Volumes are NaN outside a region that was imaged.
    scene
        Number of the scene, from 0. An ``.html`` page holds all scenes.
    methods
        Names of the images, of which ``truth`` is one; all by default. A ``.ply`` holds one image.
    linear
        Magnitude instead of dB. By default magnitude, in the images' own unit, for volumes, and dB for films.
    floor_db
        Lowest value in dB.
    common_scale
        0 dB is the largest maximum of the chosen images instead of each one's own.
    levels_db
        Levels of the surfaces in a ``.ply``, dB below 0; a film shows the first.
    rendering, cmap, n_frame, elevation, size
        Options of a film: see `mimo.viewer.turntables.turntable`.
    fps
        Frames a second, 1 to 50.
    progress
        Called as ``progress(frames done, frames in all)``.

    Raises
    ------
    ValueError
        When the suffix is not known, the file or an option does not fit, or a package is missing (the message names
        the extra); nothing is written then.
    """
    path, out = Path(path), Path(out)
    suffix = _suffix(out)
    if not (np.isfinite(floor_db) and floor_db < 0):
        raise ValueError(f"floor_db is {floor_db}: expected below 0 dB")
    if cmap not in colormaps:
        raise ValueError(unknown("colour map", cmap, sorted(colormaps)))
    if not 1 <= fps <= 50:
        raise ValueError(f"fps is {fps}: expected 1 to 50 frames a second")
    if not levels_db:
        raise ValueError("levels_db is empty: expected at least one level")
    if suffix == ".html":
        save_html(path, out)
        return
    found = images_of_scene(path, scene, methods)
    grid, volumes, relative = found.grid, found.magnitudes(), found.relative()
    if suffix == ".ply":
        if len(volumes) != 1:
            raise FileError(path, f"a .ply holds one image: choose with --method one of {', '.join(volumes)}")
        ((name, volume),) = volumes.items()
        _put(out, lambda at: write_ply(at, name, volume, grid, levels_db=levels_db, floor_db=floor_db, cmap=cmap))
    elif suffix in MOVIES:
        frames = turntable(
            volumes,
            grid,
            rendering=rendering,
            linear=bool(linear),
            floor_db=floor_db,
            level_db=levels_db[0],
            common_scale=common_scale,
            relative=relative,
            inside=found.inside(),
            cmap=cmap,
            n_frame=n_frame,
            elevation=elevation,
            size=size,
        )
        _put(out, lambda at: MOVIES[suffix](at, _counted(frames, n_frame, progress), fps))
    else:
        facts = {"source": path.name, "scene": scene}
        if linear is False:
            volumes, facts["unit"] = _decibels(volumes, relative, floor_db, common_scale)
        if inside := found.inside():
            volumes |= {name: np.where(part, volumes[name], np.float32(np.nan)) for name, part in inside.items()}
            facts["outside the region"] = "NaN"
        _write_volumes(out, suffix, volumes, grid, {"unit": "linear, in each image's own unit"} | facts)


def _suffix(out: Path) -> str:
    for suffix in SUFFIXES:
        if out.name.lower().endswith(suffix) and len(out.name) > len(suffix):
            return suffix
    raise ValueError(f"{out} ends in {out.suffix!r}: expected one of {', '.join(SUFFIXES)}")


def _decibels(
    volumes: dict[str, npt.NDArray[np.float32]], relative: Collection[str], floor_db: float, common_scale: bool
) -> tuple[dict[str, npt.NDArray[np.float32]], str]:
    """Return the volumes in decibels, and what these are relative to."""
    names = list(volumes)
    zeros = references([n in relative for n in names], [float(volumes[n].max()) for n in names], common=common_scale)
    levels = {n: to_db(volumes[n], zero, floor_db).astype(np.float32) for n, zero in zip(names, zeros, strict=True)}
    alone = [name for name in names if name in relative]
    whose = "the largest" if common_scale and len(alone) < len(names) else "its own"
    but = f" ({', '.join(alone)}: its own)" if whose == "the largest" and alone else ""
    return levels, f"dB of {whose} maximum{but}, {floor_db:g} or more"


def _write_volumes(
    out: Path, suffix: str, volumes: dict[str, npt.NDArray[np.float32]], grid: VoxelGrid, facts: dict[str, Any]
) -> None:
    """Write volumes as the suffix says; a numpy file gets its grid and `facts` beside it."""
    _put(out, lambda at: VOLUMES[suffix](at, volumes, grid, facts))
    if suffix == ".npy":
        text = npy_sidecar(volumes, grid, facts)
        _put(out.with_name(out.name + ".json"), lambda at: at.write_text(text, encoding="utf-8"))


def _put(out: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file of the same suffix in a folder beside `out`, then move the finished file to `out`."""
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        part = Path(folder, "part" + "".join(out.suffixes[-2:] if out.suffix == ".gz" else out.suffixes[-1:]).lower())
        try:
            write(part)
        except ValueError as error:
            raise ValueError(f"{out}: {error}") from error
        os.replace(part, out)


def _counted(frames: Iterable[Any], total: int, progress: Progress | None) -> Iterator[Any]:
    for i, frame in enumerate(frames, start=1):
        yield frame
        if progress is not None:
            progress(i, total)
