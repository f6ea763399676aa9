"""What a reconstructor was trained for: array, sweep and grid, and how far another measurement is from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry, FrequencySweep, ImagingOperator, VoxelGrid

__all__ = ["Setting"]

FAR = 0.25
"""Relative difference of a length or frequency from which a measurement is said to be far from the training."""


@dataclass(frozen=True)
class Setting:
    """Array, sweep and grid."""

    array: ArrayGeometry
    sweep: FrequencySweep
    grid: VoxelGrid

    @classmethod
    def of(cls, operator: ImagingOperator) -> Setting:
        """Return that of an operator."""
        return cls(operator.array, operator.sweep, operator.grid)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Setting:
        """Undo `to_dict`."""
        channels = table.get("channels")
        array = ArrayGeometry(
            np.array(table["tx_pos"]), np.array(table["rx_pos"]), None if channels is None else np.array(channels)
        )
        return cls(array, FrequencySweep(table["freq"]), VoxelGrid(*(np.array(table[axis]) for axis in "xyz")))

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON holds: positions, channels, frequencies and axes, metres and hertz."""
        array = self.array
        table: dict[str, Any] = {"tx_pos": array.tx_pos.tolist(), "rx_pos": array.rx_pos.tolist()}
        if array.channels is not None:
            table["channels"] = array.channels.tolist()
        axes = {axis: getattr(self.grid, axis).tolist() for axis in "xyz"}
        return table | {"freq": self.sweep.freq.tolist()} | axes

    @property
    def n_measurement(self) -> int:
        """Complex numbers in a measurement, those of masked channels included."""
        shape = (self.array.n_channel,) if self.array.paired else (self.array.n_tx, self.array.n_rx)
        return int(self.sweep.n_freq * np.prod(shape))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels ``(n_x, n_y, n_z)``."""
        return self.grid.shape

    def differences(self, other: Setting) -> list[str]:
        """Return every way in which `other` is not this setting, a text each: to the micrometre and the kilohertz."""
        pairs = (
            ("transmitters", self.array.tx_pos, other.array.tx_pos, 1e-6, "m"),
            ("receivers", self.array.rx_pos, other.array.rx_pos, 1e-6, "m"),
            ("frequencies", self.sweep.freq, other.sweep.freq, 1e3, "Hz"),
            ("voxels along x", self.grid.x, other.grid.x, 1e-6, "m"),
            ("voxels along y", self.grid.y, other.grid.y, 1e-6, "m"),
            ("voxels along z", self.grid.z, other.grid.z, 1e-6, "m"),
        )
        found = [_compare(*pair) for pair in pairs]
        if self.array.paired is not other.array.paired:
            found.append("a list of channels against every pair")
        return [text for text in found if text]

    def distance(self, other: Setting) -> list[str]:
        """Return in what `other` is far from this setting, a text each: more than a quarter of a size or frequency."""
        found = []
        for name, size in (("aperture", _aperture), ("distance", _distance), ("cube", _cube), ("voxel", _voxel)):
            ours, theirs = size(self), size(other)
            if abs(theirs - ours) > FAR * ours:
                found.append(f"{name} {1e3 * theirs:.3g} mm, trained at {1e3 * ours:.3g} mm")
        for name, ours, theirs in (
            ("lowest frequency", self.sweep.freq[0], other.sweep.freq[0]),
            ("highest frequency", self.sweep.freq[-1], other.sweep.freq[-1]),
        ):
            if abs(theirs - ours) > FAR * ours:
                found.append(f"{name} {theirs / 1e9:.3g} GHz, trained at {ours / 1e9:.3g} GHz")
        return found


def _compare(
    name: str, ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64], tolerance: float, unit: str
) -> str:
    if len(ours) != len(theirs):
        return f"{len(theirs)} {name}, expected {len(ours)}"
    worst = float(np.abs(ours - theirs).max())
    return f"{name} differ by up to {worst:.3g} {unit}" if worst > tolerance else ""


def _aperture(setting: Setting) -> float:
    both = np.concatenate([setting.array.tx_pos, setting.array.rx_pos])
    return float(np.linalg.norm(np.ptp(both, axis=0)))


def _centre(setting: Setting) -> npt.NDArray[np.float64]:
    return np.array([(axis[0] + axis[-1]) / 2 for axis in (setting.grid.x, setting.grid.y, setting.grid.z)])


def _distance(setting: Setting) -> float:
    both = np.concatenate([setting.array.tx_pos, setting.array.rx_pos])
    return float(np.linalg.norm(_centre(setting) - both.mean(0)))


def _cube(setting: Setting) -> float:
    return float(np.linalg.norm([axis[-1] - axis[0] for axis in (setting.grid.x, setting.grid.y, setting.grid.z)]))


def _voxel(setting: Setting) -> float:
    sizes = [axis[-1] - axis[0] for axis in (setting.grid.x, setting.grid.y, setting.grid.z)]
    counts = [max(1, n - 1) for n in setting.grid.shape]
    return float(np.mean([s / c for s, c in zip(sizes, counts, strict=True)]))
