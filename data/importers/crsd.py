"""Read CRSD, received signals of a synthetic aperture with the pulses that were sent (NGA.STND.0080, version 1.0).

CRSD is not compensated: a vector holds samples in time, which begin at ``RcvStart`` and were mixed down by
``RefPhi0 + RefFreq (t - RcvStart)`` cycles. The pulse that belongs to it is
``PhiX0 + FxFreq0 (t - TxTime) + FxRate (t - TxTime)^2 / 2`` cycles, ``TXmt`` long about ``TxTime``. The spectrum of the
vector is matched with that of its pulse here and turned by the way from the transmitter to the image area's reference
point and on to the receiver: so it becomes phase history as CPHD holds it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.fft
from scipy.constants import speed_of_light

from mimo.data.files.schema import FileError
from mimo.data.importers.layout import Array, checked_numbers
from mimo.data.importers.sar_products import PhaseHistory, Product, begins_with, measured, opened, parts_of
from mimo.data.measurement import Measurement

__all__ = ["read", "recognise"]

NAME = "crsd"
DESCRIPTION = "CRSD 1.0: received signals of a synthetic aperture and the pulses sent, NGA.STND.0080"
EXPLANATION = (
    "Read by sarkit (extra sar). Of CRSDsar with linear FM pulses (LFM) and signals mixed down to one frequency:",
    "each vector is matched with its pulse and becomes a channel with places of its own; the way by the image area's",
    "reference point is reference_path. channel, vectors and frame as of cphd. CRSDtx and CRSDrcv have one side of the",
    "way and are refused; so are other pulses, signals mixed with a chirp (FICRate), and compressed ones.",
)


def recognise(path: Path) -> bool:
    """Whether `path` is a file that begins as CRSD does."""
    return path.is_file() and begins_with(path, b"CRSD")


def read(
    path: Path, *, channel: str = "", vectors: str = "", frame: str = "scene", permittivity: float = 1.0
) -> Measurement:
    """Read one channel as a measurement in which every vector is a channel.

    Parameters
    ----------
    path
        The file.
    channel
        Name of the receive channel; the reference channel when empty.
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
        When the file has one side of the way only, other pulses than linear FM, or is compressed, cut or mangled.
    """
    if not begins_with(path, b"CRSDsar/1."):
        raise FileError(
            path, "begins in another way than CRSDsar/1 does: expected transmitter and receiver in one file"
        )
    with opened(path, "crsd") as product:
        name = product.channel(channel, "Data/Receive/Channel/ChId", "Channel/RefChId")
        waveform = product.text("TxSequence/TxWFType")
        if waveform != "LFM":
            raise FileError(path, f"TxSequence/TxWFType is {waveform}: expected LFM, linear FM pulses")
        signal, pvp, pulses = _read(product, name, vectors)
        rate = float(product.text(f"Channel/Parameters[{{*}}Identifier='{name}']/Fs"))
        found = _matched(product, signal, pvp, pulses, rate)
        return measured(product, found, frame=frame, permittivity=permittivity, name=NAME, channel=name)


def _read(product: Product, name: str, vectors: str) -> tuple[Array, Array, Array]:
    """Return the signals ``(n_vector, n_sample)`` with their parameters, and those of the pulse of each."""
    path = product.path
    if product.tree.find("{*}Data/{*}Receive/{*}SignalCompression") is not None:
        raise FileError(path, "the signal is compressed: expected it plain")
    n_vector, _ = product.size(f"Data/Receive/Channel[{{*}}ChId='{name}']", "Data/Receive/SignalArrayFormat")
    chosen = product.vectors(vectors, n_vector)
    signal, pvp = (each[chosen] for each in product.reader.read_channel(name))
    sequence = product.text(f"Channel/Parameters[{{*}}Identifier='{name}']/SARImage/TxId")
    n_pulse = int(product.text(f"Data/Transmit/TxSequence[{{*}}TxId='{sequence}']/NumPulses"))
    product.checked_size(n_pulse, 2, 1)
    pulses = product.reader.read_ppps(sequence)
    sent = (pvp["SIGNAL"] == 1) & (pvp["TxPulseIndex"] >= 0) & (pvp["TxPulseIndex"] < len(pulses))
    if not sent.any():
        raise FileError(path, f"channel {name} has no vector with a signal and a pulse: expected one at least")
    return parts_of(signal[sent]), pvp[sent], pulses[pvp["TxPulseIndex"][sent]]


def _matched(product: Product, signal: Array, pvp: Array, pulses: Array, rate: float) -> PhaseHistory:
    """Match each vector with its pulse; see the head of this module for what both are."""
    path = product.path
    for name in ("FICRate", "DFIC0"):
        if np.any(pvp[name] != 0):
            raise FileError(path, f"{name} is not 0: expected signals mixed down to one frequency, not with a chirp")
    mixed = checked_numbers(path, "RefFreq", pvp["RefFreq"].astype(np.float64))
    if np.ptp(mixed) > 0:
        raise FileError(path, f"RefFreq is {mixed.min():g} to {mixed.max():g} Hz: expected the same of all vectors")
    low, high = pulses["FX1"].max(), pulses["FX2"].min()
    length = checked_numbers(path, "TXmt", pulses["TXmt"].astype(np.float64))
    n_pulse = np.maximum(np.round(length * rate).astype(int), 1)
    if not rate > 0 or not (length > 0).all() or n_pulse.max() > 100 * signal.shape[1]:
        raise FileError(path, f"TXmt is {length.max():g} s, Fs {rate:g} Hz: expected pulses as long as the samples")
    n_fft = scipy.fft.next_fast_len(signal.shape[1] + int(n_pulse.max()))
    freq = mixed[0] + np.fft.fftshift(np.fft.fftfreq(n_fft, 1 / rate))
    kept = np.flatnonzero((freq >= low) & (freq <= high))
    if len(kept) < 2:
        raise FileError(
            path,
            f"the pulses share {low:g} to {high:g} Hz, the samples cover {freq[0]:g} to {freq[-1]:g} Hz: expected "
            f"frequencies in both",
        )
    freq = freq[kept]
    point = product.point("SceneCoordinates/IARP/ECF")
    tx, rx = pulses["TxPos"].astype(np.float64), pvp["RcvPos"].astype(np.float64)
    late = _seconds(pvp["RcvStart"], pulses["TxTime"])
    there = np.linalg.norm(tx - point, axis=1)
    for _ in range(2):  # the receiver moves on until the echo of the point arrives
        way = there + np.linalg.norm(rx - point, axis=1)
        rx = pvp["RcvPos"] + pvp["RcvVel"] * (way / speed_of_light - late)[:, None]
    way = there + np.linalg.norm(rx - point, axis=1)
    gain = checked_numbers(path, "AmpSF", pvp["AmpSF"].astype(np.float64))
    values = np.empty((len(freq), len(pvp)), np.complex64)
    for i, (samples, pulse) in enumerate(zip(signal, pulses, strict=True)):
        time = (np.arange(n_pulse[i]) - (n_pulse[i] - 1) / 2) / rate
        cycles = pulse["PhiX0"]["Frac"] + (pulse["FxFreq0"] - mixed[0]) * time + pulse["FxRate"] * time**2 / 2
        sent = _spectrum(np.exp(2j * np.pi * cycles), n_fft, kept) * np.exp(-2j * np.pi * (freq - mixed[0]) * time[0])
        heard = _spectrum(gain[i] * samples, n_fft, kept)
        turn = pvp["RefPhi0"]["Frac"][i] + freq * (way[i] / speed_of_light - late[i])
        values[:, i] = heard * sent.conj() / np.mean(np.abs(sent) ** 2) * np.exp(2j * np.pi * turn)
    return PhaseHistory(values, freq, tx, rx, np.tile(point, (len(tx), 1)))


def _spectrum(samples: Array, n_fft: int, kept: Array) -> Array:
    """Return the kept part of the spectrum, low frequencies first."""
    return np.asarray(scipy.fft.fftshift(scipy.fft.fft(samples, n_fft))[kept])


def _seconds(end: Array, start: Array) -> Array:
    """Return the time between two whole and broken numbers of seconds."""
    return np.asarray((end["Int"] - start["Int"]).astype(np.float64) + (end["Frac"] - start["Frac"]))
