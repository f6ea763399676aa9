"""Measure the seconds from a file to the first image, set-up included and nothing cached: what a user waits for.

Beside the papers' size there is a flat picture that has more voxels than a factorisation is worth, and, where the
folder is named, a measured phantom. The papers' size is also prepared in the old way, one eigendecomposition of the
whole of ``A A^H``, which says what mirror planes save.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mimo import ArrayGeometry, FrequencySweep, GramFactor, VoxelGrid, data, operator_of
from mimo.data import Measurement
from mimo.data.importers import merit
from mimo.gram import gram_matrix
from mimo.recon.run import reconstruct
from mimo.synth import generate
from mimo.synth.paper import paper_acquisition

__all__ = ["first_image_table", "measure_first_images"]

TARGETS = {
    ("papers' size", "pnp"): 3.0,
    ("papers' size", "l1"): 1.5,
    ("flat picture", "pnp"): 30.0,
    ("measured phantom", "pnp"): 45.0,
    ("measured phantom", "l1"): 30.0,
}
"""Seconds that each must take at most on two cores."""

PHANTOM = VoxelGrid.from_extent(x=(-0.07, 0.07, 41), y=(-0.07, 0.07, 41), z=(0.0, 0.07, 21))
FLAT = VoxelGrid.from_extent(x=(-0.15, 0.15, 91), y=(-0.15, 0.15, 91), z=(0.5, 0.5, 1))


def measure_first_images(
    folder: Path | None = None, *, progress: Callable[[str], None] = print
) -> list[dict[str, object]]:
    """Time each case once and return rows: ``case``, ``method``, ``seconds``, ``solver``, ``target``, ``setup_ratio``.

    Parameters
    ----------
    folder
        A MERIT folder with the scans ``B0_P3_p000`` and ``B0_P3_p036``; without it there is no measured phantom.
    progress
        Told what is being measured.
    """
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name, _cold_cache(Path(name)):
        reconstruct("pnp", _small())  # imports, kernels and weights, which every run of the program has once
        for case, path in _files(Path(name), folder):
            for method in [m for c, m in TARGETS if c == case]:
                progress(f"{case}: {method}")
                _empty(Path(name))
                started = time.perf_counter()
                made = reconstruct(method, data.load(path), check="none")
                seconds = time.perf_counter() - started
                row = {"case": case, "method": method, "seconds": seconds, "solver": made.parameters["x_step"]}
                rows.append(row | {"target": TARGETS[case, method]})
        progress("papers' size: set-up, and in one piece")
        rows[0]["setup_ratio"] = _setup_ratio()
    return rows


def first_image_table(rows: list[dict[str, object]]) -> str:
    """Return the rows as text."""
    lines = [f"{'':<20}{'method':<8}{'seconds':>9}{'at most':>9}  solver"]
    for row in rows:
        lines.append(f"{row['case']:<20}{row['method']:<8}{row['seconds']:>9.2f}{row['target']:>9.1f}  {row['solver']}")
    lines.append(
        f"factorising the papers' size block by block: {rows[0]['setup_ratio']:.1f} times as fast as in one piece"
    )
    return "\n".join(lines)


def _files(place: Path, folder: Path | None) -> Iterator[tuple[str, Path]]:
    """Write the measurements to files, as a run would find them."""
    generate(place / "papers.h5", n=1, preset="paper", snr_db=30.0, seed=0)
    yield "papers' size", place / "papers.h5"
    rng = np.random.default_rng(0)
    array = ArrayGeometry(_antennas(rng, 16), _antennas(rng, 25))
    A = operator_of(paper_acquisition().replace(array=array, sweep=FrequencySweep.linear(4e9, 16e9, 20), grid=FLAT))
    x = torch.zeros(1, *A.volume_shape, dtype=A.dtype)
    x[0, 30:60, 40:44] = 1
    y = A.forward(x)
    y = y + 0.03 * y.abs().square().mean().sqrt() * torch.randn(y.shape, dtype=y.dtype)
    data.save(place / "flat.h5", Measurement(y.numpy(), array, A.sweep, grid=FLAT))
    yield "flat picture", place / "flat.h5"
    if folder is not None:
        one, other = (merit.read(folder, scan=f"B0_P3_{turn}", permittivity=8.0) for turn in ("p000", "p036"))
        data.save(place / "phantom.h5", replace(one, values=one.values - other.values, grid=PHANTOM))
        yield "measured phantom", place / "phantom.h5"


def _antennas(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return antennas at random places of a plane, so that no mirror helps."""
    return np.c_[rng.uniform(-0.15, 0.15, (n, 2)), np.zeros(n)]


def _small() -> Measurement:
    """Return a measurement of a few numbers."""
    array = ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3)
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 5), z=(0.4, 0.6, 9))
    return Measurement(np.ones((1, 3, 2, 3), np.complex64), array, FrequencySweep.linear(4e9, 16e9, 3), grid=grid)


def _setup_ratio() -> float:
    """Return the time of one eigendecomposition of the papers' size over that of its blocks."""
    A = operator_of(paper_acquisition())
    A.prepare()
    started = time.perf_counter()
    GramFactor.of(A, cache=False)
    blocks = time.perf_counter() - started
    started = time.perf_counter()
    torch.linalg.eigh(gram_matrix(A))
    return (time.perf_counter() - started) / blocks


@contextmanager
def _cold_cache(place: Path) -> Iterator[None]:
    """Use a folder of its own as the cache."""
    before = os.environ.get("MIMO_CACHE_DIR")
    os.environ["MIMO_CACHE_DIR"] = str(place / "cache")
    try:
        yield
    finally:
        if before is None:
            del os.environ["MIMO_CACHE_DIR"]
        else:
            os.environ["MIMO_CACHE_DIR"] = before


def _empty(place: Path) -> None:
    for path in (place / "cache").glob("*"):
        path.unlink()
