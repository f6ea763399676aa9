"""Read the 16-bit numbers of TI captures: one file or several of a DCA1000, or those of the cascade's four devices.

A DCA1000 begins another file after a gigabyte, in the middle of a frame; they are read as one. Each device of the
cascade writes ``master_0000_data.bin``, ``slave1_0000_data.bin``, ...: frame by frame, chirp by chirp, sample by sample
I and Q of its four receivers; after a limit of size with 0001, 0002, ... in the name. The ``idx.bin`` beside each
begins with four 32-bit numbers, of which the fourth counts the frames, and the length of the data in 64 bits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mimo.data.files.limits import check_size, open_regular
from mimo.data.files.schema import FileError
from mimo.data.importers.layout import Array

__all__ = ["DEVICES", "capture_files", "is_cascade", "read_beats"]

DEVICES = ("master", "slave1", "slave2", "slave3")
"""Devices of the cascade in the order of their receivers."""

RX_OF_DEVICE = 4
HEADER = np.dtype([("tag", "<u4"), ("version", "<u4"), ("flags", "<u4"), ("n_frame", "<u4"), ("n_byte", "<u8")])


def is_cascade(folder: Path) -> bool:
    """Whether a folder holds a capture of the cascade."""
    return folder.is_dir() and any(folder.glob("master_*_data.bin"))


def capture_files(path: Path) -> list[Path]:
    """Return the files of a DCA1000 capture, in their order: those of a folder, or all that go on from the first.

    Raises
    ------
    FileError
        When a folder holds several captures (they are named), or none.
    """
    if path.is_dir():
        found = [each for each in sorted(path.glob("*.bin")) if _parts(each)[1] == min(_numbers(each))]
        whole = [each for each in found if each.name == "adc_data.bin"]
        found = whole or found
        if len(found) != 1:
            held = ", ".join(each.name for each in found[:4]) or "no .bin file"
            raise FileError(path, f"holds {held}: expected one capture, adc_data.bin or adc_data_Raw_0.bin and on")
        path = found[0]
    stem, first = _parts(path)
    if first < 0:
        return [path]
    later = [number for number in _numbers(path) if number >= first]
    if later != list(range(first, first + len(later))):
        missing = next(n for n in range(first, first + len(later)) if n not in later)
        raise FileError(path, f"goes on in {stem}{later[-1]}.bin, {stem}{missing}.bin is missing: expected every file")
    return [path.with_name(f"{stem}{number}.bin") for number in later] if later else [path]


def read_beats(path: Path, entries: Mapping[str, Any], n_tx: int, n_rx: int) -> Array:
    """Return a capture as complex64 ``(n_frame, n_chirp, n_tx, n_rx, n_sample)``, transmitters in their turns.

    Parameters
    ----------
    path
        A folder, or the (first) .bin file.
    entries
        ``n_sample``, ``n_chirp``, ``n_frame`` (0: from the length), ``lanes``, ``iq_order``; of a cascade ``rx``.
    n_tx, n_rx
        Turns in a loop, receivers.

    Raises
    ------
    FileError
        When a file is missing or not as long as the entries say; with the length that they ask for.
    """
    if is_cascade(path):
        i, q = _cascade(path, entries, n_tx, n_rx)
    else:
        files = capture_files(path)
        raw = np.concatenate([_samples(each) for each in files]) if len(files) > 1 else _samples(files[0])
        n_frame = _frames(files[0], raw.size, entries, n_tx, n_rx)
        chirps = raw.reshape(n_frame, entries["n_chirp"], n_tx, -1)
        i, q = _two_lanes(chirps, n_rx) if entries["lanes"] == 2 else _four_lanes(chirps, n_rx)
    if entries["iq_order"] == "QI":
        i, q = q, i
    beats = np.empty(i.shape, np.complex64)
    beats.real, beats.imag = i, q
    return beats


def _parts(path: Path) -> tuple[str, int]:
    """Return a file's stem and the number at its end, which counts the files of a capture; -1 without one."""
    found = re.fullmatch(r"(.*_)(\d+)", path.stem)
    return (found[1], int(found[2])) if found and str(int(found[2])) == found[2] else (path.stem, -1)


