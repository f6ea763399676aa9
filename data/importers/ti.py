"""Read raw data of Texas Instruments mmWave radars: ``adc_data.bin`` of a DCA1000, with a TOML file of the chirp.

The file holds 16-bit numbers, frame by frame, chirp by chirp, with the transmitters taking turns (TDM). How I and Q of
the receivers are interleaved depends on the number of LVDS data lanes, and so on the device:

- ``lanes = 2`` (xWR16xx, xWR18xx, xWR68xx): receiver after receiver, in each ``I0 I1 Q0 Q1 I2 I3 Q2 Q3 ...``;
- ``lanes = 4`` (xWR12xx, xWR14xx): sample after sample, in each I of every receiver, then Q of every receiver.

A sample of a chirp is a sample over frequency: ``f = start_freq + slope (adc_start + n / sample_rate)``. The beat
signal of these devices carries exp(+j k R) (transmitted times conjugate received signal) and is conjugated here; the
residual video phase ``pi slope tau^2`` (half a degree at 1 m and 70 MHz/us, growing with its square) is taken out when
``video_phase`` says so. Chirps of one transmitter in a frame are averaged, frames become scenes, or one scene where the
option ``motion`` says how the radar moved.

While transmitters take turns the target moves on, which looks like another direction of arrival. ``target_motion``
takes out the phase of one radial velocity a frame: that of the correlation between successive chirps of a transmitter
(the pulse-pair estimate), at most half a turn from one to the next. A strong echo that stands still keeps it at zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mimo import ArrayGeometry
from mimo.data.calibration.delay import remove_video_phase
from mimo.data.files.schema import FileError
from mimo.data.importers.chirp import Chirp
from mimo.data.importers.frames import one_scene, with_turns
from mimo.data.importers.layout import Array, in_our_sign, positions, sweep_of
from mimo.data.importers.motion import Motion
from mimo.data.importers.settings import load_toml
from mimo.data.measurement import Measurement, check_permittivity

__all__ = ["read", "recognise"]

NAME = "ti"
DESCRIPTION = "TI mmWave adc_data.bin with radar.toml: chirp, lanes, I/Q order, antennas"
EXPLANATION = (
    "radar.toml has start_freq (Hz), slope (Hz/s), sample_rate (Hz), n_sample, n_chirp (of each tx in a frame), tx_pos",
    "and rx_pos (metres); if not the usual ones also n_frame (from the length), adc_start (0 s), lanes (2, or 4),",
    "iq_order ('IQ', or 'QI' where the capture has them swapped), phase_sign (+1), tx_order (each chirp's tx, from 0),",
    "video_phase (true: taken out), target_motion (true: the phase of one radial velocity is taken out between tx),",
    "idle, ramp_end and frame_period (s, for motion.moving). Frames become scenes.",
)
DATA, CONFIG = "adc_data.bin", "radar.toml"
REQUIRED = ("start_freq", "slope", "sample_rate", "n_sample", "n_chirp", "tx_pos", "rx_pos")
OPTIONAL: dict[str, Any] = {
    "n_frame": 0,
    "adc_start": 0.0,
    "lanes": 2,
    "iq_order": "IQ",
    "phase_sign": 1,
    "tx_order": [],
    "video_phase": False,
    "target_motion": False,
    "idle": 0.0,
    "ramp_end": 0.0,
    "frame_period": 0.0,
}


CHIRP = ("start_freq", "slope", "sample_rate", "adc_start", "idle", "ramp_end", "frame_period")


def recognise(path: Path) -> bool:
    """Whether `path` is the folder of a capture and its TOML file, or the .bin file beside one."""
    if path.is_dir():
        return (path / DATA).is_file() and (path / CONFIG).is_file()
    return path.suffix.lower() == ".bin" and (path.parent / CONFIG).is_file()


def read(path: Path, *, config: str = "", permittivity: float = 1.0, motion: Motion | None = None) -> Measurement:
    """Read a capture as a measurement in which every frame is a scene, or all are one where the radar moved.

    Parameters
    ----------
    path
        The folder, or the .bin file.
    config
        The TOML file; ``radar.toml`` beside the data when empty.
    permittivity
        Relative permittivity of the medium.
    motion
        How the radar moved between the frames; they become one scene.

    Returns
    -------
    Measurement
        complex64 values ``(n_frame, n_sample, n_tx, n_rx)``, or those of a list of channels.

    Raises
    ------
    FileError
        Naming the file and the entry; for a wrong length, the length that the entries ask for.
    """
    data = path / DATA if path.is_dir() else path
    toml = Path(config) if config else data.parent / CONFIG
    entries = _checked(toml, load_toml(toml))
    tx, rx = (positions(toml, name, _numbers(toml, name, entries[name])) for name in ("tx_pos", "rx_pos"))
    n_sample, n_chirp = entries["n_sample"], entries["n_chirp"]
    raw = _samples(data)
    n_frame = _frames(data, raw.size, entries, len(tx), len(rx))
    chirps = raw.reshape(n_frame, n_chirp, len(tx), -1)
    i, q = _two_lanes(chirps, len(rx)) if entries["lanes"] == 2 else _four_lanes(chirps, len(rx))
    if entries["iq_order"] == "QI":
        i, q = q, i
    order = _order(toml, entries["tx_order"], len(tx))
    beats = np.empty(i.shape, np.complex64)  # frame, chirp, turn, rx, sample
    beats.real, beats.imag = i, q
    if entries["target_motion"]:
        beats *= _against_motion(toml, beats)
    values = np.empty((n_frame, len(tx), len(rx), n_sample), np.complex64)
    values[:, order] = beats.mean(axis=1)
    chirp = Chirp(**{name: entries[name] for name in CHIRP}, n_sample=n_sample)
    measurement = Measurement(
        in_our_sign(toml, values.transpose(0, 3, 1, 2), entries["phase_sign"]),
        ArrayGeometry(tx, rx, name="ti"),
        sweep_of(toml, "start_freq, slope and sample_rate", chirp.freq(n_sample)),
        permittivity=check_permittivity(permittivity),
        source=f"ti {data.name}",
    )
    if entries["video_phase"]:
        measurement = remove_video_phase(measurement, chirp.slope)
    if motion is None:
        return measurement
    return one_scene(measurement, motion.track(), with_turns(motion.mount, chirp, order))


def _order(path: Path, given: Any, n_tx: int) -> list[int]:
    """Return the number of the transmitter of each chirp; FileError unless every one has its turn."""
    if not given:
        return list(range(n_tx))
    if not isinstance(given, list) or sorted(map(str, given)) != sorted(map(str, range(n_tx))):
        raise FileError(path, f"tx_order is {given!r}: expected 0 to {n_tx - 1}, each once, in the order of the chirps")
    return [int(number) for number in given]


def _against_motion(path: Path, beats: Array) -> Array:
    """Return the factor ``(frame, chirp, turn, 1, 1)`` that stops the dominant motion of each frame's scene."""
    n_chirp, n_turn = beats.shape[1:3]
    if n_chirp < 2:
        raise FileError(path, f"target_motion with n_chirp {n_chirp}: expected 2 or more chirps of a transmitter")
    pairs = (beats[:, 1:] * beats[:, :-1].conj()).sum(axis=(1, 2, 3, 4), dtype=np.complex128)
    turn = np.angle(pairs)[:, None, None] * (np.arange(n_chirp)[:, None] + np.arange(n_turn) / n_turn)
    return np.exp(-1j * turn).astype(np.complex64)[..., None, None]


