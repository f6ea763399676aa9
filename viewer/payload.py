"""Prepare the data of the interactive page: facts as JSON, volumes in half precision, the measurement, scores.

A *packet* is a header and a body in one byte string: the header's length (4 bytes, little endian), the header (JSON in
UTF-8, padded with spaces so that the body starts at a multiple of 8), the body. What is wrong with an image is in its
header as ``problem``, so that the other images of a damaged file can still be seen.
"""

from __future__ import annotations

import base64
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry
from mimo.data import FileError, divide_gain, open_measurement, restore_reference_path
from mimo.data.files.reader import MeasurementFile
from mimo.data.history import Curves, History
from mimo.display_defaults import page_defaults, seconds_text
from mimo.recon.metrics import psnr, ssim
from mimo.recon.verdicts import STORED, outdone, summary
from mimo.viewer.color_maps import color_tables
from mimo.viewer.image_names import STD, TRUTH
from mimo.viewer.projections import voxel_edges
from mimo.viewer.reference import is_relative
from mimo.viewer.setup_facts import distinct_names

__all__ = [
    "file_facts",
    "items_of",
    "measurement_packet",
    "packet",
    "page_facts",
    "phase_packet",
    "scores",
    "told",
    "unpack",
    "version_of",
    "volume_packet",
]

MOST_SAMPLES = 2**23  # of a measurement, 64 MiB on the wire
SLAB = 16  # planes of an image that are turned around at once
MOST_COARSE = 2**22  # voxels of an image's first, coarse version
MOST_SCORED = 2**25  # voxels; beyond, PSNR and SSIM would take minutes
ABSENT = "absent"

MOST_CURVES = 12
"""Most curves of a method that the page is given."""