def _numbers(path: Path) -> list[int]:
    """Return the numbers of the files that belong to the same capture as `path`."""
    stem = _parts(path)[0]
    parts = [_parts(each) for each in path.parent.glob("*.bin")]
    return sorted(number for name, number in parts if name == stem)


def _cascade(folder: Path, entries: Mapping[str, Any], n_tx: int, n_rx: int) -> tuple[Array, Array]:
    """Return I and Q of the receivers that are in use, of all devices and of one file after another."""
    used = list(entries.get("rx") or range(RX_OF_DEVICE * len(DEVICES)))
    if len(used) != n_rx:
        raise FileError(
            folder, f"is a capture of {len(used)} receivers, there are {n_rx} rx positions: expected as many"
        )
    parts, sets = [], sorted(each.name[len("master_") : -len("_data.bin")] for each in folder.glob("master_*_data.bin"))
    for number in sets:
        devices = []
        for name in DEVICES:
            own = [rx % RX_OF_DEVICE for rx in used if rx // RX_OF_DEVICE == DEVICES.index(name)]
            if own:
                devices.append(_device(folder / f"{name}_{number}_data.bin", entries, n_tx)[..., own])
        if len({len(each) for each in devices}) > 1:
            counted = ", ".join(str(len(each)) for each in devices)
            raise FileError(folder, f"has {counted} frames of the devices in files {number}: expected as many of each")
        parts.append(np.concatenate(devices, axis=-1))
    numbers = np.concatenate(parts)  # frame, chirp, turn, sample, iq, rx
    if entries["n_frame"]:
        if len(numbers) < entries["n_frame"]:
            raise FileError(folder, f"has {len(numbers)} frames: expected n_frame {entries['n_frame']}")
        numbers = numbers[: entries["n_frame"]]
    return numbers[..., 0, :].swapaxes(-1, -2), numbers[..., 1, :].swapaxes(-1, -2)


def _device(data: Path, entries: Mapping[str, Any], n_tx: int) -> Array:
    """Return the numbers of one file of a device, ``(frame, chirp, turn, sample, iq, rx)``."""
    raw = _samples(data)
    shape = (entries["n_chirp"], n_tx, entries["n_sample"], RX_OF_DEVICE, 2)
    one = int(np.prod(shape))
    index = data.with_name(data.name.replace("_data.bin", "_idx.bin"))
    if index.is_file():
        n_frame = _counted(index)
        if raw.size < n_frame * one:
            raise FileError(
                data,
                f"has {raw.size} 16-bit numbers, {index.name} counts {n_frame} frames: expected {n_frame} of {one}",
            )
        raw = raw[: n_frame * one]
    elif not raw.size or raw.size % one:
        raise FileError(
            data,
            f"has {raw.size} 16-bit numbers: expected frames of {one} ({shape[0]} chirps x {n_tx} tx x "
            f"{RX_OF_DEVICE} rx x {shape[2]} samples x I and Q)",
        )
    return raw.reshape(-1, *shape).swapaxes(-1, -2)


def _counted(index: Path) -> int:
    """Return the number of frames that an index file states."""
    with open_regular(index, "an index of the frames") as file:
        head = file.read(HEADER.itemsize)
    if len(head) < HEADER.itemsize:
        raise FileError(index, f"has {len(head)} bytes: expected a header of {HEADER.itemsize}")
    n_frame = int(np.frombuffer(head, HEADER)["n_frame"][0])
    if not n_frame:
        raise FileError(index, "counts 0 frames: expected 1 or more")
    return n_frame


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
        with open_regular(path, "16-bit numbers") as file:
            size = os.fstat(file.fileno()).st_size
            if size % 2:
                raise FileError(path, f"is {size} bytes long: expected 16-bit numbers, an even number of bytes")
            check_size(path, "the recording", 4 * size)  # complex numbers of 8 bytes
            return np.fromfile(file, "<i2")
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
