"""Read how a TI radar was set up: mmWave Studio's JSON, or the lines of a ``.cfg`` of the mmWave SDK.

Both become the entries of ``radar.toml`` (see `mimo.data.importers.ti`). The radar must send with one transmitter after
another (TDM), with chirps that differ in nothing but the transmitter and the pause, and capture complex 16-bit samples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mimo.data.files.limits import read_text
from mimo.data.files.schema import FileError

__all__ = ["find_config", "read_config"]

MOST_BYTES = 16 << 20
"""Longest file of a setup that is read; real ones have a hundred kilobytes."""


def find_config(folder: Path) -> Path | None:
    """Return the one setup in a folder, .mmwave.json before JSON before .cfg; FileError for several."""
    for pattern in ("*.mmwave.json", "*.json", "*.cfg"):
        found = [path for path in sorted(folder.glob(pattern)) if pattern != "*.json" or _is_studio(path)]
        if len(found) > 1:
            listed = ", ".join(path.name for path in found[:4])
            raise FileError(folder, f"holds {listed}: expected one setup of the radar, or the option config=FILE")
        if found:
            return found[0]
    return None


def read_config(path: Path) -> dict[str, Any]:
    """Return the entries that a setup states, under the names of ``radar.toml``, with ``tx`` and ``rx`` in use.

    Raises
    ------
    FileError
        Naming what is missing or cannot be read: real samples, several transmitters at once, chirps that differ.
    """
    if path.suffix.lower() == ".json":
        return _studio(path, _json(path))
    return _command_lines(path)


def _is_studio(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size < MOST_BYTES and b"mmWaveDevices" in path.read_bytes()
    except OSError:
        return False


# -- mmWave Studio ---------------------------------------------------------------------------------------------------


def _studio(path: Path, tables: Any) -> dict[str, Any]:
    """Return the entries of a JSON file: one device, or the four of the cascade whose chirps go together."""
    devices = tables.get("mmWaveDevices") if isinstance(tables, dict) else None
    if not isinstance(devices, list) or not devices:
        raise FileError(path, "has no list mmWaveDevices: expected the .mmwave.json of mmWave Studio")
    devices = sorted(devices, key=lambda device: int(device.get("mmWaveDeviceId", 0)))
    radio = [_entry(path, device, "rfConfig") for device in devices]
    frame, output = _entry(path, radio[0], "rlFrameCfg_t"), _entry(path, radio[0], "rlAdcOutCfg_t", "fmt")
    _check_samples(path, _whole(path, output, "b2AdcBits"), _whole(path, output, "b2AdcOutFmt"))
    first, last = _whole(path, frame, "chirpStartIdx"), _whole(path, frame, "chirpEndIdx")
    masks, profile = [], 0
    for number in range(first, last + 1):
        mask = 0
        for i, each in enumerate(radio):
            chirp = _chirp(path, each, number)
            mask |= _whole(path, chirp, "txEnable") << (3 * i)
            used = _whole(path, chirp, "profileId")
            profile = used if number == first and i == 0 else profile
            varied = [name for name in ("startFreqVar_MHz", "freqSlopeVar_KHz_usec") if chirp.get(name, 0)]
            if varied:
                raise FileError(path, f"chirp {number} has {varied[0]} {chirp[varied[0]]}: expected 0, chirps alike")
            _check_alike(path, number, *(_profile(path, each, k) for k in (profile, used)))
        masks.append(mask)
    rx = [
        4 * i + bit
        for i, each in enumerate(radio)
        for bit in _bits(_whole(path, _entry(path, each, "rlChanCfg_t"), "rxChannelEn"))
    ]
    told = _profile(path, radio[0], profile)
    entries = {
        "start_freq": 1e9 * _number(path, told, "startFreqConst_GHz"),
        "slope": 1e12 * _number(path, told, "freqSlopeConst_MHz_usec"),
        "sample_rate": 1e3 * _number(path, told, "digOutSampleRate"),
        "adc_start": 1e-6 * _number(path, told, "adcStartTimeConst_usec"),
        "idle": 1e-6 * _number(path, told, "idleTimeConst_usec"),
        "ramp_end": 1e-6 * _number(path, told, "rampEndTime_usec"),
        "n_sample": _whole(path, told, "numAdcSamples"),
        "n_chirp": _whole(path, frame, "numLoops"),
        "frame_period": 1e-3 * _number(path, frame, "framePeriodicity_msec"),
        "rx": rx,
        **_turns(path, masks),
    }
    capture = devices[0].get("rawDataCaptureConfig", {})
    swap = capture.get("rlDevDataFmtCfg_t", {}).get("iqSwapSel")
    entries |= {} if swap is None else {"iq_order": "QI" if swap else "IQ"}
    lanes = capture.get("rlDevLaneEnable_t", {}).get("laneEn")
    if len(devices) == 1 and lanes is not None:
        n_lane = len(_bits(_whole(path, {"laneEn": lanes}, "laneEn")))
        mixed = capture.get("rlDevDataFmtCfg_t", {}).get("chInterleave")
        known = mixed is None or {2: 1, 4: 0}.get(n_lane) == mixed
        entries["lanes"] = n_lane if known else f"{n_lane} with chInterleave {mixed}"  # refused unless radar.toml says
    return entries


def _chirp(path: Path, radio: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """Return the chirp that a number belongs to; chirps may be listed as ranges."""
    for each in radio.get("rlChirps", []):
        chirp: Mapping[str, Any] = _entry(path, each, "rlChirpCfg_t")
        if _whole(path, chirp, "chirpStartIdx") <= number <= _whole(path, chirp, "chirpEndIdx"):
            return chirp
    raise FileError(path, f"has no chirp {number} in rlChirps: expected every chirp of the frame")


def _profile(path: Path, radio: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    for each in radio.get("rlProfiles", []):
        profile: Mapping[str, Any] = _entry(path, each, "rlProfileCfg_t")
        if _whole(path, profile, "profileId") == number:
            return profile
    raise FileError(path, f"has no profile {number} in rlProfiles: expected that of the chirps")


# -- mmWave SDK ------------------------------------------------------------------------------------------------------

PROFILE: tuple[str, ...] = (
    "profileId",
    "startFreq",
    "idleTime",
    "adcStartTime",
    "rampEndTime",
    "txOutPower",
    "txPhaseShifter",
)
PROFILE += ("freqSlopeConst", "txStartTime", "numAdcSamples", "digOutSampleRate")
CHIRP = ("startIdx", "endIdx", "profileId", "startFreqVar", "slopeVar", "idleVar", "adcStartVar", "txEnable")
FRAME = ("chirpStartIdx", "chirpEndIdx", "numLoops", "numFrames", "framePeriodicity")
NAMES = {"profileCfg": PROFILE, "chirpCfg": CHIRP, "frameCfg": FRAME}
NAMES |= {"channelCfg": ("rxChannelEn", "txChannelEn"), "adcCfg": ("numADCBits", "adcOutputFmt")}
"""Arguments of the commands, in order, after mmWave SDK's user's guide; a line may have more."""


def _command_lines(path: Path) -> dict[str, Any]:
    lines = read_text(path, "a .cfg of the mmWave SDK", errors="replace").splitlines()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    for line in lines:
        name, *texts = line.split("%")[0].split() or [""]
        if name in NAMES:
            if len(texts) < len(NAMES[name]):
                raise FileError(path, f"{line.strip()!r}: expected {name} {' '.join(NAMES[name])}")
            found[name].append(dict(zip(NAMES[name], texts, strict=False)))
    for name in ("profileCfg", "chirpCfg", "frameCfg", "channelCfg"):
        if not found[name]:
            raise FileError(path, f"has no line {name} {' '.join(NAMES[name])}: expected a .cfg of the mmWave SDK")
    for adc in found["adcCfg"]:
        _check_samples(path, _whole(path, adc, "numADCBits"), _whole(path, adc, "adcOutputFmt"))
    frame, profiles = found["frameCfg"][0], {_whole(path, each, "profileId"): each for each in found["profileCfg"]}
    masks, used = [], []
    for number in range(_whole(path, frame, "chirpStartIdx"), _whole(path, frame, "chirpEndIdx") + 1):
        chirp = next(
            (
                each
                for each in found["chirpCfg"]
                if _whole(path, each, "startIdx") <= number <= _whole(path, each, "endIdx")
            ),
            None,
        )
        if chirp is None or _whole(path, chirp, "profileId") not in profiles:
            raise FileError(path, f"has no chirp {number} with a profile: expected every chirp of frameCfg")
        if _number(path, chirp, "startFreqVar") or _number(path, chirp, "slopeVar"):
            raise FileError(path, f"chirp {number} changes frequency or slope: expected 0, chirps alike")
        used.append(profiles[_whole(path, chirp, "profileId")])
        _check_alike(path, number, used[0], used[-1])
        masks.append(_whole(path, chirp, "txEnable"))
    if not used:
        raise FileError(path, "has a frame without chirps: expected chirpEndIdx not below chirpStartIdx")
    return {
        "start_freq": 1e9 * _number(path, used[0], "startFreq"),
        "slope": 1e12 * _number(path, used[0], "freqSlopeConst"),
        "sample_rate": 1e3 * _number(path, used[0], "digOutSampleRate"),
        "adc_start": 1e-6 * _number(path, used[0], "adcStartTime"),
        "idle": 1e-6 * _number(path, used[0], "idleTime"),
        "ramp_end": 1e-6 * _number(path, used[0], "rampEndTime"),
        "n_sample": _whole(path, used[0], "numAdcSamples"),
        "n_chirp": _whole(path, frame, "numLoops"),
        "frame_period": 1e-3 * _number(path, frame, "framePeriodicity"),
        "rx": _bits(_whole(path, found["channelCfg"][0], "rxChannelEn")),
        **_turns(path, masks),
    }


# -- both ------------------------------------------------------------------------------------------------------------

ALIKE: tuple[str, ...] = (
    "startFreqConst_GHz",
    "freqSlopeConst_MHz_usec",
    "digOutSampleRate",
    "adcStartTimeConst_usec",
    "numAdcSamples",
)
ALIKE += ("startFreq", "freqSlopeConst", "adcStartTime")


def _check_alike(path: Path, number: int, first: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raise FileError where the profile of a chirp samples other frequencies than that of the first."""
    for name in ALIKE:
        if first.get(name) != other.get(name):
            raise FileError(
                path, f"chirp {number} has {name} {other.get(name)}, the first {first.get(name)}: expected chirps alike"
            )


