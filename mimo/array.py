"""Describe antenna arrays: where transmitters and receivers stand, which pairs form channels, which way they look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from mimo._values import frozen_array, points_repr, same_arrays

__all__ = ["PLUS_Z", "ArrayGeometry"]

PLUS_Z = (0.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False, repr=False)
class ArrayGeometry:
    """Describes a MIMO array: positions of its antennas, their channels and boresights.

    Parameters
    ----------
    tx_pos, rx_pos
        Transmitter and receiver positions, float64 ``(n_tx, 3)`` and ``(n_rx, 3)``, in metres.
    channels
        ``None`` when every transmitter is received by every receiver; else int ``(n_channel, 2)``, the (tx, rx)
        index of each channel, counted from 0 (a *paired* array).
    mask
        bool ``(n_tx, n_rx)``; ``False`` marks a channel that is missing or bad. Only without ``channels``.
    tx_normal, rx_normal
        Boresight directions, ``(n, 3)``, any length but zero; +z when ``None``.
    name
        A label for pictures and messages.
    tx_far, rx_far
        Whether the transmitters, or the receivers, are infinitely far away. Their waves then are plane, and the rows
        of `tx_pos` or `rx_pos` are directions from the origin to them, of any length but zero; kept as unit vectors.
        Paths count from the origin, ``P = -direction . r``, and amplitudes do not fall off.

    Raises
    ------
    ValueError
        When a shape, an index or a value does not fit, in the layouts too; the message names the field, what came and
        what was expected.

    Examples
    --------
    >>> array = ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3)
    >>> array.n_tx, array.n_rx, array.measurement_shape
    (12, 13, (12, 13))
    >>> eval(repr(array)) == array
    True
    """

    tx_pos: npt.NDArray[np.float64]
    rx_pos: npt.NDArray[np.float64]
    channels: npt.NDArray[np.int32] | None = None
    mask: npt.NDArray[np.bool_] | None = None
    tx_normal: npt.NDArray[np.float64] | None = None
    rx_normal: npt.NDArray[np.float64] | None = None
    name: str = ""
    tx_far: bool = False
    rx_far: bool = False
    _layout: str = field(default="", init=False)

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731 - frozen, so set by hand
        put("tx_pos", _positions("tx_pos", self.tx_pos))
        put("rx_pos", _positions("rx_pos", self.rx_pos))
        for name, far in (("tx_pos", self.tx_far), ("rx_pos", self.rx_far)):
            if far:
                put(name, _directions(name, getattr(self, name)))
        if self.tx_normal is not None:
            put("tx_normal", _normals("tx_normal", self.tx_normal, self.n_tx))
        if self.rx_normal is not None:
            put("rx_normal", _normals("rx_normal", self.rx_normal, self.n_rx))
        if self.channels is not None:
            if self.mask is not None:
                raise ValueError("mask belongs to an array of every pair; leave the channel out of channels instead")
            put("channels", _channels(self.channels, self.n_tx, self.n_rx))
        if self.mask is not None:
            mask = frozen_array("mask", self.mask, np.bool_)
            if mask.shape != (self.n_tx, self.n_rx):
                raise ValueError(
                    f"mask has shape {mask.shape}, array has {self.n_tx} tx and {self.n_rx} rx: "
                    f"expected {(self.n_tx, self.n_rx)}"
                )
            if not mask.any():
                raise ValueError("mask leaves no channel: expected at least one True")
            put("mask", mask)

    @property
    def n_tx(self) -> int:
        """Number of transmitters."""
        return len(self.tx_pos)

    @property
    def n_rx(self) -> int:
        """Number of receivers."""
        return len(self.rx_pos)

    @property
    def paired(self) -> bool:
        """Whether the channels are a list of (tx, rx) pairs instead of every pair."""
        return self.channels is not None

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        """Shape of one frequency of a measurement: ``(n_tx, n_rx)``, or ``(n_channel,)`` when paired."""
        return (self.n_tx, self.n_rx) if self.channels is None else (len(self.channels),)

    @property
    def n_channel(self) -> int:
        """Number of channels that carry data: pairs listed, or pairs that the mask leaves."""
        if self.channels is not None:
            return len(self.channels)
        return self.n_tx * self.n_rx if self.mask is None else int(self.mask.sum())

    def channel_indices(self) -> npt.NDArray[np.int32]:
        """Return the (tx, rx) index of each channel that carries data, int32 ``(n_channel, 2)``.

        They are in the order of the list, or, for an array of every pair, with tx varying slowest.
        """
        if self.channels is not None:
            return self.channels
        mask = np.ones((self.n_tx, self.n_rx), bool) if self.mask is None else self.mask
        return np.argwhere(mask).astype(np.int32)

    def list_channels(self, values: npt.NDArray) -> npt.NDArray:
        """Return the channels that carry data, ``(..., n_channel)``, of values ``(..., *measurement_shape)``."""
        return values if self.paired else values[(..., *self.channel_indices().T)]

    def spread_channels(self, values: npt.NDArray, fill: complex = 0) -> npt.NDArray:
        """Return values of the channels ``(..., n_channel)`` as ``(..., *measurement_shape)``; others have `fill`."""
        if self.paired:
            return values
        full = np.full((*values.shape[:-1], self.n_tx, self.n_rx), fill, values.dtype)
        full[(..., *self.channel_indices().T)] = values
        return full

    @property
    def far(self) -> tuple[bool, bool]:
        """Whether the transmitters and the receivers are infinitely far away."""
        return self.tx_far, self.rx_far

    def check_near(self, what: str) -> None:
        """Raise ValueError when antennas are infinitely far away, which `what` cannot do with."""
        if any(self.far):
            raise ValueError(f"the array has antennas infinitely far away, tx_far or rx_far: {what} expects positions")

    def looks(self, side: int, point: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return unit vectors from the transmitters (side 0) or the receivers (1) to a point, float64 ``(n, 3)``."""
        positions = (self.tx_pos, self.rx_pos)[side]
        if self.far[side]:
            return np.asarray(-positions)
        away = np.asarray(point, np.float64) - positions
        return np.asarray(away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12))

    def _from(self, layout: str) -> ArrayGeometry:
        """Store the call that makes this array, for its repr, and return the array."""
        object.__setattr__(self, "_layout", layout)
        return self

    def with_mask(self, mask: npt.ArrayLike) -> ArrayGeometry:
        """Return the same array with another mask, bool ``(n_tx, n_rx)``."""
        return replace(self, mask=np.asarray(mask))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArrayGeometry):
            return NotImplemented
        names = ("tx_pos", "rx_pos", "channels", "mask", "tx_normal", "rx_normal")
        return (self.name, self.far) == (other.name, other.far) and all(
            same_arrays(getattr(self, n), getattr(other, n)) for n in names
        )

    def __hash__(self) -> int:
        return hash((self.tx_pos.tobytes(), self.rx_pos.tobytes(), self.name))

    def __repr__(self) -> str:
        if self._layout:
            return f"ArrayGeometry.{self._layout}"
        parts = [f"tx_pos={points_repr(self.tx_pos)}", f"rx_pos={points_repr(self.rx_pos)}"]
        for name in ("channels", "mask", "tx_normal", "rx_normal"):
            value = getattr(self, name)
            if value is not None:
                parts.append(f"{name}={points_repr(value)}")
        parts += [f"{name}=True" for name in ("tx_far", "rx_far") if getattr(self, name)]
        if self.name:
            parts.append(f"name={self.name!r}")
        return f"ArrayGeometry({', '.join(parts)})"

    # -- layouts -------------------------------------------------------------------------------------------------

    @classmethod
    def mills_cross(cls, *, n_tx: int, n_rx: int, width: float, z: float = 0.0) -> ArrayGeometry:
        """Return the papers' array: antennas on the two diagonals of a square of side `width` (metres), ends included.

        Transmitters stand evenly on the diagonal from (-w/2, -w/2) to (w/2, w/2), receivers on the one from
        (-w/2, w/2) to (w/2, -w/2), all at height `z`. Source: arXiv 2312.16959, section 5 (12 Tx, 13 Rx, 0.3 m).
        """
        _require_positive(width=width)
        tx, rx = _line(n_tx, width, "n_tx"), _line(n_rx, width, "n_rx")
        n_tx, n_rx = len(tx), len(rx)
        array = cls(
            np.column_stack([tx, tx, np.full(n_tx, z)]),
            np.column_stack([rx, -rx, np.full(n_rx, z)]),
            name="mills cross",
        )
        return array._from(_call("mills_cross", n_tx=n_tx, n_rx=n_rx, width=width, z=z))

    @classmethod
    def uniform_linear(cls, *, n_tx: int, n_rx: int, width: float, z: float = 0.0) -> ArrayGeometry:
        """Return a line of transmitters along x and one of receivers along y, `width` metres each, centred on z."""
        _require_positive(width=width)
        tx, rx = _line(n_tx, width, "n_tx"), _line(n_rx, width, "n_rx")
        n_tx, n_rx = len(tx), len(rx)
        array = cls(
            np.column_stack([tx, np.zeros(n_tx), np.full(n_tx, z)]),
            np.column_stack([np.zeros(n_rx), rx, np.full(n_rx, z)]),
            name="uniform linear",
        )
        return array._from(_call("uniform_linear", n_tx=n_tx, n_rx=n_rx, width=width, z=z))

    @classmethod
    def uniform_planar(
        cls,
        *,
        tx_shape: Sequence[int],
        rx_shape: Sequence[int],
        width: float,
        height: float | None = None,
        z: float = 0.0,
    ) -> ArrayGeometry:
        """Return two regular grids of antennas over the same rectangle of `width` x `height` metres.

        ``tx_shape`` and ``rx_shape`` are the counts along x and y; ends are included, x varies slowest. Without a
        `height` it is a square.
        """
        height = width if height is None else height
        _require_positive(width=width, height=height)
        tx, rx = _plane(tx_shape, width, height, z, "tx_shape"), _plane(rx_shape, width, height, z, "rx_shape")
        shapes = {"tx_shape": tuple(map(int, tx_shape)), "rx_shape": tuple(map(int, rx_shape))}
        layout = _call("uniform_planar", **shapes, width=width, height=height, z=z)
        return cls(tx, rx, name="uniform planar")._from(layout)

    @classmethod
    def random_planar(
        cls,
        *,
        n_tx: int,
        n_rx: int,
        width: float,
        height: float | None = None,
        min_spacing: float = 0.0,
        seed: int = 0,
        z: float = 0.0,
    ) -> ArrayGeometry:
        """Return antennas at random in a rectangle, no two (Tx or Rx) closer than `min_spacing` metres.

        Positions are drawn one after another and a draw too near an earlier one is drawn again.

        Raises
        ------
        ValueError
            When the antennas do not fit at that spacing (10,000 draws for one antenna failed).
        """
        height = width if height is None else height
        _require_positive(width=width, height=height)
        _require_count(n_tx=n_tx, n_rx=n_rx)
        n_tx, n_rx = int(n_tx), int(n_rx)
        if min_spacing < 0:
            raise ValueError(f"min_spacing is {min_spacing} m: expected 0 or more")
        rng = np.random.default_rng(seed)
        placed = np.empty((0, 2))
        for antenna in range(n_tx + n_rx):
            draws = rng.uniform((-width / 2, -height / 2), (width / 2, height / 2), size=(10_000, 2))
            gaps = np.full(len(draws), np.inf)
            for other in placed:
                gaps = np.minimum(gaps, np.hypot(*(draws - other).T))
            free = np.flatnonzero(gaps >= min_spacing)
            if not len(free):
                raise ValueError(
                    f"antenna {antenna + 1} of {n_tx + n_rx} does not fit: min_spacing {min_spacing} m is too large "
                    f"for {width} m x {height} m"
                )
            placed = np.vstack([placed, draws[free[0]]])
        points = np.column_stack([placed, np.full(len(placed), z)])
        layout = _call(
            "random_planar",
            n_tx=n_tx,
            n_rx=n_rx,
            width=width,
            height=height,
            min_spacing=min_spacing,
            seed=seed,
            z=z,
        )
        return cls(points[:n_tx], points[n_tx:], name="random planar")._from(layout)

    @classmethod
    def planar_scan(
        cls, *, shape: Sequence[int], width: float, height: float | None = None, z: float = 0.0
    ) -> ArrayGeometry:
        """Return a monostatic scan: one antenna moved over a regular grid of `shape` (along x, along y) positions.

        Paired: channel i transmits and receives at position i; x varies slowest.
        """
        height = width if height is None else height
        _require_positive(width=width, height=height)
        points = _plane(shape, width, height, z, "shape")
        index = np.arange(len(points), dtype=np.int32)
        layout = _call("planar_scan", shape=tuple(map(int, shape)), width=width, height=height, z=z)
        return cls(points, points, np.column_stack([index, index]), name="planar scan")._from(layout)

    @classmethod
    def qar50(cls) -> ArrayGeometry:
        """Return the 94 transmitters and 94 receivers of a Rohde & Schwarz QAR50 submodule, as they see the scene.

        Receivers stand in two rows, transmitters in two columns, 141 mm apart, 3 mm from one to the next; the ends of a
        column are 1.5 mm further out. x is negated against the tables Rx.dat and Tx.dat of the MAROON data set
        (github.com/vwirth/maroon, data/qar50sc), as its code does before imaging; without the two alignment antennas a
        side that these list.
        """
        along = 1e-3 * np.arange(-69.0, 70.0, 3.0)
        column = np.full(len(along), 70.5e-3)
        column[[0, -1]] = 72e-3
        flat, half = np.zeros(2 * len(along)), np.full(len(along), 70.5e-3)
        tx = np.column_stack([np.concatenate([column, -column]), np.tile(along, 2), flat])
        rx = np.column_stack([-np.tile(along, 2), np.concatenate([-half, half]), flat])
        return cls(tx, rx, name="qar50")._from(_call("qar50"))


