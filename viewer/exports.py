"""Export the images of a file for another program, as volumes, a mesh, points, depth, a film or a page."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps

from mimo.data import FileError
from mimo.display_defaults import COLOR_MAP, FLOOR_DB
from mimo.options import unknown
from mimo.output_file import OutputError, refuse_inputs, replacing
from mimo.recon.depth_maps import DEPTHS, depth_map
from mimo.viewer.export_points import (
    DEPTH_WRITERS,
    POINT_WRITERS,
    columns_of_depth,
    columns_of_volume,
    depth_sidecar,
)
from mimo.viewer.export_surface import SURFACE_WRITERS
from mimo.viewer.export_volumes import npy_sidecar, write_mat, write_nifti, write_npy, write_vti, write_vtr
from mimo.viewer.files import SceneImages, images_of_scene
from mimo.viewer.movie import write_gif, write_mp4
from mimo.viewer.projections import to_db
from mimo.viewer.reference import references
from mimo.viewer.standalone import save_html
from mimo.viewer.turntables import turntable

__all__ = ["CONTENTS", "MOVIES", "SUFFIXES", "export"]

VOLUMES = {
    ".vti": write_vti,
    ".vtr": write_vtr,
    ".nii.gz": write_nifti,
    ".nii": write_nifti,
    ".npy": write_npy,
    ".mat": write_mat,
}
COMPLEX = (".vti", ".vtr", ".npy", ".mat")
MOVIES = {".gif": write_gif, ".mp4": write_mp4}
CONTENTS = {
    "volume": tuple(VOLUMES),
    "surface": tuple(SURFACE_WRITERS),
    "points": tuple(POINT_WRITERS),
    "depth": (*DEPTH_WRITERS, *POINT_WRITERS),
    "film": tuple(MOVIES),
    "page": (".html",),
}
"""What a file can hold, and the suffixes of its formats; the first content of a suffix is its default."""
SUFFIXES = tuple(dict.fromkeys(suffix for suffixes in CONTENTS.values() for suffix in suffixes))
"""Suffixes of the formats that `export` writes."""

Progress = Callable[[int, int], None]


def export(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    scene: int = 0,
    methods: Sequence[str] = (),
    content: str | None = None,
    linear: bool | None = None,
    complex_values: bool | None = None,
    floor_db: float = FLOOR_DB,
    common_scale: bool = False,
    levels_db: Sequence[float] = (-10.0,),
    depth: str = "first",
    viewpoint: tuple[float, float, float] | None = None,
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
        Names of the images, of which ``truth`` is one; all by default. Surfaces, points and depth are of one image.
    content
        What to write, one of `CONTENTS`; by default what the suffix stands for: the volumes, a surface for ``.ply``,
        ``.stl`` and ``.obj``, points for ``.pcd`` and ``.csv``.
    linear
        Magnitude instead of dB. By default magnitude, in the images' own unit, for volumes, and dB for films.
    complex_values
        Complex values of the volumes, where an image has them; by default for ``.mat`` alone.
    floor_db
        Lowest value in dB, and of the colours of surfaces and points.
    common_scale
        0 dB is the largest maximum of the chosen images instead of each one's own.
    levels_db
        Levels of the surfaces, dB below 0; a film shows the first, and no point or depth is weaker than the first.
    depth, viewpoint
        Of a depth map: see `mimo.recon.depth_maps.depth_map`.
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
    content = _content(suffix, content)
    refuse_inputs(out, [path])
    refuse_inputs(out.with_name(out.name + ".json"), [path])
    if not (np.isfinite(floor_db) and floor_db < 0):
        raise ValueError(f"floor_db is {floor_db}: expected below 0 dB")
    if cmap not in colormaps:
        raise ValueError(unknown("colour map", cmap, sorted(colormaps)))
    if not 1 <= fps <= 50:
        raise ValueError(f"fps is {fps}: expected 1 to 50 frames a second")
    if not levels_db:
        raise ValueError("levels_db is empty: expected at least one level")
    if depth not in DEPTHS:
        raise ValueError(unknown("depth", depth, DEPTHS))
    if complex_values and (content != "volume" or suffix not in COMPLEX):
        raise ValueError(f"{out} holds no complex numbers: expected a volume as {', '.join(COMPLEX)}")
    if complex_values and linear is not None:
        raise ValueError("complex values are neither magnitudes nor dB: expected one of the three")
    if suffix == ".html":
        save_html(path, out)
        return
    found = images_of_scene(path, scene, methods)
    grid, volumes, relative = found.grid, found.magnitudes(), found.relative()
    facts: dict[str, Any] = {"source": path.name, "scene": scene}
    if content in ("surface", "points", "depth"):
        if len(volumes) != 1:
            what = {"surface": "a surface is", "points": "points are", "depth": "a depth map is"}[content]
            raise FileError(path, f"{what} of one image: choose with --method one of {', '.join(volumes)}")
        ((name, volume),) = volumes.items()
    if content == "surface":
        write = SURFACE_WRITERS[suffix]
        _put(out, lambda at: write(at, name, volume, grid, levels_db=levels_db, floor_db=floor_db, cmap=cmap))
    elif content == "points":
        values, inside = found.values()[name], found.inside().get(name)
        columns = columns_of_volume(name, values, grid, level_db=levels_db[0], inside=inside)
        _put(out, lambda at: POINT_WRITERS[suffix](at, columns, floor_db, cmap))
    elif content == "depth":
        seen = depth_map(volume, grid, levels_db[0], depth=depth, viewpoint=viewpoint)
        columns = columns_of_depth(name, seen)
        if suffix in POINT_WRITERS:
            _put(out, lambda at: POINT_WRITERS[suffix](at, columns, floor_db, cmap))
        else:
            facts |= {"image": name, "unit": "m", "reflection": depth, "level_db": levels_db[0]}
            _put(out, lambda at: DEPTH_WRITERS[suffix](at, seen, facts))
            if suffix == ".npy":
                _put_beside(out, depth_sidecar(seen, facts))
    elif content == "film":
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
        if complex_values or (complex_values is None and linear is None and suffix == ".mat"):
            volumes, unit = _complex(path, found, strict=bool(complex_values)), "complex, in each image's own unit"
        elif linear is False:
            volumes, unit = _decibels(volumes, relative, floor_db, common_scale)
        else:
            unit = "linear, in each image's own unit"
        facts["unit"] = unit
        if inside_of := found.inside():
            volumes = dict(volumes)
            for name, part in inside_of.items():
                volumes[name] = np.where(part, volumes[name], volumes[name].dtype.type(np.nan))
            facts["outside the region"] = "NaN"
        _put(out, lambda at: VOLUMES[suffix](at, volumes, grid, facts))
        if suffix == ".npy":
            _put_beside(out, npy_sidecar(volumes, grid, facts))


def _suffix(out: Path) -> str:
    for suffix in SUFFIXES:
        if out.name.lower().endswith(suffix) and len(out.name) > len(suffix):
            return suffix
    raise ValueError(f"{out} ends in {out.suffix!r}: expected one of {', '.join(SUFFIXES)}")


def _content(suffix: str, content: str | None) -> str:
    """Return what the file is to hold; ``ValueError`` when its format cannot hold that."""
    if content is None:
        return next(name for name, suffixes in CONTENTS.items() if suffix in suffixes)
    if content not in CONTENTS:
        raise ValueError(unknown("content", content, CONTENTS))
    if suffix not in CONTENTS[content]:
        raise ValueError(f"{suffix} holds no {content}: expected one of {', '.join(CONTENTS[content])}")
    return content


def _complex(path: Path, found: SceneImages, *, strict: bool) -> dict[str, npt.NDArray[Any]]:
    """Return the images' values; FileError when `strict` and none of them has a phase."""
    values = found.values()
    if strict and not any(np.iscomplexobj(volume) for volume in values.values()):
        raise FileError(path, f"{', '.join(values)}: magnitudes without phases: expected an image of complex values")
    return values


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


def _put_beside(out: Path, text: str) -> None:
    """Write what an ``.npy`` cannot hold to the JSON file beside it."""
    with replacing(out.with_name(out.name + ".json")) as part:
        part.write_text(text, encoding="utf-8")


def _put(out: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside `out`, of the same suffix, then move the finished file to `out`."""
    with replacing(out, ending=_suffix(out)) as part:
        try:
            write(part)
        except OutputError:
            raise
        except ValueError as error:
            raise ValueError(f"{out}: {error}") from error


def _counted(frames: Iterable[Any], total: int, progress: Progress | None) -> Iterator[Any]:
    for i, frame in enumerate(frames, start=1):
        yield frame
        if progress is not None:
            progress(i, total)
