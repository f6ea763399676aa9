"""Name what is not known of a radar, and turn a vector of unknowns into the radar and into derivatives of its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mimo import Acquisition, ArrayGeometry, LayeredMedium
from mimo.autofocus.support import Fields
from mimo.options import unknown

__all__ = ["KINDS", "PER", "PRIORS", "RadarErrors", "Unknowns", "pulses_of"]

Floats = npt.NDArray[np.float64]

KINDS = ("phase", "gain", "delay", "position", "pose", "permittivity")
"""What can be solved for."""

PER = ("antenna", "channel", "pulse")
"""What has an unknown of its own: each antenna, each channel, or each pulse, the channels that share antennas."""

PRIORS = {
    "phase": np.deg2rad(40.0),
    "gain": 0.1,
    "delay": 3e-11,
    "position": 2e-3,
    "pose": 2e-3,
    "rotation": np.deg2rad(0.5),
    "permittivity": 0.1,
}
"""Standard deviations that are expected unless others are named: radians, nepers, seconds, metres, radians, and shares
of the permittivity."""


@dataclass(frozen=True, eq=False)
class RadarErrors:
    """Holds what sets a radar apart from the nominal one; its data are ``gain exp(-2j pi f delay)`` times the model's.

    Attributes
    ----------
    tx_shift, rx_shift
        How far each antenna is from its nominal place, metres, float64 ``(n, 3)``.
    log_gain
        Logarithm of each channel's complex gain, complex128 ``(n_channel,)``.
    delay
        Seconds, float64 ``(n_channel,)``.
    medium
        Factors of the permittivity, float64 ``(1,)`` or one for each layer.
    """

    tx_shift: Floats
    rx_shift: Floats
    log_gain: npt.NDArray[np.complex128]
    delay: Floats
    medium: Floats

    def acquisition(self, nominal: Acquisition) -> Acquisition:
        """Return the acquisition of the antennas where they are, in the medium that it is."""
        changes: dict[str, Floats] = {}
        if self.tx_shift.any() or self.rx_shift.any():
            changes = {"tx_pos": nominal.array.tx_pos + self.tx_shift, "rx_pos": nominal.array.rx_pos + self.rx_shift}
        if (self.medium != 1).any():
            layers = nominal.layers
            changes["permittivity"] = self.medium * (nominal.permittivity if layers is None else layers.permittivity)
        return nominal.with_radar(**changes)

    def response(self, freq: Floats) -> npt.NDArray[np.complex128]:
        """Return the gain of each channel at frequencies in hertz, complex128 ``(n_freq, n_channel)``."""
        turns = freq[:, None] * self.delay
        return np.exp(self.log_gain - 2j * np.pi * (turns - np.round(turns)))


class Unknowns:
    """Lays out the unknowns of a radar as one vector of real numbers.

    Parameters
    ----------
    acquisition
        The nominal radar.
    solve
        Names of `KINDS`.
    per
        One of `PER`. Poses belong to pulses, or with ``per="antenna"`` to the whole array; a permittivity to the medium
        or to each of its layers.
    priors
        Standard deviations in place of those of `PRIORS`, in the same units.

    Attributes
    ----------
    std
        Standard deviation expected of each unknown, float64 ``(n,)``.
    kind
        Kind of each unknown, a name of `KINDS` or ``"rotation"``.
    label
        What each unknown belongs to, in words: ``tx 3 x``.

    Raises
    ------
    ValueError
        When a name is not known, or the kind has no meaning for this array.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        solve: Sequence[str],
        *,
        per: str = "antenna",
        priors: Mapping[str, float] | None = None,
    ) -> None:
        for name in solve:
            if name not in KINDS:
                raise ValueError(unknown("what to solve for", name, KINDS))
        if not solve or len(set(solve)) < len(solve):
            raise ValueError(f"solve is {','.join(solve) or 'empty'}: expected some of {', '.join(KINDS)}, each once")
        if per not in PER:
            raise ValueError(f"per is {per!r}: expected {', '.join(PER)}")
        expected = {**PRIORS, **(priors or {})}
        for name, value in expected.items():
            if name not in PRIORS:
                raise ValueError(unknown("prior", name, list(PRIORS)))
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"prior {name} is {value}: expected a positive standard deviation")
        array = acquisition.array
        if {"position", "pose"} & set(solve):
            array.check_near("a search for the antennas' places")
        if per == "channel" and {"position", "pose"} & set(solve):
            raise ValueError("position or pose per channel: expected per antenna or pulse, as channels have no place")
        self.solve, self.per, self._expected = tuple(solve), per, expected
        self._array, self._medium = array, acquisition.medium
        self.tx, self.rx = array.channel_indices().astype(np.int64).T
        self._pulse = pulses_of(array)
        self._blocks: list[tuple[str, slice]] = []
        self.kind: list[str] = []
        self.label: list[str] = []
        std: list[float] = []
        for name in solve:
            start = len(self.kind)
            for kind, label in self._layout(name):
                self.kind.append(kind)
                self.label.append(label)
                std.append(expected[kind])
            self._blocks.append((name, slice(start, len(self.kind))))
        self.std = np.array(std)

    def __len__(self) -> int:
        """Return the number of unknowns."""
        return len(self.std)

    @property
    def n_layer(self) -> int:
        """Number of permittivities of the medium."""
        return len(self._medium.permittivity) if isinstance(self._medium, LayeredMedium) else 1

    @property
    def n_pulse(self) -> int:
        """Number of pulses: groups of channels that share no antenna with others."""
        return int(self._pulse.max()) + 1

    def channel_groups(self) -> list[npt.NDArray[np.int64]]:
        """Return the groups whose unknowns a channel depends on: an array ``(n_channel,)`` of numbers for each side."""
        if self.per == "antenna":
            return [self.tx, self.rx]
        return [np.arange(len(self.tx)) if self.per == "channel" else self._pulse]

    def _groups(self) -> list[str]:
        """Return what has an unknown of its own, in words."""
        if self.per == "channel":
            return [f"channel {t}:{r}" for t, r in zip(self.tx, self.rx, strict=True)]
        if self.per == "pulse":
            return [f"pulse {i}" for i in range(self.n_pulse)]
        return [f"tx {i}" for i in range(self._array.n_tx)] + [f"rx {i}" for i in range(self._array.n_rx)]

    def _layout(self, name: str) -> list[tuple[str, str]]:
        """Return kind and label of each unknown of a name of `KINDS`."""
        if name == "permittivity":
            return [(name, "medium" if self.n_layer == 1 else f"layer {i}") for i in range(self.n_layer)]
        if name == "pose":
            bodies = self._groups() if self.per == "pulse" else ["array"]
            moved = [("pose", f"{body} {axis}") for axis in "xyz" for body in bodies]
            return moved + [("rotation", f"{body} about {axis}") for axis in "xyz" for body in bodies]
        if name == "position":
            return [(name, f"{group} {axis}") for axis in "xyz" for group in self._groups()]
        return [(name, group) for group in self._groups()]

    # -- the radar of a vector -----------------------------------------------------------------------------------

    def errors(self, theta: Floats) -> RadarErrors:
        """Return the radar's errors that a vector of unknowns means."""
        array, n_channel = self._array, len(self.tx)
        shift = [np.zeros((array.n_tx, 3)), np.zeros((array.n_rx, 3))]
        log_gain, delay, medium = np.zeros(n_channel, complex), np.zeros(n_channel), np.ones(self.n_layer)
        for name, block in self._blocks:
            values = theta[block]
            if name == "permittivity":
                medium = 1 + values
            elif name in ("position", "pose"):
                for total, part in zip(shift, self._moved(name, values), strict=True):
                    total += part
            elif name == "delay":
                delay += self._of_channels(values)
            else:
                log_gain += (1j if name == "phase" else 1) * self._of_channels(values)
        return RadarErrors(shift[0], shift[1], log_gain, delay, medium)

    def _of_channels(self, values: Floats) -> Floats:
        """Return what the groups' values add to each channel."""
        if self.per == "antenna":
            return values[: self._array.n_tx][self.tx] + values[self._array.n_tx :][self.rx]
        return values if self.per == "channel" else values[self._pulse]

    def _moved(self, name: str, values: Floats) -> tuple[Floats, Floats]:
        """Return how far positions or poses move the transmitters and the receivers."""
        array = self._array
        if name == "position":
            shift = values.reshape(3, -1).T
            if self.per == "antenna":
                return shift[: array.n_tx], shift[array.n_tx :]
            tx_body, rx_body, _ = self._bodies()
            return shift[tx_body], shift[rx_body]
        tx_body, rx_body, middle = self._bodies()
        move, turn = (part.reshape(3, -1).T for part in np.split(values, 2))
        return tuple(
            move[body] + np.cross(turn[body], place - middle[body])
            for body, place in ((tx_body, array.tx_pos), (rx_body, array.rx_pos))
        )  # type: ignore[return-value]

    def _bodies(self, *, whole: bool = False) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
        """Return the rigid body of each transmitter and each receiver, one for the `whole` array, and their middles."""
        array = self._array
        tx_body, rx_body = np.zeros(array.n_tx, np.int64), np.zeros(array.n_rx, np.int64)
        if self.per == "pulse" and not whole:
            tx_body[self.tx], rx_body[self.rx] = self._pulse, self._pulse
        bodies, places = np.concatenate([tx_body, rx_body]), np.concatenate([array.tx_pos, array.rx_pos])
        count = np.bincount(bodies).clip(1)
        middle = np.stack([np.bincount(bodies, places[:, i]) / count for i in range(3)], axis=1)
        return tx_body, rx_body, middle

    # -- derivatives ---------------------------------------------------------------------------------------------

    def pull_back(
        self,
        phase: Floats,
        delay: Floats,
        *,
        tx_pos: Floats | None = None,
        rx_pos: Floats | None = None,
        permittivity: Floats | None = None,
    ) -> Floats:
        """Return a number's derivatives by the unknowns, float64 ``(n,)``, from those by what they change.

        Those by `phase` and `delay` are of the channels, ``(n_channel,)``, those by places ``(n, 3)``, and those by the
        permittivities of the layers ``(n_layer,)``. Gains have none.
        """
        parts = []
        for name, _ in self._blocks:
            if name == "permittivity":
                medium = self._medium
                nominal = medium.permittivity if isinstance(medium, LayeredMedium) else np.array([medium])
                assert permittivity is not None  # noqa: S101 - the caller's contract, for the type checker
                parts.append(np.atleast_1d(permittivity) * nominal)
            elif name in ("position", "pose"):
                parts.append(self._pull_back_places(name, tx_pos, rx_pos))
            elif name == "gain":
                raise ValueError("derivatives by gains are not known here: expected phases, delays, places, media")
            else:
                parts.append(self._to_groups(phase if name == "phase" else delay))
        return np.concatenate(parts)

    def _to_groups(self, values: Floats) -> Floats:
        """Add up what each group's channels have: the transpose of `_of_channels`."""
        if self.per == "antenna":
            array = self._array
            return np.concatenate([np.bincount(self.tx, values, array.n_tx), np.bincount(self.rx, values, array.n_rx)])
        return values if self.per == "channel" else np.bincount(self._pulse, values, self.n_pulse).astype(np.float64)

    def _pull_back_places(self, name: str, tx: Floats | None, rx: Floats | None) -> Floats:
        """Return what derivatives by places ``(n, 3)`` mean for positions or poses: the transpose of `_moved`."""
        assert tx is not None  # noqa: S101 - the caller's contract, for the type checker
        assert rx is not None  # noqa: S101
        if name == "position" and self.per == "antenna":
            return np.concatenate([tx, rx]).T.flatten()
        tx_body, rx_body, middle = self._bodies()
        body, every = np.concatenate([tx_body, rx_body]), np.concatenate([tx, rx])
        parts = [every]
        if name == "pose":
            places = np.concatenate([self._array.tx_pos, self._array.rx_pos])
            parts.append(np.cross(places - middle[body], every))
        return np.concatenate([np.bincount(body, part[:, i], len(middle)) for part in parts for i in range(3)])

    def jacobian(self, fields: Fields, theta: Floats) -> torch.Tensor:
        """Return the derivatives of the model's data by the unknowns, complex ``(n_freq * n_channel, n)``.

        `fields` are the model's data, and their derivatives by places and medium, at `theta`.
        """
        omega = 2 * np.pi * torch.as_tensor(fields.freq.copy())[:, None]
        y = fields.values
        columns = []
        for name, block in self._blocks:
            if name == "permittivity":
                scale = torch.as_tensor(1 + theta[block])  # the fields' derivatives are by shares of the present medium
                columns.append((fields.by_medium.movedim(0, -1) / scale).flatten(0, 1))
            elif name == "position":
                columns += [self._scatter(fields.by_tx[i], fields.by_rx[i]) for i in range(3)]
            elif name == "pose":
                columns += self._of_poses(fields)
            else:
                each = {"phase": 1j * y, "gain": y, "delay": -1j * omega * y}[name]
                columns.append(self._scatter(each, each, both=True))
        return torch.cat([column.to(y.dtype) for column in columns], 1)

    def _scatter(self, by_tx: torch.Tensor, by_rx: torch.Tensor, *, both: bool = False) -> torch.Tensor:
        """Return the columns of the groups from derivatives of each side, ``(n_freq, n_channel)`` each.

        With `both` the two are one and the same, which a channel or a pulse counts once.
        """
        tx, rx, total = torch.from_numpy(self.tx), torch.from_numpy(self.rx), by_tx if both else by_tx + by_rx
        if self.per == "antenna":
            return torch.cat([_spread(by_tx, tx, self._array.n_tx), _spread(by_rx, rx, self._array.n_rx)], 1)
        if self.per == "channel":
            return _spread(total, torch.arange(len(tx)), len(tx))
        return _spread(total, torch.from_numpy(self._pulse), self.n_pulse)

    def _of_poses(self, fields: Fields, *, whole: bool = False) -> list[torch.Tensor]:
        """Return the columns of the poses: shifts along x, y, z of each body, or of the `whole` array, then turns."""
        tx_body, rx_body, middle = self._bodies(whole=whole)
        body = torch.from_numpy(tx_body[self.tx])
        columns = [_spread(fields.by_tx[i] + fields.by_rx[i], body, len(middle)) for i in range(3)]
        arms = (
            self._array.tx_pos[self.tx] - middle[tx_body[self.tx]],
            self._array.rx_pos[self.rx] - middle[rx_body[self.rx]],
        )
        for i in range(3):
            total = torch.zeros_like(fields.values)
            for arm, by in zip(arms, (fields.by_tx, fields.by_rx), strict=True):
                turn = torch.from_numpy(np.cross(np.eye(3)[i], arm))
                total = total + (by * turn.T[:, None]).sum(0)
            columns.append(_spread(total, body, len(middle)))
        return columns

    def ambiguous(self, fields: Fields) -> torch.Tensor:
        """Return the derivatives by what no data can tell: the array's pose, a common phase, a common gain.

        Complex ``(n_freq * n_channel, 8)``. Moving the whole array is moving the scene; a common phase or gain is the
        scene's.
        """
        columns = self._of_poses(fields, whole=True) if len(fields.by_tx) else []
        columns += [1j * fields.values.reshape(-1, 1), fields.values.reshape(-1, 1)]
        return torch.cat(columns, 1)


