"""Make the sample scan of samples/: a simulated raster of a network analyser, which every clone has to import.

``python docs/sample_scan.py [FOLDER]`` writes raster.npz and raster-empty.npz. Steel balls on foam, in the shape of the
letter R 0.3 m before the scanner, were "measured" through 0.45 m of cable (there and back) with the antenna's own
reflection, which is stronger than they are, and with noise; the second file is the empty room.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.constants import speed_of_light

__all__ = ["BALLS", "CABLE", "make", "write"]

FOLDER = Path(__file__).parents[1] / "samples"
CABLE, DISTANCE, SPACING = 0.45, 0.3, 0.018
X, Y = 0.005 * (np.arange(38) - 18.5), 0.005 * (np.arange(34) - 16.5)
FREQ = np.linspace(20e9, 28e9, 32)
LETTER = ("####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#")
BALLS = np.array(
    [((c - 2) * SPACING, (3 - r) * SPACING, DISTANCE) for r in range(7) for c in range(5) if LETTER[r][c] == "#"]
)
"""Places of the balls, metres."""


def make() -> dict[str, np.ndarray]:
    """Return both scans, ``(n_y, n_x, n_freq, 2)`` in whole numbers, the real and the imaginary part."""
    place = np.stack([*np.meshgrid(X, Y), np.zeros((len(Y), len(X)))], axis=-1)
    away = np.linalg.norm(place[:, :, None] - BALLS, axis=-1)[..., None]
    echo = (np.exp(-4j * np.pi * FREQ * away / speed_of_light) / away**2).sum(axis=2)
    echo /= np.sqrt((np.abs(echo) ** 2).mean())
    rng = np.random.default_rng(20)
    own = 5 * np.exp(-2j * np.pi * FREQ * 0.04 / speed_of_light) * (1 + 0.3 * rng.standard_normal(len(FREQ)))
    cable = np.exp(-2j * np.pi * FREQ * CABLE / speed_of_light)
    made = {}
    for name, ideal in (("raster", echo + own), ("raster-empty", 0 * echo + own)):
        noise = 0.1 * (rng.standard_normal(ideal.shape) + 1j * rng.standard_normal(ideal.shape))
        heard = 1500 * (ideal + noise) * cable
        made[name] = np.round(np.stack([heard.real, heard.imag], axis=-1)).astype(np.int16)
    return made


def write(folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in make().items():
        np.savez_compressed(folder / f"{name}.npz", s11=values, x=1e3 * X, y=1e3 * Y, freq=FREQ)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
