"""Run the scripts of docs/gallery and keep their pictures: ``make pictures`` draws all, a test runs each.

``python docs/draw_gallery.py [NAME ...]`` runs all scripts, or some. Before a script runs, the files that it reads are
made in the folder where it runs: small simulated scans in the layout of each format, which the tests' fixtures write.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fresh import gallery_picture, gallery_scripts, stamp
from scipy.constants import speed_of_light

from mimo import ArrayGeometry, FrequencySweep
from mimo.data import Measurement

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
LETTER = ("####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#")


def run(script: Path, folder: Path) -> Path:
    """Run a script in a folder, where its files are made first; return the picture that it saves there."""
    FILES.get(script.stem.partition("_")[2], lambda _: None)(folder)
    before = Path.cwd()
    os.chdir(folder)
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        os.chdir(before)
    return folder / gallery_picture(script).removeprefix("gallery-")


def echoes(
    array: ArrayGeometry,
    freq: np.ndarray,
    points: np.ndarray,
    *,
    permittivity: float = 1.0,
    removed: np.ndarray | float = 0.0,
    noise: float = 0.03,
) -> Measurement:
    """Return what an array hears of points, with noise that is a share of the root mean square."""
    t, r = array.channel_indices().T
    k = 2 * np.pi * freq[:, None] * np.sqrt(permittivity) / speed_of_light
    values = np.zeros((len(freq), len(t)), complex)
    for point in points:
        to, back = np.linalg.norm(array.tx_pos[t] - point, axis=1), np.linalg.norm(array.rx_pos[r] - point, axis=1)
        values += np.exp(-1j * k * (to + back - removed)) / (to * back)
    rng = np.random.default_rng(len(points))
    level = noise * np.sqrt((np.abs(values) ** 2).mean() / 2)
    values += level * (rng.standard_normal(values.shape) + 1j * rng.standard_normal(values.shape))
    shape = (1, len(freq), *((len(t),) if array.paired else (array.n_tx, array.n_rx)))
    path = removed if np.ndim(removed) else None
    return Measurement(
        values.reshape(shape).astype(np.complex64),
        array,
        FrequencySweep(freq),
        reference_path=path,  # type: ignore[arg-type]
    )


def image_formers(folder: Path) -> None:
    """Write a cross of seven points as the MATLAB file of IEEE DataPort."""
    steps = 0.04 * np.arange(-2, 3)
    points = [(x, 0, 0.5) for x in steps] + [(0, y, 0.5) for y in (-0.05, 0.05)]
    array = ArrayGeometry.mills_cross(n_tx=14, n_rx=13, width=0.3)
    native().write_dataport(
        folder / "Exp_GunData4ImagingFD.mat", echoes(array, np.linspace(4e9, 16e9, 31), np.array(points))
    )


def many_frequencies(folder: Path) -> None:
    """Write a phantom and its empty bath in the CSV files of MERIT: antennas on two rings around one point."""
    angle = 2 * np.pi * np.arange(12) / 12
    ring = np.column_stack([0.07 * np.cos(angle), 0.07 * np.sin(angle), 0.02 + 0 * angle])
    places = np.concatenate([ring, ring * [0.9, 0.9, 1] + [0, 0, 0.025]])
    pairs = np.array([(i, j) for i in range(24) for j in range(24) if i < j])
    array = ArrayGeometry(places, places, channels=pairs)
    freq = np.linspace(1.5e9, 4.5e9, 101)
    full = echoes(array, freq, np.array([[0.015, 0.005, 0.03]]), permittivity=8).values[0]
    room = echoes(array, freq, np.array([[0, 0, -0.3]]), permittivity=8, noise=0).values[0] * 20
    out = folder / "phantom"
    out.mkdir()
    (out / "antenna_locations.csv").write_text("".join(f"{x},{y},{z}\n" for x, y, z in places))
    (out / "channel_names.csv").write_text("".join(f"{i + 1},{j + 1}\n" for i, j in pairs))
    (out / "frequencies.csv").write_text("".join(f"{f}\n" for f in freq))
    for name, values in (("B0", full + room), ("empty", room)):
        rows = (",".join(f"{v.real:+.6f}{v.imag:+.6f}i" for v in row) for row in values)
        (out / f"{name}.csv").write_text("\n".join(rows) + "\n")


def many_antennas(folder: Path) -> None:
    """Write a frame of a QAR50 that sees the letter R."""
    places = [(0.005 * (c - 2), 0.005 * (3 - r), 0.3) for r in range(7) for c in range(5) if LETTER[r][c] == "#"]
    scan = echoes(ArrayGeometry.qar50(), np.linspace(72e9, 82e9, 12), np.array(places))
    native().write_qar50(folder / "frame", scan)


def planar_scan(folder: Path) -> None:
    """Copy the sample scan."""
    for name in ("raster.npz", "raster-empty.npz", "raster.toml"):
        shutil.copy(ROOT / "samples" / name, folder)


def radar_board(folder: Path) -> None:
    """Write a capture of a TI board that sees two points."""
    from mimo.data.importers.boards import board_array

    array, _ = board_array("iwr1843")
    freq = 77e9 + 70e12 * np.arange(64) / 5e6
    scan = echoes(array, freq, np.array([[-0.1, 0, 0.9], [0.12, 0, 1.1]]))
    values = scan.values[0] / np.abs(scan.values).max()
    beats = np.round(1e4 * values.conj().transpose(1, 2, 0))  # tx, rx, sample
    pairs = np.stack([beats.real, beats.imag], axis=-1).reshape(3, 4, 32, 2, 2).swapaxes(-1, -2)
    out = folder / "capture"
    out.mkdir()
    pairs.astype("<i2").tofile(out / "adc_data.bin")
    lines = ["channelCfg 15 7 0", "adcCfg 2 1", "profileCfg 0 77 7 0 40 0 0 70 1 64 5000 0 0 30"]
    lines += [f"chirpCfg {i} {i} 0 0 0 0 0 {1 << i}" for i in range(3)] + ["frameCfg 0 2 1 0 50 1 0"]
    (out / "profile.cfg").write_text("\n".join(lines))


def network_analyser(folder: Path) -> None:
    """Write a folder of Touchstone files: a letter L before 7 x 6 antennas."""
    points = [(-0.04, y, 0.5) for y in (-0.06, -0.02, 0.02, 0.06)] + [(x, -0.06, 0.5) for x in (0.0, 0.04)]
    array = ArrayGeometry.mills_cross(n_tx=7, n_rx=6, width=0.3)
    native().write_touchstone_folder(folder / "analyser", echoes(array, np.linspace(6e9, 14e9, 17), np.array(points)))


def flight(folder: Path) -> None:
    """Write phase history of five points on the ground, the way to the scene's centre removed."""
    angle = np.deg2rad(np.linspace(0, 2, 160))
    place = np.stack([7000 * np.cos(angle), 7000 * np.sin(angle), 0 * angle + 7000], axis=1).astype(np.float32)
    index = np.arange(len(place))
    array = ArrayGeometry(place.astype(float), place.astype(float), np.column_stack([index, index]))
    points = np.array([(0, 0, 0), (12, 8, 0), (-12, 8, 0), (12, -8, 0), (-12, -8, 0)], float)
    removed = 2 * np.linalg.norm(place.astype(float), axis=1)
    scan = echoes(array, np.linspace(9.3e9, 9.9e9, 200), points, removed=removed)
    (folder / "gotcha").mkdir()
    native().write_gotcha(folder / "gotcha" / "data_HH.mat", scan)


