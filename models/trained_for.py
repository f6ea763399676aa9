"""Say what a network was trained for, and how far another acquisition is from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import Acquisition, ArrayGeometry, FrequencySweep, LayeredMedium, VoxelGrid

__all__ = ["acquisition_from_table", "acquisition_table", "differences", "far_from", "far_from_any", "refractive_index"]

FAR = 0.25
"""Relative difference of a length or frequency from which a measurement is said to be far from the training."""


MOST_VOXEL = 3.0
"""Voxel over resolution, and its reciprocal, that networks for any array are trained for (`mimo.train.arrays`)."""


def acquisition_from_table(table: Mapping[str, Any]) -> Acquisition:
    """Undo `acquisition_table`; `ValueError` when an entry is missing."""
    for name in ("tx_pos", "rx_pos", "freq", *"xyz"):
        if name not in table:
            raise ValueError(f"setting.{name} is missing: expected numbers")
    channels, mask = (None if table.get(name) is None else np.array(table[name]) for name in ("channels", "mask"))
    array = ArrayGeometry(np.array(table["tx_pos"]), np.array(table["rx_pos"]), channels, mask=mask)
    grid = VoxelGrid(*(np.array(table[axis]) for axis in "xyz"))
    medium = table.get("permittivity", 1.0) if "layers" not in table else LayeredMedium.parse(table["layers"])
    return Acquisition(array, FrequencySweep(table["freq"]), grid, medium)


def acquisition_table(acquisition: Acquisition) -> dict[str, Any]:
    """Return what a file of weights keeps, as JSON: positions, channels, mask, sweep, axes; metres and hertz."""
    array = acquisition.array
    table: dict[str, Any] = {"tx_pos": array.tx_pos.tolist(), "rx_pos": array.rx_pos.tolist()}
    if array.channels is not None:
        table["channels"] = array.channels.tolist()
    if array.mask is not None:
        table["mask"] = array.mask.tolist()
    axes = {axis: getattr(acquisition.grid, axis).tolist() for axis in "xyz"}
    if acquisition.layers is not None:
        table["layers"] = str(acquisition.layers)
    elif acquisition.permittivity != 1:
        table["permittivity"] = acquisition.permittivity
    return table | {"freq": acquisition.sweep.freq.tolist()} | axes


def differences(ours: Acquisition, theirs: Acquisition) -> list[str]:
    """Return every way in which `theirs` is not `ours`, a text each: to the micrometre and the kilohertz."""
    pairs = (
        ("transmitters", ours.array.tx_pos, theirs.array.tx_pos, 1e-6, "m"),
        ("receivers", ours.array.rx_pos, theirs.array.rx_pos, 1e-6, "m"),
        ("frequencies", ours.sweep.freq, theirs.sweep.freq, 1e3, "Hz"),
        ("voxels along x", ours.grid.x, theirs.grid.x, 1e-6, "m"),
        ("voxels along y", ours.grid.y, theirs.grid.y, 1e-6, "m"),
        ("voxels along z", ours.grid.z, theirs.grid.z, 1e-6, "m"),
    )
    found = [_compare(*pair) for pair in pairs]
    if ours.medium != theirs.medium:
        found.append(f"medium {theirs.medium}, expected {ours.medium}")
    if ours.array.paired is not theirs.array.paired:
        found.append("a list of channels against every pair")
    masks = [array.mask if array.mask is not None else np.True_ for array in (ours.array, theirs.array)]
    if not any(found) and (masks[0] != masks[1]).any():
        found.append("a mask that leaves other channels")
    return [text for text in found if text]


def far_from(ours: Acquisition, theirs: Acquisition) -> list[str]:
    """Return in what `theirs` is far from `ours`, a text each: more than a quarter of a size or frequency."""
    found = []
    for name, size in (("aperture", _aperture), ("distance", _distance), ("cube", _cube), ("voxel", _voxel)):
        trained, now = size(ours), size(theirs)
        if abs(now - trained) > FAR * trained:
            found.append(f"{name} {1e3 * now:.3g} mm, trained at {1e3 * trained:.3g} mm")
    if refractive_index(theirs) < (1 - FAR) * refractive_index(ours) or refractive_index(theirs) > (
        1 + FAR
    ) * refractive_index(ours):
        found.append(f"medium {theirs.medium}, trained in {ours.medium}")
    for name, trained, now in (
        ("lowest frequency", ours.sweep.freq[0], theirs.sweep.freq[0]),
        ("highest frequency", ours.sweep.freq[-1], theirs.sweep.freq[-1]),
    ):
        if abs(now - trained) > FAR * trained:
            found.append(f"{name} {now / 1e9:.3g} GHz, trained at {trained / 1e9:.3g} GHz")
    return found


def far_from_any(voxel_ratio: Sequence[float]) -> list[str]:
    """Return in what voxels are far from a training on many arrays: their size along x, y, z over the resolution."""
    low, high = 1 / (MOST_VOXEL * (1 + FAR)), MOST_VOXEL * (1 + FAR)
    return [
        f"voxels of {ratio:.2g} times the resolution along {axis}, trained at a third to three times"
        for axis, ratio in zip("xyz", voxel_ratio, strict=True)
        if not low <= ratio <= high
    ]


def _compare(
    name: str, ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64], tolerance: float, unit: str
) -> str:
    if len(ours) != len(theirs):
        return f"{len(theirs)} {name}, expected {len(ours)}"
    worst = float(np.abs(ours - theirs).max())
    return f"{name} differ by up to {worst:.3g} {unit}" if worst > tolerance else ""


def refractive_index(acquisition: Acquisition) -> float:
    """Return the refractive index of the medium; of layers, the mean from the array to the middle of the grid."""
    if acquisition.layers is None:
        return float(acquisition.permittivity**0.5)
    antennas = np.concatenate([acquisition.array.tx_pos, acquisition.array.rx_pos])
    return float(acquisition.layers.mean_index([antennas[:, 2].mean()], [acquisition.grid.center[2]])[0, 0])


def _aperture(acquisition: Acquisition) -> float:
    both = np.concatenate([acquisition.array.tx_pos, acquisition.array.rx_pos])
    return float(np.linalg.norm(np.ptp(both, axis=0)))


def _centre(acquisition: Acquisition) -> npt.NDArray[np.float64]:
    return np.array([(axis[0] + axis[-1]) / 2 for axis in (acquisition.grid.x, acquisition.grid.y, acquisition.grid.z)])


def _distance(acquisition: Acquisition) -> float:
    both = np.concatenate([acquisition.array.tx_pos, acquisition.array.rx_pos])
    return float(np.linalg.norm(_centre(acquisition) - both.mean(0)))


def _cube(acquisition: Acquisition) -> float:
    return float(
        np.linalg.norm([axis[-1] - axis[0] for axis in (acquisition.grid.x, acquisition.grid.y, acquisition.grid.z)])
    )


def _voxel(acquisition: Acquisition) -> float:
    sizes = [axis[-1] - axis[0] for axis in (acquisition.grid.x, acquisition.grid.y, acquisition.grid.z)]
    counts = [max(1, n - 1) for n in acquisition.grid.shape]
    return float(np.mean([s / c for s, c in zip(sizes, counts, strict=True)]))
