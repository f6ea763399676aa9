"""Weigh measurements by windows over the band and over the aperture: lower side lobes for wider main lobes.

An image former adds up what every channel says at every frequency. A sum that ends abruptly at the edges of the band
and of the aperture has side lobes; a weight that falls towards the edges lowers them. Weights are products of a window
over the band and one over each direction in which the aperture has edges, as the centre of the scene sees it:

- Antennas in a plane: along the two sides of the smallest rectangle around the channels' virtual elements, the means of
  their two positions. A cross of transmitters and receivers is thereby weighted along both arms.
- Antennas on circles around the scene: along the arc, and along the axis of the circles. A full circle has no edges, so
  nothing is weighted around it, and on a dome of full circles, which closes towards its top, nothing at all.
- Antennas on a part of a sphere: along the two sides of the smallest rectangle around the directions in which they
  stand. Antennas that surround the scene have no edges.

Windows are formulas evaluated at each position, so spacing may be uneven: F. J. Harris, Proc. IEEE 66 (1978) 51, for
Hann and Kaiser; W. G. Carrara et al., Spotlight Synthetic Aperture Radar (1995), appendix D, for Taylor's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import ConvexHull

from mimo.acquisition import Acquisition
from mimo.imaging_operator import ImagingOperator

__all__ = ["Taper", "Window", "windowed"]

Floats = npt.NDArray[np.float64]

EXPECTED = "none, hann, hamming, taylor:SLL (dB) or kaiser:BETA"

SLIM = 0.05
"""Extent over the largest extent below which a direction of the aperture counts as having none: the bend of a path, or
a plane that is not quite one."""

LEAST = 1e-6
"""Extent, seen from the scene, up to which a direction of the aperture counts as having none whatever the others."""

SAME = 0.1
"""Gap over the mean gap up to which places count as one, such as those of a column that is not quite straight."""

CLOSED = math.radians(36)
"""Gap up to which antennas around the scene close a circle."""

POLE = 0.9
"""Antennas whose directions have a larger component along an axis stand over its pole, and not around it."""

CAP = 0.8
"""Length of the mean direction from which antennas stand on one side of the scene: half a sphere has 0.5."""

SIDE_LOBES = (13.3, 80.0)
"""Side lobe levels of Taylor's window, dB below the main lobe: from those of no window."""

MAX_BETA = 30.0


@dataclass(frozen=True)
class Taper:
    """Describes one window, a function over an extent from -1/2 to 1/2.

    Parameters
    ----------
    name
        ``none``, ``hann``, ``hamming``, ``taylor`` or ``kaiser``.
    value
        Of ``taylor`` the level of the side lobes, dB below the main lobe, 13.3 to 80; of ``kaiser`` beta, 0 to 30; else
        0.

    Raises
    ------
    ValueError
        When there is no such window or the value is out of range; the message says what is expected.

    Examples
    --------
    >>> Taper.parse("taylor:-30")
    Taper(name='taylor', value=30.0)
    >>> Taper("hann").at(np.array([-0.5, 0, 0.25])).round(3).tolist()
    [0.0, 1.0, 0.5]
    """

    name: str = "none"
    value: float = 0.0

    def __post_init__(self) -> None:
        ranges = {"none": (0, 0), "hann": (0, 0), "hamming": (0, 0), "taylor": SIDE_LOBES, "kaiser": (0, MAX_BETA)}
        if self.name not in ranges:
            raise ValueError(f"window {self.name!r}: expected {EXPECTED}")
        low, high = ranges[self.name]
        if not low <= self.value <= high:
            raise ValueError(f"window {self.name} has {self.value:g}: expected {low:g} to {high:g}")

    @classmethod
    def parse(cls, text: str) -> Taper:
        """Read ``none``, ``hann``, ``hamming``, ``taylor:30`` or ``kaiser:6``; a level may have a minus sign."""
        name, colon, number = text.strip().lower().partition(":")
        if bool(colon) != (name in ("taylor", "kaiser")):
            raise ValueError(f"window {text!r}: expected {EXPECTED}")
        try:
            value = float(number) if colon else 0.0
        except ValueError:
            raise ValueError(f"window {text!r}: expected a number after the colon, as in {name}:6") from None
        return cls(name, abs(value) if name == "taylor" else value)

    def __str__(self) -> str:
        """The text that `parse` reads."""
        return f"{self.name}:{self.value:g}" if self.name in ("taylor", "kaiser") else self.name

    def at(self, place: Floats) -> Floats:
        """Return the window at places from -1/2 to 1/2, any shape; its scale is arbitrary."""
        if self.name == "none":
            return np.ones_like(place)
        if self.name == "kaiser":
            return np.asarray(np.i0(self.value * np.sqrt(np.clip(1 - (2 * place) ** 2, 0, None))))
        if self.name == "taylor":
            return _taylor(place, self.value)
        low = 0.08 if self.name == "hamming" else 0.0
        return low + (1 - low) * np.cos(np.pi * place) ** 2

    def over(self, position: Floats) -> Floats:
        """Return the window over the extent of positions (n,), in any order.

        The extent ends half a mean step beyond the outermost positions, so that no measurement is given up to a zero.
        """
        places = np.sort(position)
        gap, extent = np.diff(places), float(np.ptp(position))
        if extent == 0:
            return np.ones_like(position)
        steps = int((gap > SAME * gap.mean()).sum())
        return self.at((position - (places[0] + places[-1]) / 2) / (extent * (1 + 1 / steps)))


