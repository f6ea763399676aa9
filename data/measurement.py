"""Hold what the program reads and writes: measurements, and the images reconstructed from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import Acquisition, ArrayGeometry, FrequencySweep, LayeredMedium, VoxelGrid
from mimo.data.files.schema import BY_PATH, UnfitError, check_dtype, check_finite, check_shape
from mimo.data.labelled import labelled_dataset
from mimo.data.summaries import as_html, as_text, facts_of_measurement, facts_of_reconstruction
from mimo.pattern import Patterns
from mimo.region import Region

__all__ = [
    "MEASUREMENT_PATHS",
    "Array",
    "Measurement",
    "Reconstruction",
    "Scenes",
    "axis_sizes",
    "check_permittivity",
    "check_region",
    "checked_steps",
    "checked_values",
    "scene_numbers",
]

Scenes = slice | Sequence[int] | npt.NDArray[np.integer[Any]]
Array = npt.NDArray[Any]

_DTYPES = {"c8": np.complex64, "f8": np.float64, "f4": np.float32}
SCALES = ("", "reflectivity", "relative")
"""Allowed values of `Reconstruction.scale`."""

STD = "reconstruction/<method>/std"
QUANTILES_PATH = "reconstruction/<method>/quantiles"
_METHOD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def axis_sizes(array: ArrayGeometry, sweep: FrequencySweep, grid: VoxelGrid | None = None) -> dict[str, int]:
    """Return the lengths of the schema's axes, ``{"n_tx": 12, ...}``; ``n_channel`` only for a paired array."""
    sizes = {"n_tx": array.n_tx, "n_rx": array.n_rx, "n_freq": sweep.n_freq}
    if array.channels is not None:
        sizes["n_channel"] = len(array.channels)
    if grid is not None:
        sizes.update(zip(("n_x", "n_y", "n_z"), grid.shape, strict=True))
    return sizes


def scene_numbers(scenes: Scenes | None, n_scene: int) -> range | list[int]:
    """Return the scene numbers that `scenes` selects of `n_scene`: all for ``None``, negative ones from the end.

    Raises
    ------
    ValueError
        When the selection is empty, not whole numbers or out of range.
    """
    if scenes is None:
        return range(n_scene)
    if isinstance(scenes, slice):
        chosen = range(n_scene)[scenes]
        if not len(chosen):
            raise UnfitError(f"scenes {scenes} selects none of the {n_scene} scenes: expected at least one")
        return chosen
    numbers = np.asarray(scenes)
    if numbers.ndim != 1 or not numbers.size or numbers.dtype.kind not in "iu":
        raise UnfitError(f"scenes is {scenes!r}: expected a slice or a list of scene numbers, at least one")
    if numbers.min() < -n_scene or numbers.max() >= n_scene:
        bad = numbers[(numbers < -n_scene) | (numbers >= n_scene)][0]
        raise UnfitError(f"scenes holds {int(bad)}, there are {n_scene} scenes: expected 0 to {n_scene - 1}")
    return [int(n) % n_scene for n in numbers]