def _check_samples(path: Path, bits: int, kind: int) -> None:
    if bits != 2:
        raise FileError(path, f"says {bits} for the bits of a sample: expected 2, 16 bits")
    if kind not in (1, 2):
        raise FileError(path, f"says {kind} for the kind of the samples: expected 1 or 2, complex")


def _turns(path: Path, masks: Sequence[int]) -> dict[str, Any]:
    """Return the transmitters in use and their turns, from the mask of each chirp."""
    turns = []
    for number, mask in enumerate(masks):
        sending = _bits(mask)
        if len(sending) != 1:
            raise FileError(path, f"chirp {number} sends with {len(sending)} transmitters: expected one after another")
        turns += sending
    if len(set(turns)) < len(turns):
        raise FileError(path, f"chirps send with the transmitters {turns}, from 0: expected each once in a loop")
    tx = sorted(turns)
    return {"tx": tx, "tx_order": [tx.index(each) for each in turns]}


def _bits(mask: int) -> list[int]:
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size >= MOST_BYTES:
            raise FileError(path, f"has {path.stat().st_size} bytes: expected the .mmwave.json of mmWave Studio")
        return json.loads(read_text(path, "a JSON file"))
    except FileError:
        raise
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror}): expected a JSON file") from error
    except (ValueError, RecursionError) as error:
        raise FileError(path, f"is not JSON ({error}): expected the .mmwave.json of mmWave Studio") from error


def _entry(path: Path, table: Any, *names: str) -> Any:
    for name in names:
        if not isinstance(table, dict) or name not in table:
            raise FileError(path, f"has no {name}: expected it in the setup")
        table = table[name]
    return table


def _number(path: Path, table: Mapping[str, Any], name: str) -> float:
    try:
        return float(table[name])
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(path, f"{name} is {table.get(name, 'missing')!r}: expected a number") from error


def _whole(path: Path, table: Mapping[str, Any], name: str) -> int:
    """Return a whole number, which may be a text, in hexadecimal too, as the masks are."""
    value = table.get(name)
    try:
        found = int(value, 0) if isinstance(value, str) else int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise FileError(
            path, f"{name} is {'missing' if value is None else repr(value)}: expected a whole number"
        ) from error
    if found < 0 or found != float(found if isinstance(value, str) else value):  # type: ignore[arg-type]
        raise FileError(path, f"{name} is {value!r}: expected a whole number, 0 or more")
    return found
