"""Read raw data of Texas Instruments mmWave radars: captures of a DCA1000 or of the cascade, with the radar's setup.

The files hold 16-bit numbers, frame by frame, chirp by chirp, with the transmitters taking turns (TDM). How I and Q of
the receivers are interleaved depends on the number of LVDS data lanes, and so on the device:

- ``lanes = 2`` (xWR16xx, xWR18xx, xWR68xx): receiver after receiver, in each ``I0 I1 Q0 Q1 I2 I3 Q2 Q3 ...``;
- ``lanes = 4`` (xWR12xx, xWR14xx): sample after sample, in each I of every receiver, then Q of every receiver.

The cascade's four devices write a file each (`mimo.data.importers.ti_samples`). The setup is a TOML file of one's own,
mmWave Studio's JSON or a .cfg of the mmWave SDK (`mimo.data.importers.ti_config`); of the latter two a TOML file beside
them states what they do not, and has the last word. Antennas are those of a board by name, or positions.

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

from pathlib import Path
from typing import Any

import numpy as np

from mimo import ArrayGeometry
from mimo.data.calibration.delay import remove_video_phase
from mimo.data.files.schema import FileError, UnfitError
from mimo.data.importers.boards import BOARDS, board_array
from mimo.data.importers.chirp import Chirp
from mimo.data.importers.frames import one_scene, with_turns
from mimo.data.importers.layout import Array, in_our_sign, positions, sweep_of
from mimo.data.importers.motion import Motion
from mimo.data.importers.settings import load_toml
from mimo.data.importers.ti_calibration import calibration_factor
from mimo.data.importers.ti_config import find_config, read_config
from mimo.data.importers.ti_samples import is_cascade, read_beats
from mimo.data.measurement import Measurement, check_permittivity

__all__ = ["read", "recognise"]

NAME = "ti"
DESCRIPTION = "TI mmWave captures: .bin of a DCA1000 or the cascade, with mmWave Studio's JSON, a .cfg or radar.toml"
EXPLANATION = (
    "adc_data.bin, adc_data_Raw_0.bin and on, or master_0000_data.bin, slave1_0000_data.bin, ... with idx.bin. Setup:",
    "the option config, or beside the data *.mmwave.json, *.cfg and radar.toml, which has the last word. The option",
    f"board places the antennas: {', '.join(BOARDS)}.",
    "radar.toml has start_freq (Hz), slope (Hz/s), sample_rate (Hz), n_sample, n_chirp (of each tx in a frame), and",
    "board, or tx_pos and rx_pos (m); if not the usual ones also n_frame (from the length), adc_start (0 s), lanes",
    "(2, or 4), iq_order ('IQ', or 'QI' where the capture has them swapped), phase_sign (+1), tx_order (each chirp's",
    "tx, from 0), video_phase (true: taken out), target_motion (true: the phase of one radial velocity is taken out",
    "between tx), idle, ramp_end and frame_period (s, for motion.moving); of a board tx and rx (numbers in use, from",
    "0), tx_offset (m, of all tx) and mirror (true: x negated). The option calibration is the cascade's .mat, applied;",
    "with calibration_range (m, of its reflector) the ways to that are put back. Frames become scenes.",
)
CONFIG = "radar.toml"
REQUIRED = ("start_freq", "slope", "sample_rate", "n_sample", "n_chirp")
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
    "tx_pos": [],
    "rx_pos": [],
    "board": "",
    "tx": [],
    "rx": [],
    "tx_offset": [0.0, 0.0, 0.0],
    "mirror": False,
    "calibration_range": 0.0,
}
CASCADE = "awr2243-cascade"


CHIRP = ("start_freq", "slope", "sample_rate", "adc_start", "idle", "ramp_end", "frame_period")


def recognise(path: Path) -> bool:
    """Whether `path` is a folder or a .bin file of a capture, with a setup beside it."""
    if path.is_dir():
        if not is_cascade(path) and not any(path.glob("*.bin")):
            return False
    elif path.suffix.lower() != ".bin" or not path.is_file():
        return False
    folder = path if path.is_dir() else path.parent
    try:
        return (folder / CONFIG).is_file() or find_config(folder) is not None
    except FileError:
        return True


def read(
    path: Path,
    *,
    config: str = "",
    board: str = "",
    calibration: str = "",
    permittivity: float = 1.0,
    motion: Motion | None = None,
) -> Measurement:
    """Read a capture as a measurement in which every frame is a scene, or all are one where the radar moved.

    Parameters
    ----------
    path
        The folder, or the (first) .bin file.
    config
        The setup: a TOML file, mmWave Studio's JSON or a .cfg; those beside the data when empty.
    board
        Name of the board, of `BOARDS`.
    calibration
        The cascade's .mat of the calibration.
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
    folder = path if path.is_dir() else path.parent
    setup, entries = _entries(folder, config, board)
    array, sign = _antennas(setup, entries)
    tx, rx = array.n_tx, array.n_rx
    order = _order(setup, entries["tx_order"], tx)
    beats = read_beats(path, entries, tx, rx)  # frame, chirp, turn, rx, sample
    if entries["target_motion"]:
        beats *= _against_motion(setup, beats)
    n_sample = entries["n_sample"]
    values = np.empty((len(beats), tx, rx, n_sample), np.complex64)
    values[:, order] = beats.mean(axis=1) * sign[:, None].astype(np.float32)
    chirp = Chirp(**{name: entries[name] for name in CHIRP}, n_sample=n_sample)
    if calibration:
        on_tx, on_rx = (list(entries[side] or range(n)) for side, n in (("tx", tx), ("rx", rx)))
        reach = float(entries["calibration_range"])
        values *= calibration_factor(_near(folder, calibration), chirp, n_sample, on_tx, on_rx, order[0], array, reach)
    measurement = Measurement(
        in_our_sign(setup, values.transpose(0, 3, 1, 2), entries["phase_sign"]),
        array,
        sweep_of(setup, "start_freq, slope and sample_rate", chirp.freq(n_sample)),
        permittivity=check_permittivity(permittivity),
        source=f"ti {path.name}",
    )
    if entries["video_phase"]:
        measurement = remove_video_phase(measurement, chirp.slope)
    if motion is None:
        return measurement
    return one_scene(measurement, motion.track(), with_turns(motion.mount, chirp, order))