def _spread(values: torch.Tensor, group: torch.Tensor, n: int) -> torch.Tensor:
    """Return ``(n_freq * n_channel, n)``: each channel's values ``(n_freq, n_channel)`` in its group's column."""
    out = torch.zeros((*values.shape, n), dtype=values.dtype)
    out[:, torch.arange(values.shape[1]), group] = values
    return out.flatten(0, 1)


def pulses_of(array: ArrayGeometry) -> npt.NDArray[np.int64]:
    """Return the pulse that each channel belongs to, int64 ``(n_channel,)``: channels that share an antenna are one.

    A board that is carried along a raster has antennas of its own at each place, and so a pulse at each; a monostatic
    scan has a pulse for each channel; an array of every pair is one pulse.
    """
    tx, rx = array.channel_indices().astype(np.int64).T
    n = array.n_tx + array.n_rx
    links = coo_array((np.ones(len(tx)), (tx, rx + array.n_tx)), shape=(n, n))
    _, body = connected_components(links, directed=False)
    _, pulse = np.unique(body[tx], return_inverse=True)
    first = np.full(pulse.max() + 1, len(pulse))
    np.minimum.at(first, pulse, np.arange(len(pulse)))
    rank = np.empty_like(first)
    rank[np.argsort(first)] = np.arange(len(first))  # numbered as they come
    return rank[pulse].astype(np.int64)