@dataclass(frozen=True)
class Window:
    """Describes the windows over the band and over the aperture.

    Parameters
    ----------
    band
        Window over frequencies.
    aperture
        Window over each direction in which the aperture has edges.

    Examples
    --------
    >>> str(Window.parse("hann")), str(Window.parse("aperture=taylor:30"))
    ('hann', 'band=none,aperture=taylor:30')
    """

    band: Taper = Taper()
    aperture: Taper = Taper()

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read one window for both, such as ``hann``, or ``band=hann,aperture=taylor:30``; one left out is none.

        Raises
        ------
        ValueError
            When the text has another form; the message quotes it.
        """
        if "=" not in text:
            both = Taper.parse(text)
            return cls(both, both)
        tapers: dict[str, Taper] = {}
        for part in text.split(","):
            name, equals, taper = (word.strip() for word in part.partition("="))
            if not equals or name not in ("band", "aperture") or name in tapers:
                raise ValueError(f"window {text!r} is wrong at {part.strip()!r}: expected band=WINDOW,aperture=WINDOW")
            tapers[name] = Taper.parse(taper)
        return cls(**tapers)

    def __str__(self) -> str:
        """The text that `parse` reads."""
        return str(self.band) if self.band == self.aperture else f"band={self.band},aperture={self.aperture}"

    def weights(self, acquisition: Acquisition) -> tuple[Floats, Floats]:
        """Return the weights of the frequencies, float64 (n_freq,), and of the channels, ``array.measurement_shape``.

        The weight of a measurement is their product. The mean of each is 1 over what carries data, so that a point
        keeps its level in a back-projection; masked channels have weight 0.
        """
        band = self.band.over(acquisition.sweep.freq)
        over = np.ones(acquisition.array.n_channel)
        if self.aperture != Taper():
            for coordinate in _coordinates(acquisition):
                over = over * self.aperture.over(coordinate)
        channels = over / over.mean()
        return band / band.mean(), acquisition.array.spread_channels(channels)


def windowed(y: torch.Tensor, A: ImagingOperator, window: str | Window) -> torch.Tensor:
    """Return a measurement weighted by windows, for any image former: ``backproject(windowed(y, A, "hann"), A)``.

    Parameters
    ----------
    y
        Measurement ``(..., *A.measurement_shape)``, complex.
    A
        The operator whose array, sweep and grid are used; the grid's centre is where the aperture is seen from.
    window
        A text as `Window.parse` reads it, such as ``"hann"``, ``"taylor:30"``, ``"kaiser:6"`` or
        ``"band=hann,aperture=none"``, or the window itself.

    Returns
    -------
    torch.Tensor
        As `y`; `y` itself where there is no window.

    Raises
    ------
    ValueError
        When the text is no window, or the shape of `y` does not fit.
    """
    window = Window.parse(window) if isinstance(window, str) else window
    if window == Window():
        return y
    shape = tuple(A.measurement_shape)
    if tuple(y.shape[-len(shape) :]) != shape:
        raise ValueError(f"measurement has shape {tuple(y.shape)}: expected (..., {', '.join(map(str, shape))})")
    band, channels = (
        torch.as_tensor(w, dtype=y.dtype.to_real(), device=y.device) for w in window.weights(A.acquisition)
    )
    return y * channels * band.view(-1, *(1 for _ in channels.shape))


def _taylor(place: Floats, level: float) -> Floats:
    """Taylor's window, with as many equal side lobes as keep it falling towards its ends (four or more)."""
    a2 = (math.acosh(10 ** (level / 20)) / math.pi) ** 2
    n_bar = max(4, math.ceil(2 * a2 + 0.5))
    sigma2 = n_bar**2 / (a2 + (n_bar - 0.5) ** 2)
    order = np.arange(1, n_bar)
    window = np.ones_like(place)
    for m in order:
        above = np.prod(1 - m**2 / sigma2 / (a2 + (order - 0.5) ** 2))
        below = np.prod(1 - m**2 / order[order != m].astype(float) ** 2)
        window = window - (-1.0) ** m * above / below * np.cos(2 * np.pi * m * place)
    return window