def check_permittivity(value: float) -> float:
    """Return the relative permittivity as a float; ValueError unless it is finite and positive."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not (np.isfinite(number) and number > 0):
        raise UnfitError(f"permittivity is {value!r}: expected a positive number, 1 in free space")
    return number


def check_region(text: str | None) -> str | None:
    """Return the text of a region as it is stored, ``None`` for ``None``.

    ValueError when `mimo.region.Region.parse` cannot read it, or it names a file: that belongs to one grid and one
    machine, and so not into a measurement.
    """
    if text is None:
        return None
    try:
        region = Region.parse(text)
    except ValueError as error:
        raise UnfitError(str(error)) from error
    if region.kind == "file":
        raise UnfitError(f"region is the file {text}: expected a shape, auto or all; give a file where images are made")
    return str(region)


def checked_values(path: str, value: npt.ArrayLike, sizes: dict[str, int], *, name: str = "") -> Array:
    """Return `value` as a contiguous array in the schema's dtype for `path`, after checks of shape and finiteness.

    Parameters
    ----------
    path
        Path of the field in the schema, ``measurement/values``.
    value
        Any array of a fitting kind; a higher precision is rounded to the schema's.
    sizes
        Lengths of the schema's axes; see `axis_sizes`.
    name
        How messages call the value; the path when empty.

    Raises
    ------
    ValueError
        When the dtype, the shape or a number does not fit; the message names the field.
    """
    entry = BY_PATH[path]
    array = np.asarray(value)
    check_dtype(entry, array.dtype, name=name)
    check_shape(entry, array.shape, sizes, name=name)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found, with its index, on the next line
        array = np.ascontiguousarray(array, dtype=_DTYPES[entry.dtype])
    check_finite(entry, array, name=name)
    return array


def checked_steps(value: Any) -> tuple[dict[str, Any], ...]:
    """Return the steps of a measurement as a tuple; ValueError unless they are a sequence of dicts with a ``step``."""
    if not isinstance(value, list | tuple) or not all(
        isinstance(step, dict) and isinstance(step.get("step"), str) for step in value
    ):
        raise UnfitError(f"preparation/steps is {str(value)[:60]!r}: expected a list of objects, each with a step")
    return tuple(value)


@dataclass(frozen=True, eq=False, repr=False)
class Measurement:
    """Holds measured or synthetic data of one or more scenes, all taken with one array and one sweep.

    Parameters
    ----------
    values
        complex64 ``(n_scene, n_freq, n_tx, n_rx)``, or ``(n_scene, n_freq, n_channel)`` for a paired array; a wave
        that has travelled R carries exp(-j k R).
    array, sweep
        Antennas and frequencies of the measurement.
    grid
        Voxels of the truth and, by default, of images; ``None`` when there are none.
    permittivity
        Relative permittivity of the medium.
    snr_db
        float32 ``(n_scene,)``, dB; +inf without noise; ``None`` when not known.
    background
        complex64 ``values.shape[1:]``, data without the target, not subtracted; see `mimo.data.calibration`.
    gain
        complex64 ``values.shape[1:]``, gain of each channel, not divided out.
    delay
        float64 ``(n_tx, n_rx)`` or ``(n_channel,)``, seconds: the part of `gain` that is ``exp(-2j pi f delay)``. With
        it the gain is known at other frequencies too; see `mimo.data.calibration.apply_calibration`.
    reference_path
        float64 ``(n_tx, n_rx)`` or ``(n_channel,)``, metres: path length already removed from the phase.
    truth
        complex64 ``(n_scene, n_x, n_y, n_z)``, true reflectivity; needs `grid`.
    source
        Where the data come from, in words.
    steps
        Processing steps so far, in order: dicts with the name, ``step``, and the parameters, plain values; see
        `mimo.data.provenance.recorded`.
    region
        What is known of where the scene is, as `mimo.region.Region.parse` reads it: ``sphere:0,0,0.03,0.05``. ``None``
        when nothing is known.

    Raises
    ------
    ValueError
        When a shape, a dtype or a value does not fit: ``measurement/values has shape (15, 13, 12), array has 12 tx
        and 13 rx: expected (n_scene, 15, 12, 13)``; for NaN or infinity it names the first index.
    """

    values: npt.NDArray[np.complex64]
    array: ArrayGeometry
    sweep: FrequencySweep
    grid: VoxelGrid | None = None
    permittivity: float = 1.0
    snr_db: npt.NDArray[np.float32] | None = None
    background: npt.NDArray[np.complex64] | None = None
    gain: npt.NDArray[np.complex64] | None = None
    reference_path: npt.NDArray[np.float64] | None = None
    truth: npt.NDArray[np.complex64] | None = None
    source: str = ""
    delay: npt.NDArray[np.float64] | None = None
    steps: tuple[dict[str, Any], ...] = ()
    region: str | None = None

    def __post_init__(self) -> None:
        sizes = axis_sizes(self.array, self.sweep, self.grid)
        for name, path in MEASUREMENT_PATHS.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, checked_values(path, value, sizes))
        object.__setattr__(self, "permittivity", check_permittivity(self.permittivity))
        if self.gain is not None and not self.gain.all():
            at = tuple(int(i) for i in np.argwhere(self.gain == 0)[0])
            raise UnfitError(f"calibration/gain is 0 at index {at}: expected a gain that can be divided out")
        if self.delay is not None and self.gain is None:
            raise UnfitError("calibration/gain is missing: expected it beside calibration/delay, which is there")
        object.__setattr__(self, "steps", checked_steps(self.steps))
        object.__setattr__(self, "region", check_region(self.region))

    def acquisition(
        self, grid: VoxelGrid | None = None, *, pattern: Patterns = None, layers: LayeredMedium | None = None
    ) -> Acquisition:
        """Return the acquisition: array, sweep, medium and removed paths, with the voxels to be imaged.

        It holds every voxel of the grid; `mimo.recon.make_problem` leaves out those outside a region.

        Parameters
        ----------
        grid
            Voxels; the measurement's own by default.
        pattern, layers
            The antennas' pattern and a layered medium, as in `mimo.Acquisition`; layers replace the permittivity.

        Raises
        ------
        ValueError
            When there is no grid.
        """
        grid = self.grid if grid is None else grid
        if grid is None:
            raise ValueError(
                "the measurement has no grid: give one, such as x=-0.15:0.15:25,y=-0.15:0.15:25,z=0.35:0.65:49"
            )
        medium = self.permittivity if layers is None else layers
        return Acquisition(self.array, self.sweep, grid, medium, pattern, self.reference_path)

    @property
    def n_scene(self) -> int:
        """Number of scenes."""
        return len(self.values)

    def scenes(self, scenes: Scenes) -> Measurement:
        """Return the scenes that a slice or a list of numbers selects, as a measurement of its own."""
        chosen = scene_numbers(scenes, self.n_scene)
        pick = lambda a: None if a is None else a[list(chosen)]  # noqa: E731 - three uses on the next line
        return replace(self, values=self.values[list(chosen)], snr_db=pick(self.snr_db), truth=pick(self.truth))

    def to_xarray(self) -> Any:
        """Return the measurement as an `xarray.Dataset` (extra ``xarray``), with coordinates and units.

        Its variables are the fields of this object that are there, its dimensions ``scene``, ``freq``, and ``tx`` and
        ``rx`` or ``channel``; ``tx_x`` and the like are the antennas' places. Numbers are shared, not copied.
        """
        variables = {name: (path, getattr(self, name)) for name, path in MEASUREMENT_PATHS.items()}
        steps = " | ".join(str(step["step"]) for step in self.steps)
        attributes = {"permittivity": self.permittivity, "source": self.source, "region": self.region, "steps": steps}
        return labelled_dataset(variables, array=self.array, sweep=self.sweep, grid=self.grid, attributes=attributes)

    def __repr__(self) -> str:
        return as_text("Measurement", facts_of_measurement(self))

    def _repr_html_(self) -> str:
        return as_html("Measurement", facts_of_measurement(self))


MEASUREMENT_PATHS = {
    "values": "measurement/values",
    "background": "measurement/background",
    "reference_path": "measurement/reference_path",
    "snr_db": "measurement/snr_db",
    "gain": "calibration/gain",
    "delay": "calibration/delay",
    "truth": "truth/reflectivity",
}


@dataclass(frozen=True, eq=False, repr=False)
class Reconstruction:
    """Holds the images of one or more scenes that one method made.

    Parameters
    ----------
    method
        Name of the method: letters, digits and ``_ . + -``.
    image
        complex64 ``(n_scene, n_x, n_y, n_z)``, or float32 when the method gives a magnitude alone.
    grid
        The voxels.
    parameters
        The method's parameters: plain values, lists and dicts, as they are stored as JSON.
    seconds
        float64 ``(n_scene,)``, run time of each scene.
    iterations
        Iterations run, 0 for a direct method.
    version
        Version of the program.
    source_sha256
        SHA-256 of the measurement's file, as `mimo.data.file_sha256` gives it.
    history
        The solver's iteration history (`mimo.data.History`), anything that JSON holds, or ``None``.
    scale
        ``"reflectivity"`` when the image has the unit of the truth, ``"relative"`` when it is known up to a factor;
        empty when neither is known.
    inside
        bool ``(n_x, n_y, n_z)``: voxels of the region that the image was restricted to; the others are 0 because nobody
        looked there. ``None`` for all.
    std
        float32 ``(n_scene, n_x, n_y, n_z)``, at least 0: standard deviation of the magnitude's error in each voxel, in
        the image's unit, where the method predicts it; see `mimo.data.interval`.
    quantiles
        float32 ``(n_scene, n_quantile, n_x, n_y, n_z)``, at least 0 and ascending: `mimo.data.QUANTILES` of the
        magnitude in each voxel, where the method samples it.

    Raises
    ------
    ValueError
        When a name, a shape or a value does not fit; the message names the field.
    """

    method: str
    image: npt.NDArray[np.complex64] | npt.NDArray[np.float32]
    grid: VoxelGrid
    parameters: dict[str, Any]
    seconds: npt.NDArray[np.float64]
    iterations: int = 0
    version: str = ""
    source_sha256: str = ""
    history: Any = None
    scale: str = ""
    inside: npt.NDArray[np.bool_] | None = None
    std: npt.NDArray[np.float32] | None = None
    quantiles: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not _METHOD_NAME.fullmatch(self.method):
            raise UnfitError(
                f"method is {self.method!r}: expected letters, digits and _ . + -, a letter or digit first"
            )
        if self.scale not in SCALES:
            raise UnfitError(f"scale is {self.scale!r}: expected reflectivity, relative or nothing")
        image = np.asarray(self.image)
        if image.ndim < 1 or image.dtype.kind not in "cf":
            raise UnfitError(f"image has dtype {image.dtype}, {image.ndim} axes: expected complex64 or float32, 4 axes")
        sizes = dict(zip(("n_x", "n_y", "n_z"), self.grid.shape, strict=True))
        sizes["n_scene"] = max(1, len(image))
        path = self.path
        image = checked_values(path, image, sizes, name=BY_PATH[path].at(self.method))
        object.__setattr__(self, "image", image)
        object.__setattr__(self, "inside", self._checked_inside(sizes))
        for attribute, place in (("std", STD), ("quantiles", QUANTILES_PATH)):
            given = getattr(self, attribute)
            if given is None:
                continue
            name = BY_PATH[place].at(self.method)
            values = checked_values(place, given, sizes | {"n_scene": len(image)}, name=name)
            if values.min() < 0:
                at = tuple(int(i) for i in np.argwhere(values < 0)[0])
                raise UnfitError(f"{name} is {values[at]:g} at index {at}: expected 0 or more")
            object.__setattr__(self, attribute, values)
        seconds = np.asarray(self.seconds, dtype=np.float64)
        if seconds.shape != (len(image),) or not np.isfinite(seconds).all():
            raise UnfitError(
                f"reconstruction/{self.method} seconds has shape {seconds.shape}, image has {len(image)} scenes: "
                f"expected {(len(image),)}, finite"
            )
        object.__setattr__(self, "seconds", seconds)
        if not isinstance(self.parameters, dict):
            raise TypeError(f"parameters is a {type(self.parameters).__name__}: expected a dict")

    def _checked_inside(self, sizes: dict[str, int]) -> npt.NDArray[np.bool_] | None:
        """Return `inside` as bool, ``None`` where it leaves out nothing."""
        if self.inside is None:
            return None
        entry = BY_PATH["reconstruction/<method>/inside"]
        inside = np.asarray(self.inside)
        check_dtype(entry, inside.dtype, name=entry.at(self.method))
        check_shape(entry, inside.shape, sizes, name=entry.at(self.method))
        if not np.isin(inside, (0, 1)).all():
            raise UnfitError(f"{entry.at(self.method)} holds numbers other than 0 and 1: expected bool")
        return None if inside.all() else inside.astype(bool)

    @property
    def path(self) -> str:
        """The schema's path of the image: reflectivity when complex, else magnitude."""
        kind = "reflectivity" if np.iscomplexobj(self.image) else "magnitude"
        return f"reconstruction/<method>/{kind}"

    @property
    def n_scene(self) -> int:
        """Number of scenes."""
        return len(self.image)

    @property
    def values(self) -> npt.NDArray[np.complex64] | npt.NDArray[np.float32]:
        """The numbers, scene by scene, called as those of a `Measurement`: the image."""
        return self.image

    @property
    def magnitude(self) -> npt.NDArray[np.float32]:
        """Magnitude of the image, float32 ``(n_scene, n_x, n_y, n_z)``."""
        return np.abs(self.image).astype(np.float32, copy=False)

    def scenes(self, scenes: Scenes) -> Reconstruction:
        """Return the scenes that a slice or a list of numbers selects, as a reconstruction of its own."""
        chosen = list(scene_numbers(scenes, self.n_scene))
        parts = {name: getattr(self, name) for name in ("std", "quantiles")}
        parts = {name: values[chosen] for name, values in parts.items() if values is not None}
        return replace(self, image=self.image[chosen], seconds=self.seconds[chosen], **parts)

    def to_xarray(self) -> Any:
        """Return the images as an `xarray.Dataset` (extra ``xarray``), its axes in metres.

        The variables are ``image`` and, where they are there, ``std`` and ``inside``, with dimensions ``scene``, ``x``,
        ``y`` and ``z``. Numbers are shared, not copied.
        """
        inside = "reconstruction/<method>/inside"
        variables = {"image": (self.path, self.image), "std": (STD, self.std), "inside": (inside, self.inside)}
        attributes = {"method": self.method, "scale": self.scale, "version": self.version}
        return labelled_dataset(variables, grid=self.grid, attributes=attributes)

    def __repr__(self) -> str:
        return as_text("Reconstruction", facts_of_reconstruction(self))

    def _repr_html_(self) -> str:
        return as_html("Reconstruction", facts_of_reconstruction(self))