def _two_lanes(chirps: Array, n_rx: int) -> tuple[Array, Array]:
    """Separate I and Q, ``(frame, chirp, tx, rx, sample)``, of pairs ``I0 I1 Q0 Q1``, receiver after receiver."""
    pairs = chirps.reshape(*chirps.shape[:3], n_rx, -1, 2, 2)  # rx, pair of samples, I or Q, first or second
    shape = (*pairs.shape[:4], -1)
    return pairs[..., 0, :].reshape(shape), pairs[..., 1, :].reshape(shape)


def _four_lanes(chirps: Array, n_rx: int) -> tuple[Array, Array]:
    """Separate I and Q, ``(frame, chirp, tx, rx, sample)``, of samples with every receiver's I, then every Q."""
    samples = chirps.reshape(*chirps.shape[:3], -1, 2, n_rx)
    return samples[..., 0, :].swapaxes(-1, -2), samples[..., 1, :].swapaxes(-1, -2)


def _samples(path: Path) -> Array:
    try:
        size = path.stat().st_size
        if size % 2:
            raise FileError(path, f"is {size} bytes long: expected 16-bit numbers, an even number of bytes")
        return np.fromfile(path, "<i2")
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror}): expected 16-bit numbers") from error


def _frames(path: Path, n_number: int, entries: Mapping[str, Any], n_tx: int, n_rx: int) -> int:
    """Return the number of frames; FileError when the file is not as long as the entries say."""
    one = entries["n_chirp"] * n_tx * n_rx * entries["n_sample"] * 2
    n_frame = entries["n_frame"] or n_number // one
    if n_frame < 1 or n_number != n_frame * one:
        told = f"{n_frame} frames of" if n_frame else "frames of"
        raise FileError(
            path,
            f"has {n_number} 16-bit numbers: expected {told} {one} "
            f"({entries['n_chirp']} chirps x {n_tx} tx x {n_rx} rx x {entries['n_sample']} samples x I and Q)",
        )
    return n_frame


def _checked(path: Path, entries: dict[str, Any]) -> dict[str, Any]:
    """Return the entries with defaults filled in; FileError naming one that is missing, unknown or out of range."""
    for name in REQUIRED:
        if name not in entries:
            raise FileError(path, f"entry {name} is missing: expected {', '.join(REQUIRED)}")
    for name in entries:
        if name not in REQUIRED and name not in OPTIONAL:
            raise FileError(path, f"entry {name!r} is unknown: expected {', '.join((*REQUIRED, *OPTIONAL))}")
    entries = {**OPTIONAL, **entries}
    for name in ("n_sample", "n_chirp", "n_frame"):
        value = entries[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < (name != "n_frame"):
            raise FileError(path, f"{name} is {value!r}: expected a whole number, 1 or more")
    for name in ("video_phase", "target_motion"):
        if not isinstance(entries[name], bool):
            raise FileError(path, f"{name} is {entries[name]!r}: expected true or false")
    for name in CHIRP:
        value, may_be_0 = entries[name], name not in ("start_freq", "slope", "sample_rate")
        if not isinstance(value, int | float) or not np.isfinite(value) or value < 0 or (value == 0 and not may_be_0):
            raise FileError(path, f"{name} is {value!r}: expected a positive number, in Hz, Hz/s or s")
    for name, allowed in (("lanes", (2, 4)), ("iq_order", ("IQ", "QI")), ("phase_sign", (1, -1))):
        if entries[name] not in allowed:
            raise FileError(path, f"{name} is {entries[name]!r}: expected {' or '.join(map(str, allowed))}")
    if entries["lanes"] == 2 and entries["n_sample"] % 2:
        raise FileError(path, f"n_sample is {entries['n_sample']}: expected an even number with two lanes")
    return entries


def _numbers(path: Path, name: str, value: Any) -> Array:
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise FileError(path, f"{name} is {str(value)[:60]}: expected a list of [x, y, z] in metres") from error
