"""Gate in time: keep the echoes of an interval of range in each channel and suppress the others.

A gate is a window w(tau) over delay, 1 inside, falling as half a cosine to 0 over the taper. Echoes are modelled as
random, with power density w inside and ``clutter (1 - w)`` outside, up to the unambiguous delay T. Their covariances
over the frequencies are K_in and K_out, and the gated data are the Wiener estimate

    y_in = K_in (K_in + K_out + noise I)^-1 y,      K_in[f, g] = integral w(tau) exp(-2j pi (f - g) tau) dtau.

For a uniform sweep and clutter = 1 this is the textbook gate, a circular convolution over frequency. The convolution
works badly at the band's ends, where it has data on one side only; a larger clutter suppresses echoes outside far
better there. The formula needs neither uniform frequencies nor zero padding. Cost: about n_freq^3 for each width of
gate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.constants import speed_of_light
from scipy.linalg import cho_factor, cho_solve

from mimo import ArrayGeometry, VoxelGrid
from mimo.data.files.schema import UnfitError
from mimo.data.measurement import Measurement
from mimo.data.provenance import recorded

__all__ = ["Gate", "box_paths", "gate_box", "gate_matrix", "gate_range", "window_transform"]

MOST_FREQUENCIES = 4096

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Holds the shape of a gate and the assumed strength of clutter and noise.

    Parameters
    ----------
    taper
        Range over which the window falls from 1 to 0 beyond each end, metres (half a path).
    clutter_db
        Assumed power density of echoes outside relative to those inside, dB; more suppresses them more.
    noise_db
        Assumed power of the noise relative to the echoes inside, dB, in one sample.
    """

    taper: float = 0.0
    clutter_db: float = 20.0
    noise_db: float = -40.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.taper) and self.taper >= 0):
            raise UnfitError(f"gate taper is {self.taper} m: expected 0 or more")
        for name in ("clutter_db", "noise_db"):
            if not np.isfinite(getattr(self, name)):
                raise UnfitError(f"gate {name} is {getattr(self, name)}: expected a number of dB")


def gate_range(
    measurement: Measurement,
    start: float,
    stop: float,
    *,
    gate: Gate = Gate(),
) -> Measurement:
    """Keep the echoes from `start` to `stop` metres of range, which is half the path from transmitter to receiver.

    Parameters
    ----------
    measurement
        At least two frequencies.
    start, stop
        Metres, the same for every channel; where a path was removed from the phase they count from half of it, as the
        range profiles of `mimo.data.calibration.range_profiles` do, and may be negative.
    gate
        Taper, clutter and noise.

    Raises
    ------
    ValueError
        When the interval is empty or as long as the unambiguous range, or the sweep has one frequency or too many.
    """
    if not (np.isfinite([start, stop]).all() and start < stop):
        raise UnfitError(f"gate is from {start} to {stop} m: expected start below stop")
    n = measurement.array.n_channel
    result = _gated(measurement, np.full(n, 2.0 * start), np.full(n, 2.0 * stop), gate)
    return recorded(result, "gate range", start=start, stop=stop, **vars(gate))


def gate_box(measurement: Measurement, box: VoxelGrid, *, gate: Gate = Gate()) -> Measurement:
    """Keep the echoes from inside a box: in each channel those between its shortest and its longest path.

    Parameters
    ----------
    measurement
        At least two frequencies. Paths that were removed from its phase are taken into account.
    box
        A grid whose outermost voxel centres are the corners of the box.
    gate
        Taper, clutter and noise.

    Raises
    ------
    ValueError
        When a channel's interval is as long as the unambiguous range, or the sweep has one frequency or too many.
    """
    shortest, longest = box_paths(measurement.array, box)
    path = measurement.reference_path
    if path is not None:
        removed = measurement.array.list_channels(path)
        shortest, longest = shortest - removed, longest - removed
    result = _gated(measurement, shortest, longest, gate)
    corners = [[float(axis[i]) for axis in (box.x, box.y, box.z)] for i in (0, -1)]
    return recorded(result, "gate box", corners=corners, **vars(gate))


def box_paths(array: ArrayGeometry, box: VoxelGrid) -> tuple[Floats, Floats]:
    """Return each channel's shortest and longest path by way of a point of the box, metres, ``(n_channel,)`` each.

    The sum of two distances is convex: its largest value is at a corner, and its least is found by a search on ever
    finer grids of points (to about a hundredth of a per cent of the box).
    """
    channels = array.channel_indices()
    tx, rx = array.tx_pos[channels[:, 0], None], array.rx_pos[channels[:, 1], None]
    low, high = (np.array([axis[i] for axis in (box.x, box.y, box.z)]) for i in (0, -1))

    def path(points: Floats) -> Floats:
        ways = [
            -(points * place).sum(axis=-1) if far else np.linalg.norm(points - place, axis=-1)
            for place, far in zip((tx, rx), array.far, strict=True)
        ]
        return np.asarray(ways[0] + ways[1])

    corners = np.stack(np.meshgrid(*np.stack([low, high], axis=1), indexing="ij"), axis=-1).reshape(1, -1, 3)
    longest = path(corners).max(axis=1)
    unit = np.linspace(-1, 1, 5)
    pattern = np.stack(np.meshgrid(unit, unit, unit, indexing="ij"), axis=-1).reshape(1, -1, 3)
    centre, half = np.tile((low + high) / 2, (len(channels), 1, 1)), (high - low) / 2
    shortest = np.full(len(channels), np.inf)
    for _ in range(14):
        points = np.clip(centre + pattern * half, low, high)
        found = path(points)
        best = found.argmin(axis=1)
        shortest = np.minimum(shortest, found.min(axis=1))
        centre = np.take_along_axis(points, best[:, None, None], axis=1)
        half = half / 2
    return shortest, longest