def _coordinates(acquisition: Acquisition) -> list[Floats]:
    """Return the coordinates of the channels, (n_channel,) each, along the directions in which the aperture ends."""
    array, center = acquisition.array, np.array(acquisition.grid.center)
    channels = array.channel_indices()
    tx, rx = (  # directions have no place: they are seen alike from everywhere
        positions[channels[:, i]] - (0 if array.far[i] else center)
        for i, positions in enumerate((array.tx_pos, array.rx_pos))
    )
    virtual = (tx + rx) / 2
    antennas = np.concatenate([array.tx_pos[np.unique(channels[:, 0])], array.rx_pos[np.unique(channels[:, 1])]])
    middle, axes = _principal(antennas)
    thin = np.ptp((antennas - middle) @ axes.T, axis=0)
    if thin[2] <= SLIM * thin[0]:
        radius = np.linalg.norm(virtual - np.outer(virtual @ axes[2], axes[2]), axis=1)
        if np.ptp(radius) > SLIM * radius.max():  # not on a circle about the plane's normal through the scene
            return _sides(virtual @ axes[:2].T / np.linalg.norm(virtual, axis=1).max())

    def direction(place: Floats) -> Floats:
        length = np.linalg.norm(place, axis=1, keepdims=True)
        return np.asarray(place / np.maximum(length, 1e-12))

    # the half of K / k of `mimo.sampling`; unlike a direction it stays defined where tx and rx face each other
    look = (direction(tx) + direction(rx)) / 2
    around = min((np.eye(3)[i] for i in (2, 1, 0)), key=lambda axis: float(np.ptp(look @ axis)))
    height = look @ around
    if np.abs(height).max() < POLE:
        u, v = np.eye(3)[around == 0]
        arc = _arc(np.arctan2(look @ v, look @ u))
        if arc is not None:
            return _long([arc * math.sqrt(1 - float(np.mean(height)) ** 2), height])
        radius = np.linalg.norm((antennas - center) @ np.array([u, v]).T, axis=1)
        dome = np.ptp(radius) > SLIM * radius.max()  # it closes towards the axis, where a cylinder ends in an edge
        return [] if dome else _long([height])
    mean = look.mean(axis=0)
    if np.linalg.norm(mean) < CAP:
        return []
    _, _, basis = np.linalg.svd(mean[None])
    return _sides(look @ basis[1:].T)


def _principal(points: Floats) -> tuple[Floats, Floats]:
    """Return the mean of points (n, 3) and their principal axes (3, 3), the longest first."""
    middle = points.mean(axis=0)
    spread = points - middle
    return middle, np.asarray(np.linalg.eigh(spread.T @ spread)[1].T[::-1])


def _arc(azimuth: Floats) -> Floats | None:
    """Return azimuths (radians) counted from the middle of the largest gap; ``None`` when they close a circle."""
    places = np.sort(azimuth)
    gaps = np.diff(places, append=places[0] + 2 * np.pi)
    widest = int(gaps.argmax())
    if gaps[widest] <= CLOSED:
        return None
    return np.mod(azimuth - places[widest] - gaps[widest] / 2, 2 * np.pi)


def _sides(points: Floats) -> list[Floats]:
    """Return coordinates along the sides of the smallest rectangle around points (n, 2), without slim ones."""
    spread = points - points.mean(axis=0)
    along = spread @ np.linalg.eigh(spread.T @ spread)[1]
    found = _long([along[:, 0], along[:, 1]])
    if len(found) < 2:
        return found
    corners = spread[ConvexHull(spread).vertices]
    edges = np.roll(corners, -1, axis=0) - corners  # a side of the smallest rectangle lies on an edge of the hull
    angle = np.arctan2(edges[:, 1], edges[:, 0])
    turned = np.stack([np.stack([np.cos(angle), np.sin(angle)], 1), np.stack([-np.sin(angle), np.cos(angle)], 1)], 1)
    extents = np.ptp(turned @ corners.T, axis=2)
    u, v = turned[int(extents.prod(axis=1).argmin())]
    return _long([spread @ u, spread @ v])


def _long(coordinates: list[Floats]) -> list[Floats]:
    """Keep the coordinates whose extent is neither slim beside the largest nor mere rounding."""
    extents = [float(np.ptp(c)) for c in coordinates]
    return [c for c, extent in zip(coordinates, extents, strict=True) if extent > max(SLIM * max(extents), LEAST)]
