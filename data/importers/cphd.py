"""Read CPHD, compensated phase history of a synthetic aperture (NGA.STND.0068, version 1), as sarkit opens it.

A sample of a vector in the FX domain was taken at the frequency ``SC0 + n SCSS`` and has the phase
``SGN 2 pi f (tau - tau_SRP)``: tau is the way from the transmitter ``TxPos`` to a point and on to the receiver
``RcvPos``, in seconds, tau_SRP that by way of the reference point ``SRPPos``. So every vector is a channel with a
transmitter and a receiver of its own, and tau_SRP is the reference path.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mimo.data.files.schema import FileError
from mimo.data.importers.layout import Array, checked_numbers
from mimo.data.importers.sar_products import PhaseHistory, Product, begins_with, measured, opened, parts_of
from mimo.data.measurement import Measurement

__all__ = ["read", "recognise"]

NAME = "cphd"
DESCRIPTION = "CPHD 1: compensated phase history of a synthetic aperture, NGA.STND.0068"
EXPLANATION = (
    "Read by sarkit (extra sar). A vector of the frequency domain (DomainType FX) is a channel with places of its own,",
    "with the way by the reference point (SRPPos) as reference_path; AmpSF is applied, vectors without a signal are",
    "left out. channel names another than the file's reference channel, vectors=start:stop:step takes a part of it.",
    "frame=scene: the origin is the image area's reference point, x and y are its axes (east and north where it is no",
    "plane), z points up; frame=ecf: Earth-fixed. Vectors of unlike frequencies, time domain (TOA), compression: no.",
)
SLACK = 1e-3
"""Part of a cycle by which the phase at the edge of the saved swath may be wrong, where frequencies differ."""


def recognise(path: Path) -> bool:
    """Whether `path` is a file that begins as CPHD does."""
    return path.is_file() and begins_with(path, b"CPHD/")


def read(
    path: Path, *, channel: str = "", vectors: str = "", frame: str = "scene", permittivity: float = 1.0
) -> Measurement:
    """Read one channel as a measurement in which every vector is a channel.

    Parameters
    ----------
    path
        The file.
    channel
        Name of the channel in the file; the reference channel when empty.
    vectors
        Which vectors, ``start:stop`` or ``start:stop:step``; all when empty.
    frame
        ``scene`` or ``ecf``, see `measured`.
    permittivity
        Relative permittivity of the medium.

    Returns
    -------
    Measurement
        complex64 values ``(1, n_freq, n_vector)``, paired, with ``reference_path``.

    Raises
    ------
    FileError
        When the file is of another version or domain, compressed, cut or mangled, or its vectors' frequencies differ.
    """
    if not begins_with(path, b"CPHD/1."):
        raise FileError(path, "begins in another way than CPHD/1 does: expected CPHD of version 1.0.1 or 1.1.0")
    with opened(path, "cphd") as product:
        name = product.channel(channel, "Data/Channel/Identifier", "Channel/RefChId")
        domain, sign = product.text("Global/DomainType"), product.text("Global/SGN")
        if domain != "FX":
            raise FileError(path, f"Global/DomainType is {domain}: expected FX, samples of frequency")
        if sign.removeprefix("+") not in ("-1", "1"):
            raise FileError(path, f"Global/SGN is {sign}: expected -1 or +1")
        found = _history(product, name, vectors)
        values = found.values.conj() if sign.removeprefix("+") == "1" else found.values
        found = PhaseHistory(values, found.freq, found.tx, found.rx, found.reference)
        return measured(product, found, frame=frame, permittivity=permittivity, name=NAME, channel=name)


def _history(product: Product, name: str, vectors: str) -> PhaseHistory:
    """Read the vectors of a channel that have a signal, with the phase's sign as in the file."""
    path = product.path
    if product.tree.find("{*}Data/{*}SignalCompressionID") is not None:
        raise FileError(
            path, f"the signal is compressed ({product.text('Data/SignalCompressionID')}): expected it plain"
        )
    n_vector, n_sample = product.size(f"Data/Channel[{{*}}Identifier='{name}']", "Data/SignalArrayFormat")
    chosen = product.vectors(vectors, n_vector)
    start, stop, step = chosen.indices(n_vector)
    signal, pvp = product.reader.read_channel(name, start_vector=start, stop_vector=stop)
    signal, pvp = signal[::step], pvp[::step]
    if "SIGNAL" in pvp.dtype.names:
        signal, pvp = signal[pvp["SIGNAL"] == 1], pvp[pvp["SIGNAL"] == 1]
    if not len(pvp):
        raise FileError(path, f"channel {name} has no vector with a signal: expected SIGNAL 1 of one at least")
    freq, kept = _frequencies(path, pvp, n_sample)
    values = parts_of(signal[:, kept])
    if "AmpSF" in pvp.dtype.names:
        values = values * checked_numbers(path, "AmpSF", pvp["AmpSF"])[:, None]
    return PhaseHistory(np.asarray(values).T, freq, pvp["TxPos"], pvp["RcvPos"], pvp["SRPPos"])


def _frequencies(path: Path, pvp: Array, n_sample: int) -> tuple[Array, slice]:
    """Return the frequencies of the samples within the band of every vector, and which samples these are.

    FileError when the vectors were sampled at frequencies so different that a point at the edge of the swath that they
    can hold would be off by more than `SLACK` of a cycle.
    """
    first, step = (checked_numbers(path, name, pvp[name].astype(np.float64)) for name in ("SC0", "SCSS"))
    low, high = (checked_numbers(path, name, pvp[name].astype(np.float64)) for name in ("FX1", "FX2"))
    middle = len(pvp) // 2
    freq = first[middle] + step[middle] * np.arange(n_sample)
    if not (step > 0).all() or not (first > 0).all():
        raise FileError(path, f"SC0 is {first.min():g} Hz, SCSS {step.min():g} Hz at least: expected positive ones")
    apart = np.maximum(np.abs(first - first[middle]), np.abs(first - first[middle] + (step - step[middle]) * n_sample))
    if apart.max() > SLACK * 2 * step[middle]:  # the swath is 1/SCSS long, half of it on either side
        raise FileError(
            path,
            f"frequencies of vector {int(apart.argmax())} are {apart.max():g} Hz beside those of vector {middle}, "
            f"{step[middle]:g} Hz apart: expected the same of all, choose such with the option vectors",
        )
    inside = np.flatnonzero((freq >= low.max() - step[middle] / 2) & (freq <= high.min() + step[middle] / 2))
    if len(inside) < 2:
        raise FileError(
            path,
            f"the bands of the vectors share {low.max():g} to {high.min():g} Hz: expected 2 samples there at least",
        )
    kept = slice(int(inside[0]), int(inside[-1]) + 1)
    return freq[kept], kept