def gate_matrix(freq: Floats, width: float, *, taper: float, clutter: float, noise: float) -> Floats:
    """Return the matrix of the Wiener estimate for a gate centred on zero delay, float64 ``(n_freq, n_freq)``.

    See the module's docstring for the formula.

    Parameters
    ----------
    freq
        Hertz, ascending.
    width, taper
        Seconds over which the window is 1, and over which it falls to 0 on each side.
    clutter, noise
        Power densities relative to the echoes inside; see `Gate`.
    """
    apart = freq[:, None] - freq
    inside = window_transform(apart, width, taper)
    period = 1 / float(np.diff(freq).min())
    outside = clutter * (period * np.sinc(period * apart) - inside)
    total = inside + outside + noise * (width + taper) * np.eye(len(freq))
    return cho_solve(cho_factor(total, lower=True), inside).T


def window_transform(freq: npt.ArrayLike, width: float, taper: float) -> Floats:
    """Return the Fourier transform, in seconds, of a window that is flat for `width` and falls over `taper` each side.

    ``(width + taper) sinc((width + taper) f) cos(pi taper f) / (1 - (2 taper f)^2)``, the raised-cosine pulse.
    """
    freq = np.asarray(freq, np.float64)
    edge = 1 - (2 * taper * freq) ** 2
    pole = np.abs(edge) < 1e-9
    fall = np.where(pole, np.pi / 4, np.cos(np.pi * taper * freq) / np.where(pole, 1, edge))
    return (width + taper) * np.sinc((width + taper) * freq) * fall


def _gated(measurement: Measurement, shortest: Floats, longest: Floats, gate: Gate) -> Measurement:
    """Gate each channel between two path lengths beyond the removed one, metres ``(n_channel,)``.

    A gate removes noise along with the echoes, so a stated signal-to-noise ratio is dropped. Widths are rounded up to
    an eighth of the resolution, so that channels of nearly equal width share a matrix.
    """
    freq, array = measurement.sweep.freq, measurement.array
    if len(freq) < 2:
        raise UnfitError("the sweep has one frequency: expected two or more to gate over")
    if len(freq) > MOST_FREQUENCIES:
        raise UnfitError(f"the sweep has {len(freq)} frequencies: expected {MOST_FREQUENCIES} or fewer to gate over")
    per_metre = np.sqrt(measurement.permittivity) / speed_of_light
    taper = 2 * gate.taper * per_metre
    unit = 1 / (8 * measurement.sweep.bandwidth)
    width = np.ceil((longest - shortest) * per_metre / unit) * unit
    period = 1 / float(np.diff(freq).max())
    if width.max() + 2 * taper >= period:
        at = array.channel_indices()[int(width.argmax())]
        raise UnfitError(
            f"the gate of channel {at[0]}:{at[1]} is {(width.max() + 2 * taper) / per_metre / 2:.3g} m of range long, "
            f"the unambiguous range is {period / per_metre / 2:.3g} m: expected a shorter gate"
        )
    where = _listed(array)
    centre = (shortest + longest) / 2
    turn = np.exp(2j * np.pi * np.remainder(freq[:, None] * centre * per_metre, 1))
    extra = () if measurement.background is None else (measurement.background[None],)
    stacked = np.concatenate([measurement.values, *extra])
    data = stacked[where] * turn
    gated = np.empty_like(data)
    for each in np.unique(width):
        same = width == each
        matrix = gate_matrix(
            freq, float(each), taper=taper, clutter=10 ** (gate.clutter_db / 10), noise=10 ** (gate.noise_db / 10)
        )
        gated[..., same] = np.einsum("fg,sgc->sfc", matrix, data[..., same], optimize=True)
    gated /= turn
    stacked[where] = gated
    n = measurement.n_scene
    return replace(measurement, values=stacked[:n], background=stacked[n] if extra else None, snr_db=None)


def _listed(array: ArrayGeometry) -> Any:
    """Return the index that selects the channels that carry data from an array's values, as a last axis."""
    channels = array.channel_indices()
    return (Ellipsis, slice(None)) if array.paired else (Ellipsis, channels[:, 0], channels[:, 1])
