"""Describe how a scene is measured: everything that the phases and amplitudes of a measurement depend on."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimo._values import frozen_array, same_arrays
from mimo.array import ArrayGeometry
from mimo.grid import VoxelGrid
from mimo.layers import LayeredMedium
from mimo.pattern import AntennaPattern, Patterns, both_sides
from mimo.sweep import FrequencySweep
from mimo.voxels import Voxels

__all__ = ["Acquisition", "medium_of"]

Medium = float | LayeredMedium
"""A homogeneous medium's relative permittivity, or a medium in layers."""


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Holds array, sweep, grid and medium of a measurement: one value that operators, files and networks pass around.

    Acquisitions are equal, and have the same hash, when all their numbers are equal.

    Parameters
    ----------
    array, sweep, grid
        Antennas, frequencies and voxels.
    medium
        Relative permittivity of a homogeneous medium, or a `LayeredMedium` crossed by straight rays.
    pattern
        Amplitude of the antennas over direction; see `mimo.pattern`. ``None``: the same in every direction.
    reference_path
        float64, shape ``array.measurement_shape``, metres; ``None`` for zero. Path length already removed from the
        phase of each channel, which is then ``-k (P_t + P_r - reference_path)``. Metres of the homogeneous medium; with
        layers, of free space.
    inside
        bool, ``grid.shape``: the voxels that can hold anything, as `mimo.region` makes them; ``None`` for all. Sums run
        over these alone, and images are 0 elsewhere.

    Raises
    ------
    ValueError, TypeError
        When an argument does not fit the array; the message names it.

    Examples
    --------
    >>> array = ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3)
    >>> grid = VoxelGrid.from_extent(x=(-0.15, 0.15, 25), y=(-0.15, 0.15, 25), z=(0.35, 0.65, 49))
    >>> acquisition = Acquisition(array, FrequencySweep.linear(4e9, 16e9, 15), grid)
    >>> acquisition.measurement_shape, acquisition.grid.shape
    ((15, 12, 13), (25, 25, 49))
    >>> acquisition.replace(medium=2.5).permittivity
    2.5
    """

    array: ArrayGeometry
    sweep: FrequencySweep
    grid: VoxelGrid
    medium: Medium = 1.0
    pattern: Patterns = None
    reference_path: npt.NDArray[np.float64] | None = None
    inside: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for name, kind in (("array", ArrayGeometry), ("sweep", FrequencySweep), ("grid", VoxelGrid)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} is a {type(getattr(self, name)).__name__}: expected a {kind.__name__}")
        if not isinstance(self.medium, LayeredMedium):
            number = isinstance(self.medium, int | float | np.number) and not isinstance(self.medium, bool)
            if not number:
                raise TypeError(f"medium is {self.medium!r}: expected a permittivity or a LayeredMedium")
            if not (math.isfinite(self.medium) and self.medium > 0):
                raise ValueError(f"permittivity is {self.medium}: expected a positive relative permittivity")
            object.__setattr__(self, "medium", float(self.medium))
        for pattern in both_sides(self.pattern):
            if pattern is not None:  # a table that does not cover the sweep says so
                pattern.gain(torch.ones(1, 1, dtype=torch.float64), torch.as_tensor(self.sweep.freq.copy()))
        if self.reference_path is not None:
            path = np.array(self.reference_path, np.float64)
            if path.shape != self.array.measurement_shape or not np.isfinite(path).all():
                raise ValueError(
                    f"reference_path has shape {path.shape}: expected {self.array.measurement_shape}, finite, in metres"
                )
            path.setflags(write=False)
            object.__setattr__(self, "reference_path", path)
        if self.inside is not None:
            inside = frozen_array("inside", self.inside, np.bool_)
            if inside.shape != self.grid.shape:
                raise ValueError(f"inside has shape {inside.shape}: expected that of the grid, {self.grid.shape}")
            if not inside.any():
                raise ValueError("inside names no voxel: expected one at least")
            object.__setattr__(self, "inside", None if inside.all() else inside)

    def replace(self, **changes: Any) -> Acquisition:
        """Return a copy in which the named fields have other values."""
        return replace(self, **changes)

    def with_radar(
        self,
        *,
        tx_pos: npt.NDArray[np.float64] | None = None,
        rx_pos: npt.NDArray[np.float64] | None = None,
        permittivity: npt.ArrayLike | None = None,
    ) -> Acquisition:
        """Return a copy with other places of the antennas, or other permittivities: one number, or one a layer."""
        changes: dict[str, Any] = {}
        if tx_pos is not None or rx_pos is not None:
            places = {"tx_pos": tx_pos, "rx_pos": rx_pos}
            given = {name: place for name, place in places.items() if place is not None}
            changes["array"] = replace(self.array, **given, name="")  # type: ignore[arg-type]
        if permittivity is not None:
            layers = self.layers
            values = np.asarray(permittivity, np.float64)
            changes["medium"] = values.item() if layers is None else LayeredMedium(layers.interfaces, values)
        return self.replace(**changes)

    @property
    def permittivity(self) -> float:
        """Relative permittivity of the homogeneous medium; 1 with layers, which have their own."""
        return 1.0 if isinstance(self.medium, LayeredMedium) else self.medium

    @property
    def layers(self) -> LayeredMedium | None:
        """The medium in layers, or ``None`` for a homogeneous one."""
        return self.medium if isinstance(self.medium, LayeredMedium) else None

    @functools.cached_property
    def voxels(self) -> Voxels:
        """The voxels that sums run over: those inside, or all."""
        return Voxels(self.grid, self.inside)

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        """``(n_freq, n_tx, n_rx)``, or ``(n_freq, n_channel)`` when the array lists its channels."""
        return (self.sweep.n_freq, *self.array.measurement_shape)

    @functools.cached_property
    def wavenumber(self) -> npt.NDArray[np.float64]:
        """Wavenumber in the homogeneous medium, or in free space with layers, float64 (n_freq,), radians a metre."""
        return self.sweep.wavenumber(self.permittivity)

    @property
    def patterns(self) -> tuple[AntennaPattern | None, AntennaPattern | None]:
        """Pattern of the transmitters and that of the receivers; ``None`` for isotropic ones."""
        return both_sides(self.pattern)

    @property
    def flat(self) -> bool:
        """Whether the patterns are real and the same at every frequency."""
        return all(pattern is None or pattern.flat for pattern in self.patterns)

    def reference_phasor(self) -> npt.NDArray[np.complex128]:
        """exp(+j k reference_path), complex128 (n_freq, *channels): the factor that removing the path puts on data."""
        path = np.zeros(self.array.measurement_shape) if self.reference_path is None else self.reference_path
        turns = np.multiply.outer(self.wavenumber / (2 * np.pi), path)
        return np.exp(2j * np.pi * (turns - np.round(turns)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Acquisition):
            return NotImplemented
        same = all(getattr(self, n) == getattr(other, n) for n in ("array", "sweep", "grid", "medium", "patterns"))
        same = same and same_arrays(self.reference_path, other.reference_path)
        return same and same_arrays(self.inside, other.inside)

    def __hash__(self) -> int:
        path = None if self.reference_path is None else self.reference_path.tobytes()
        inside = None if self.inside is None else self.inside.tobytes()
        return hash((self.array, self.sweep, self.grid, self.medium, path, inside))


def medium_of(permittivity: float, layers: LayeredMedium | None) -> Medium:
    """Return the medium that is stated by a permittivity or by layers.

    Raises
    ------
    ValueError
        When both are given.
    """
    if layers is None:
        return permittivity
    if permittivity != 1:
        raise ValueError(f"permittivity is {permittivity:g} beside layers: expected 1, as layers name their own")
    return layers