def satellite(folder: Path) -> None:
    """Write a CPHD and a CRSD file of one point."""
    native()  # puts the fixtures in reach
    from fixtures import sar_files

    sar_files.write_cphd(folder / "spotlight.cphd")
    sar_files.write_crsd(folder / "stripmap.crsd")


def native() -> object:
    """Return the tests' writers of small files in the layout of each format."""
    sys.path[:0] = [] if str(ROOT / "tests") in sys.path else [str(ROOT / "tests")]
    from fixtures import native_layouts

    return native_layouts


FILES: dict[str, Callable[[Path], None]] = {
    made.__name__: made
    for made in (
        image_formers,
        many_frequencies,
        many_antennas,
        planar_scan,
        radar_board,
        network_analyser,
        flight,
        satellite,
    )
}
"""What makes the files that a script reads, by its name without the number."""


def draw(chosen: list[Path]) -> None:
    """Run scripts and keep their pictures in docs/pictures."""
    for script in chosen:
        with tempfile.TemporaryDirectory() as folder:
            name = gallery_picture(script)
            (PICTURES / name).write_bytes(run(script, Path(folder)).read_bytes())
        stamp([name])


if __name__ == "__main__":
    words = sys.argv[1:]
    draw([script for script in gallery_scripts() if not words or any(word in script.stem for word in words)])