def _positions(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    points = frozen_array(name, value, np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise ValueError(f"{name} has shape {points.shape}: expected (n, 3) with n at least 1, in metres")
    if not np.isfinite(points).all():
        raise ValueError(
            f"{name} has a NaN or infinite coordinate at antenna {int(np.argwhere(~np.isfinite(points))[0, 0])}"
        )
    return points


def _directions(name: str, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = np.linalg.norm(points, axis=1, keepdims=True)
    if not length.all():
        raise ValueError(f"{name} has no direction at antenna {int(length.argmin())}: expected one of any length but 0")
    unit = np.abs(length - 1) < 1e-14  # unit vectors stay what they are, to the last bit
    return frozen_array(name, np.where(unit, points, points / length), np.float64)


def _normals(name: str, value: npt.ArrayLike, n: int) -> npt.NDArray[np.float64]:
    normals = frozen_array(name, value, np.float64)
    if normals.shape != (n, 3):
        raise ValueError(f"{name} has shape {normals.shape}: expected {(n, 3)}, one direction per antenna")
    length = np.linalg.norm(normals, axis=1)
    if not (np.isfinite(length).all() and (length > 0).all()):
        raise ValueError(
            f"{name} has a zero, NaN or infinite direction: expected finite vectors of any length but zero"
        )
    return normals


def _channels(value: npt.ArrayLike, n_tx: int, n_rx: int) -> npt.NDArray[np.int32]:
    channels = frozen_array("channels", value, np.int32)
    if channels.ndim != 2 or channels.shape[1] != 2 or not len(channels):
        raise ValueError(f"channels has shape {channels.shape}: expected (n_channel, 2), the (tx, rx) index of each")
    if (channels < 0).any() or (channels >= (n_tx, n_rx)).any():
        bad = int(np.flatnonzero(((channels < 0) | (channels >= (n_tx, n_rx))).any(axis=1))[0])
        raise ValueError(
            f"channels[{bad}] is {tuple(map(int, channels[bad]))}: expected tx below {n_tx} and rx below {n_rx}, from 0"
        )
    return channels


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value} m: expected a positive length")


def _require_count(**values: int) -> None:
    for name, value in values.items():
        if int(value) != value or value < 1:
            raise ValueError(f"{name} is {value}: expected a whole number, 1 or more")


def _line(n: int, width: float, name: str) -> npt.NDArray[np.float64]:
    """Return `n` evenly spaced positions over `width`, ends included, centred; a single one in the middle."""
    _require_count(**{name: n})
    return np.linspace(-width / 2, width / 2, int(n)) if n > 1 else np.zeros(1)


def _plane(shape: Sequence[int], width: float, height: float, z: float, name: str) -> npt.NDArray[np.float64]:
    if len(shape) != 2:
        raise ValueError(f"{name} is {tuple(shape)}: expected two counts, along x and along y")
    x, y = _line(shape[0], width, name), _line(shape[1], height, name)
    gx, gy = np.meshgrid(x, y, indexing="ij")
    return np.column_stack([gx.ravel(), gy.ravel(), np.full(gx.size, z)])


def _call(name: str, **arguments: object) -> str:
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in arguments.items()}
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in plain.items())})"
