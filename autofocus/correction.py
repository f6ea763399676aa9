"""Write a radar's errors into a measurement, as a calibration that later scans of the same radar can use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mimo.autofocus.found import Found
from mimo.data import Measurement
from mimo.data.provenance import recorded

__all__ = ["corrected"]


def corrected(measurement: Measurement, found: Found, *, objective: str, method: str, scenes: list[int]) -> Measurement:
    """Return the measurement with the corrected antennas and medium, and with the channels' gains and delays.

    Its values stay as they were measured; `mimo.recon.reconstruct` divides the gains out. The step that is recorded
    names the nominal places, so that `mimo.data.calibration.apply_calibration` knows scans that state these.
    """
    step = {
        "solve": list(found.unknowns.solve),
        "per": found.unknowns.per,
        "objective": objective,
        "method": method,
        "scenes": scenes,
        "held_out": found.held_out,
        "share_before": found.before,
        "share_after": found.after,
        "gained": found.gained,
    }
    if not found.gained:
        return recorded(measurement, "autofocus", **step)
    errors, array, freq = found.errors, measurement.array, measurement.sweep.freq
    changes: dict[str, Any] = {}
    if errors.tx_shift.any() or errors.rx_shift.any():
        step |= {"nominal_tx_pos": array.tx_pos.tolist(), "nominal_rx_pos": array.rx_pos.tolist()}
        changes["array"] = replace(
            array, tx_pos=array.tx_pos + errors.tx_shift, rx_pos=array.rx_pos + errors.rx_shift, name=""
        )
    if (errors.medium != 1).any() and len(errors.medium) == 1:
        step["nominal_permittivity"] = measurement.permittivity
        changes["permittivity"] = measurement.permittivity * float(errors.medium[0])
    if errors.log_gain.any() or errors.delay.any():
        response, delay = errors.response(freq), errors.delay
        response, delay = array.spread_channels(response, 1), array.spread_channels(delay)
        if measurement.gain is None:
            changes |= {"gain": response.astype(np.complex64), "delay": delay}
        else:
            known = measurement.delay
            changes |= {
                "gain": (measurement.gain * response).astype(np.complex64),
                "delay": None if known is None else known + delay,
            }
    step["layers"] = [float(factor) for factor in errors.medium] if len(errors.medium) > 1 else None
    step["found"] = found.table()
    return recorded(replace(measurement, **changes), "autofocus", **step)