def packet(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Join a header and a body to a packet, whose layout is at the head of this module."""
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-(4 + len(text)) % 8)
    return len(text).to_bytes(4, "little") + text + body


def unpack(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Split a packet into its header and its body."""
    start = 4 + int.from_bytes(data[:4], "little")
    return json.loads(data[4:start]), data[start:]


def version_of(path: Path) -> str:
    """Return a text that changes when the file at `path` is written or replaced; ``absent`` when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ABSENT
    return f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"


def page_facts(paths: list[Path], *, watch: bool = False) -> dict[str, Any]:
    """Return all that the page knows before it asks for a volume, ready for JSON."""
    files = [file_facts(path, name) for path, name in zip(paths, distinct_names(paths), strict=True)]
    return {"files": files, "colors": color_tables(), "watch": watch, "defaults": page_defaults()}


def file_facts(path: Path, name: str = "") -> dict[str, Any]:
    """Return the facts of one file; where it cannot be read, its name, its version and the problem.

    `name` is what the page calls the file, by default its name without folders.
    """
    facts: dict[str, Any] = {"name": name or path.name, "version": version_of(path)}
    try:
        with open_measurement(path) as file:
            return facts | _facts(file)
    except FileError as error:
        return facts | {"problem": told(error, name), "items": [], "n_scene": 0}


def items_of(file: MeasurementFile) -> list[str]:
    """Return the names of a file's images; none without a grid.

    The truth first where it is known, then the methods, each followed by its standard deviation where there is one.
    """
    if file.grid is None:
        return []
    methods = [name + part for name in file.methods for part in ("", STD) if not part or file.has_std(name)]
    return ([TRUTH] if file.has_truth else []) + methods


def _facts(file: MeasurementFile) -> dict[str, Any]:
    array, snr = file.array, file.snr_db
    facts: dict[str, Any] = {
        "n_scene": file.n_scene,
        "items": [
            {
                "name": n,
                "truth": truth,
                "relative": not truth and is_relative(n, file.run(n.removesuffix(STD))["scale"]),
            }
            for n, truth in ((n, file.has_truth and i == 0) for i, n in enumerate(items_of(file)))
        ],
        "tx": array.tx_pos.tolist(),
        "rx": array.rx_pos.tolist(),
        "n_freq": file.sweep.n_freq,
        "band": [float(file.sweep.freq.min()), float(file.sweep.freq.max())],
        "permittivity": float(file.permittivity),
        "paired": array.paired,
        "pairs": array.channel_indices().tolist() if array.paired else None,
        "monostatic": array.paired and _is_monostatic(array),
        "n_channel": array.n_channel,
        "n_pair": array.n_tx * array.n_rx if array.channels is None else len(array.channels),
        "source": file.source,
        "snr_db": None if snr is None else [float(s) if math.isfinite(s) else None for s in snr],
    }
    if file.grid is not None:
        grid = file.grid
        facts["grid"] = {name: getattr(grid, name).tolist() for name in "xyz"}
        facts["edges"] = {name: edge.tolist() for name, edge in voxel_edges(grid).items()}
    if not facts["items"]:
        name = file.path.name
        facts["note"] = f"{name} holds no image yet: mimo reconstruct {name} {file.path.stem}-image.h5 makes one"
    return facts


def _is_monostatic(array: ArrayGeometry) -> bool:
    """Return whether every listed channel transmits and receives at the same place."""
    pairs = array.channel_indices()
    return bool(np.array_equal(array.tx_pos[pairs[:, 0]], array.rx_pos[pairs[:, 1]]))


def _curves(history: Any, scene: int, n_scene: int) -> Curves:
    """Return the curves that a solver recorded of a scene, by name, at most `MOST_CURVES`."""
    found = History.from_json(history, n_scene).curves(scene)
    return dict(list(found.items())[:MOST_CURVES])


def volume_packet(path: Path, item: int, scene: int, *, coarse: bool = False) -> bytes:
    """Return one image in half precision as a packet.

    The body is float16: the magnitude divided by the largest one (``peak`` in the header), x varying fastest, as a 3D
    texture needs it: voxel (i, j, k) is at ``i + n_x (j + n_y k)``. Half precision has 11 bits, 0.004 dB, down to
    -84 dB. The header has ``shape``, ``peak``, and for a method ``seconds``, ``iterations``, ``parameters``,
    ``taken`` (the seconds as text), ``history`` (`mimo.data.history.History.curves`), ``norms`` (of the bound, at which
    a recorded residual is 1, and of the noise, both relative to the measurement's; see `_norms`) and ``belief`` (what
    the image explains, sentences). Where only a region was imaged it has ``inside``: a bit a voxel in the order of the
    body, lowest bit first, in base64.

    `coarse` asks for the first version of a large image: each voxel is the largest of ``cells`` voxels along each axis,
    so many that at most `MOST_COARSE` are left.
    """
    header: dict[str, Any] = {"item": item, "scene": scene}
    try:
        with open_measurement(path) as file:
            name = _item(path, file, item, scene)
            header["name"] = name
            volume, inside, facts = _volume(file, item, name, scene)
    except FileError as error:
        return packet(header | {"problem": told(error)})
    cells = 1
    while coarse and math.prod(-(-n // cells) for n in volume.shape) > MOST_COARSE:
        cells *= 2
    volume = _largest_in_cells(volume, cells)
    if inside is not None:
        bits = np.packbits(_largest_in_cells(inside, cells).transpose(2, 1, 0), axis=None, bitorder="little")
        facts["inside"] = base64.b64encode(bits.tobytes()).decode()
    peak = float(volume.max())
    halves = np.empty(volume.shape[::-1], "<f2")
    for start in range(0, len(volume), SLAB):  # what is turned around at once stays in the cache
        part = slice(start, start + SLAB)
        halves[:, :, part] = np.divide(volume[part], peak or 1.0).astype(np.float16).transpose(2, 1, 0)
    return packet(header | facts | {"shape": list(volume.shape), "peak": peak, "cells": cells}, halves.tobytes())


def _largest_in_cells(volume: npt.NDArray[Any], cells: int) -> npt.NDArray[Any]:
    """Return the largest of `cells` voxels along each axis, or of those that there are at the end."""
    for axis in range(3 if cells > 1 else 0):
        parts = np.moveaxis(volume, axis, 0)
        largest = parts[::cells].copy()
        for first in range(1, cells):
            part = parts[first::cells]
            np.maximum(largest[: len(part)], part, out=largest[: len(part)])
        volume = np.moveaxis(largest, 0, axis)
    return volume


def phase_packet(path: Path, item: int, scene: int) -> bytes:
    """Return the phase of one image as a packet, voxel by voxel as `volume_packet` does, a byte each.

    A byte n stands for the phase 2 pi n / 256; it is 0 where the magnitude is 60 dB or more below the largest. The
    header has ``complex``: whether there is any phase but 0 to show; where not, the body is empty.
    """
    header: dict[str, Any] = {"item": item, "scene": scene, "complex": False}
    try:
        with open_measurement(path) as file:
            name = _item(path, file, item, scene)
            truth = file.has_truth and item == 0
            if name.endswith(STD):
                return packet(header)
            image = file.truth(scene) if truth else file.reconstruction(name, [scene]).image[0]
    except FileError as error:
        return packet(header | {"problem": told(error)})
    if not (np.iscomplexobj(image) and (image.imag != 0).any()) and not (image.real < 0).any():
        return packet(header)
    magnitude = np.abs(image)
    turns = np.rint(np.angle(image) * (256 / (2 * np.pi))).astype(np.int64).astype(np.uint8)
    turns[magnitude <= 1e-3 * magnitude.max()] = 0
    return packet(header | {"complex": True}, np.ascontiguousarray(turns.transpose(2, 1, 0)).tobytes())


def _volume(
    file: MeasurementFile, item: int, name: str, scene: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None, dict[str, Any]]:
    """Return the magnitude ``(n_x, n_y, n_z)`` of an image, which voxels were imaged, and the facts of its caption."""
    if file.has_truth and item == 0:
        return np.abs(file.truth(scene)), None, {}
    made = file.reconstruction(name.removesuffix(STD), [scene])
    told_apart = made.parameters.keys() & STORED
    known = {
        k: v for k, v in made.parameters.items() if k not in told_apart and (not isinstance(v, list) or len(v) <= 8)
    }
    facts = {
        "seconds": float(made.seconds[0]),
        "taken": seconds_text(float(made.seconds[0])) if made.seconds[0] else "",
        "iterations": made.iterations,
        "parameters": json.loads(json.dumps(known, default=str), parse_constant=str),
        "history": _curves(made.history, scene, file.n_scene),
        "norms": _norms(made.parameters, scene),
        "belief": _belief(file, name, made.parameters, scene),
    }
    if name.endswith(STD) and made.std is not None:  # the run is told beside the image
        return made.std[0], made.inside, {}
    return made.magnitude[0], made.inside, facts


def _norms(parameters: dict[str, Any], scene: int) -> dict[str, float]:
    """Return the norms of the bound and of the noise, relative to the measurement's; empty where that is not known.

    A solver records its residual in units of its bound: of the noise's norm, or of `eps` times the measurement's where
    that was stated (without constraint, `splitting`, always of the noise's). Where channels were weighted by how well
    they fit (`loss`), the residual is of the weighted measurement, whose norm nobody knows.
    """
    shares = parameters.get("noise_std_relative")
    if not isinstance(shares, list) or scene >= len(shares) or parameters.get("loss", "squares") != "squares":
        return {}
    noise, eps = shares[scene], parameters.get("eps", "auto")
    stated = isinstance(eps, float) and parameters.get("splitting", "admm") == "admm"
    found = {"bound": eps if stated else noise or 1.0, "noise": noise}
    return {name: float(v) for name, v in found.items()} if found["bound"] > 0 and math.isfinite(noise) else {}


def _belief(file: MeasurementFile, name: str, parameters: dict[str, Any], scene: int) -> list[str]:
    """Return what is known of the credibility of an image, as the page tells it."""
    if not (told := summary(parameters, scene)):
        return []
    missing = outdone({method: file.run(method)["parameters"] for method in file.methods}).get(name, "")
    suspicions = parameters.get("suspicion") or []
    suspicion = suspicions[scene] if scene < len(suspicions) else ""
    return [fact for fact in (*told.split("; "), missing, suspicion) if fact]


def scores(path: Path, item: int, scene: int) -> dict[str, float | None]:
    """Compute PSNR in dB and SSIM of an image; empty where there is no truth, or nothing to compare."""
    try:
        with open_measurement(path) as file:
            name = _item(path, file, item, scene)
            if (
                not file.has_truth
                or item == 0
                or name.endswith(STD)
                or file.grid is None
                or file.grid.n_voxel > MOST_SCORED
            ):
                return {}
            image, truth = file.reconstruction(name, [scene]).image[0], file.truth(scene)
        found = {"psnr": psnr(image, truth), "ssim": ssim(image, truth)}
    except ValueError:  # an image of zeros, or a damaged one: its panel tells
        return {}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def measurement_packet(path: Path, scene: int) -> bytes:
    """Return one scene's measurement as a packet, with gain divided out and removed paths restored.

    The body is complex64, ``(n_freq, n_channel)``. The header has ``freq`` in Hz, ``permittivity``, ``pairs`` (tx and
    rx index of each channel) and ``missing`` (channels that the array's mask leaves out).
    """
    header: dict[str, Any] = {"scene": scene}
    try:
        with open_measurement(path) as file:
            _scene(path, file, scene)
            n = file.sweep.n_freq * file.array.n_channel
            if n > MOST_SAMPLES:
                raise FileError(path, f"measurement/values has {n} samples a scene: at most {MOST_SAMPLES} are shown")
            measurement = file.measurement([scene])
    except FileError as error:
        return packet(header | {"problem": told(error)})
    if measurement.gain is not None:
        measurement = divide_gain(measurement)
    if measurement.reference_path is not None:
        measurement = restore_reference_path(measurement)
    array = measurement.array
    values = measurement.values[0].reshape(measurement.sweep.n_freq, -1)
    every = array.channels if array.channels is not None else np.argwhere(np.ones((array.n_tx, array.n_rx)))
    missing = np.zeros(len(every), bool) if array.mask is None else ~array.mask.ravel()
    header |= {
        "freq": measurement.sweep.freq.tolist(),
        "permittivity": measurement.permittivity,
        "pairs": np.asarray(every).tolist(),
        "missing": np.flatnonzero(missing).tolist(),
        "background": measurement.background is not None,
    }
    return packet(header, np.ascontiguousarray(values, dtype="<c8").tobytes())


def _item(path: Path, file: MeasurementFile, item: int, scene: int) -> str:
    _scene(path, file, scene)
    names = items_of(file)
    if not 0 <= item < len(names):
        raise FileError(path, f"there is no image {item}: expected one of images 0 to {len(names) - 1}")
    return names[item]


def _scene(path: Path, file: MeasurementFile, scene: int) -> None:
    if not 0 <= scene < file.n_scene:
        raise FileError(path, f"there is no scene {scene}: expected one of scenes 0 to {file.n_scene - 1}")


def told(error: FileError, name: str = "") -> str:
    """Return an error's message with the file's name, or another `name`, but not its folders.

    The page may be shown to others.
    """
    name = name or Path(error.path).name
    return str(FileError(name, error.problem)).replace(error.path, name)
