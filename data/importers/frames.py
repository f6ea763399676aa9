"""Join the frames that a moving radar took into one scene, whose channels stand where each was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry
from mimo.array import PLUS_Z
from mimo.data.files.schema import UnfitError
from mimo.data.importers.chirp import Chirp
from mimo.data.importers.motion import Mount
from mimo.data.importers.tracks import Track
from mimo.data.measurement import Measurement

__all__ = ["one_scene", "with_turns"]

Floats = npt.NDArray[np.float64]


def one_scene(measurement: Measurement, track: Track, mount: Mount) -> Measurement:
    """Return the frames of a scan, which are the scenes of `measurement`, as one scene.

    Parameters
    ----------
    measurement
        Frames as scenes, with the antennas in the radar's own coordinates, in which it looks along z.
    track, mount
        Where the radar was at each frame, and how it was mounted.

    Returns
    -------
    Measurement
        A list of channels, position by position and within each in the order of the radar's own channels. Antennas look
        where the radar looked, unless that is +z throughout and none of them had a direction.

    Raises
    ------
    ValueError
        When there are more or fewer frames than positions.
    """
    array = measurement.array
    if any(array.far):
        raise UnfitError(
            "the antennas are infinitely far away and there is a motion: expected motion.far of the motion"
        )
    n_scene, n_frame = measurement.n_scene - mount.skip, track.n_frame
    if track.frames is not None:
        if n_scene <= track.frames.max():
            raise UnfitError(
                f"measurement has {n_scene} frames, the motion needs {track.frames.max() + 1} with its drift: expected "
                "as many or more"
            )
    elif n_scene != n_frame:
        counted = " x ".join(f"{n} {name}" for name, n in track.axes.items())
        skipped = f" after {mount.skip} that are skipped" if mount.skip else ""
        raise UnfitError(
            f"measurement has {n_scene} frames{skipped}, the motion has {counted} positions: expected one for each"
        )
    if mount.tx_shift and len(mount.tx_shift) != array.n_tx:
        raise UnfitError(f"motion.tx_shift has {len(mount.tx_shift)} numbers: expected {array.n_tx}, one a transmitter")
    turned = mount.rotation(track)
    own = array.channel_indices()
    shifts = sorted(set(mount.tx_shift)) or [0.0]
    at = {shift: track.at(shift) for shift in shifts}
    of_tx = [mount.tx_shift[t] if mount.tx_shift else 0.0 for t in range(array.n_tx)]

    def placed(points: Floats, shift: float) -> Floats:
        position, rotation = at[shift]
        return position[:, None] + (np.array(mount.lever_arm) + points @ turned.T) @ rotation.swapaxes(1, 2)

    def pointed(normals: Floats, shift: float) -> Floats:
        return (normals @ turned.T) @ at[shift][1].swapaxes(1, 2)

    tx = np.stack([placed(array.tx_pos[[t]], of_tx[t])[:, 0] for t in range(array.n_tx)], axis=1)
    rx = np.stack([placed(array.rx_pos, shift) for shift in shifts], axis=1)
    slot = np.array([shifts.index(shift) for shift in of_tx])
    n_side = len(shifts) * array.n_rx
    frame = np.arange(n_frame)[:, None]
    channels = np.stack(
        [frame * array.n_tx + own[:, 0], frame * n_side + slot[own[:, 0]] * array.n_rx + own[:, 1]], axis=2
    )
    looks = _normals(array.tx_normal, array.n_tx), _normals(array.rx_normal, array.n_rx)
    tx_look = np.stack([pointed(looks[0][[t]], of_tx[t])[:, 0] for t in range(array.n_tx)], axis=1)
    rx_look = np.stack([pointed(looks[1], shift) for shift in shifts], axis=1)
    plain = array.tx_normal is None and array.rx_normal is None
    plain = plain and all(np.allclose(look, PLUS_Z, atol=1e-12) for look in (tx_look, rx_look))

    def repeated(values: npt.NDArray | None) -> npt.NDArray | None:
        """Repeat what belongs to the radar's own channels at every position."""
        if values is None:
            return None
        listed = values if array.paired else values[..., own[:, 0], own[:, 1]]
        return np.tile(listed, (1,) * (listed.ndim - 1) + (n_frame,))

    values = measurement.values[mount.skip :]
    values = values if track.frames is None else values[track.frames]
    values = values if array.paired else values[..., own[:, 0], own[:, 1]]
    return replace(
        measurement,
        values=values.transpose(1, 0, 2).reshape(1, measurement.sweep.n_freq, -1),
        array=ArrayGeometry(
            tx.reshape(-1, 3),
            rx.reshape(-1, 3),
            channels.reshape(-1, 2),
            tx_normal=None if plain else tx_look.reshape(-1, 3),
            rx_normal=None if plain else rx_look.reshape(-1, 3),
            name=array.name,
            tx_far=mount.far,
            rx_far=mount.far,
        ),
        snr_db=None,
        background=repeated(measurement.background),
        gain=repeated(measurement.gain),
        delay=repeated(measurement.delay),
        reference_path=repeated(measurement.reference_path),
    )


def with_turns(mount: Mount, chirp: Chirp | None, order: Sequence[int]) -> Mount:
    """Return the mount with the turn of each transmitter, where the radar moves on between them.

    Parameters
    ----------
    mount
        Returned as it is unless `moving`, or when the turns are stated.
    chirp
        With the time from one chirp to the next and from one frame to the next.
    order
        Transmitters in the order of their chirps.

    Raises
    ------
    ValueError
        When those times are not known.
    """
    if not mount.moving or mount.tx_shift:
        return mount
    if chirp is None or not chirp.period or not chirp.frame_period:
        raise UnfitError("motion.moving without idle, ramp_end and frame_period of the chirps: expected all three")
    shift = np.zeros(len(order))
    shift[list(order)] = np.arange(len(order)) * chirp.period / chirp.frame_period
    return replace(mount, tx_shift=tuple(float(each) for each in shift))


def _normals(given: Floats | None, n: int) -> Floats:
    return np.tile(np.array(PLUS_Z), (n, 1)) if given is None else given