def _near(folder: Path, name: str) -> Path:
    """Return a path as given, or beside the data."""
    return Path(name) if Path(name).exists() else folder / name


def _entries(folder: Path, config: str, board: str) -> tuple[Path, dict[str, Any]]:
    """Return the file that states the setup, for messages, and its entries, checked."""
    stated = _near(folder, config) if config else find_config(folder)
    toml = stated if stated is not None and stated.suffix.lower() == ".toml" else folder / CONFIG
    if stated is None and not toml.is_file():
        raise FileError(
            folder, f"has no setup: expected *.mmwave.json, *.cfg or {CONFIG} beside the data, or config=FILE"
        )
    own = load_toml(toml) if stated is None or stated == toml or toml.is_file() else {}
    base = {} if stated is None or stated == toml else read_config(stated)
    if base and "tx_pos" in own:  # positions of one's own are those of the antennas in use
        base = {name: value for name, value in base.items() if name not in ("tx", "rx") or is_cascade(folder)}
    entries = {**base, **own, **({"board": board} if board else {})}
    if is_cascade(folder) and not entries.get("board") and "tx_pos" not in entries:
        entries["board"] = CASCADE
    where = toml if stated is None or stated == toml else stated
    return where, _checked(where, entries, even=not is_cascade(folder))


def _antennas(path: Path, entries: dict[str, Any]) -> tuple[ArrayGeometry, Array]:
    """Return the array, and the sign of each receiver."""
    if not entries["board"]:
        tx, rx = (positions(path, name, _numbers(path, name, entries[name])) for name in ("tx_pos", "rx_pos"))
        return ArrayGeometry(tx, rx, name="ti"), np.ones(len(rx))
    numbers = {name: tuple(entries[name]) for name in ("tx", "rx")}
    try:
        return board_array(entries["board"], **numbers, tx_offset=tuple(entries["tx_offset"]), mirror=entries["mirror"])
    except UnfitError as error:
        raise FileError(path, str(error)) from error


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


def _checked(path: Path, entries: dict[str, Any], *, even: bool) -> dict[str, Any]:
    """Return the entries with defaults filled in; FileError naming one that is missing, unknown or out of range."""
    for name in REQUIRED:
        if name not in entries:
            raise FileError(path, f"entry {name} is missing: expected {', '.join(REQUIRED)}")
    if not entries.get("board") and not ("tx_pos" in entries and "rx_pos" in entries):
        missing = "rx_pos" if "tx_pos" in entries else "tx_pos"
        raise FileError(path, f"entry {missing} is missing: expected tx_pos and rx_pos, or board={'|'.join(BOARDS)}")
    for name in entries:
        if name not in REQUIRED and name not in OPTIONAL:
            raise FileError(path, f"entry {name!r} is unknown: expected {', '.join((*REQUIRED, *OPTIONAL))}")
    entries = {**OPTIONAL, **entries}
    for name in ("n_sample", "n_chirp", "n_frame"):
        value = entries[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < (name != "n_frame"):
            raise FileError(path, f"{name} is {value!r}: expected a whole number, 1 or more")
    for name in ("video_phase", "target_motion", "mirror"):
        if not isinstance(entries[name], bool):
            raise FileError(path, f"{name} is {entries[name]!r}: expected true or false")
    for name in ("tx", "rx"):
        if not isinstance(entries[name], list) or not all(type(each) is int for each in entries[name]):
            raise FileError(path, f"{name} is {entries[name]!r}: expected a list of numbers of antennas, from 0")
    if _numbers(path, "tx_offset", entries["tx_offset"]).shape != (3,):
        raise FileError(path, f"tx_offset is {entries['tx_offset']!r}: expected [x, y, z] in metres")
    for name in (*CHIRP, "calibration_range"):
        value, may_be_0 = entries[name], name not in ("start_freq", "slope", "sample_rate")
        if not isinstance(value, int | float) or not np.isfinite(value) or value < 0 or (value == 0 and not may_be_0):
            raise FileError(path, f"{name} is {value!r}: expected a positive number, in Hz, Hz/s, s or m")
    for name, allowed in (("lanes", (2, 4)), ("iq_order", ("IQ", "QI")), ("phase_sign", (1, -1))):
        if entries[name] not in allowed:
            raise FileError(path, f"{name} is {entries[name]!r}: expected {' or '.join(map(str, allowed))}")
    if even and entries["lanes"] == 2 and entries["n_sample"] % 2:
        raise FileError(path, f"n_sample is {entries['n_sample']}: expected an even number with two lanes")
    return entries


def _numbers(path: Path, name: str, value: Any) -> Array:
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise FileError(path, f"{name} is {str(value)[:60]}: expected a list of [x, y, z] in metres") from error
