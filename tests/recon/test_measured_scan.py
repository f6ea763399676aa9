"""Measured breast phantoms, every kind of prior with no option set: one place, far over the mean, not at the rim."""

import numpy as np
import pytest

from mimo import VoxelGrid
from mimo.data import Reconstruction, read_measured, select_frequencies, subtract_background
from mimo.recon import make_problem, run_method

COARSE = VoxelGrid.from_extent(x=(-0.07, 0.07, 21), y=(-0.07, 0.07, 21), z=(0, 0.07, 11))
DOCUMENTED = VoxelGrid.from_extent(x=(-0.07, 0.07, 41), y=(-0.07, 0.07, 41), z=(0, 0.07, 21))
PRIORS = ("l1", "tv", "pnp")


def images(folder, name: str, grid: VoxelGrid, step: int) -> dict[str, Reconstruction]:
    """What the difference of a phantom's two scans shows, from every `step`-th frequency."""
    names = {"scan": f"{name}_p000", "background": f"{name}_p036"}
    scan = subtract_background(read_measured(folder / "merit", **names, permittivity=8))
    problem = make_problem(select_frequencies(scan, step=step), grid)
    return {method: run_method(method, problem) for method in ("backprojection", *PRIORS)}


def peak(made: Reconstruction) -> tuple[np.ndarray, float, bool]:
    """Where the maximum is (metres), how far over the mean of the region (dB), and whether it touches what is outside."""
    size, grid = made.magnitude[0], made.grid
    index = np.unravel_index(size.argmax(), size.shape)
    place = np.array([grid.x[index[0]], grid.y[index[1]], grid.z[index[2]]])
    around = made.inside[tuple(slice(max(0, i - 1), i + 2) for i in index)]
    over = 20 * np.log10(size.max() / size[made.inside].mean())
    return place, float(over), around.size < 27 or not around.all()


def test_priors_find_the_tumour_of_back_projection(measured):
    """On voxels of 7 mm; `pnp` may be off by one."""
    made = images(measured, "B0_P3", COARSE, 2)
    place, over, _ = peak(made["backprojection"])
    np.testing.assert_allclose(place, (0.014, 0.0, 0.028), atol=1e-6)
    for method, voxels, least in (("l1", 0, 30), ("tv", 0, 30), ("pnp", 1, 13)):
        found, height, rim = peak(made[method])
        assert np.abs(found - place).max() < (voxels + 0.1) * 0.007, (method, found)
        assert height > least, (method, height)
        assert not rim, method
        assert made[method].parameters["noise_from"] == ["held-out"]
    assert over < 20  # what the priors add


@pytest.mark.slow
@pytest.mark.parametrize("name", ["B0_P3", "B10E_P3"])
def test_priors_keep_the_documented_places(measured, name):
    """The voxels and frequencies of docs/measured.md; minutes."""
    made = images(measured, name, DOCUMENTED, 1)
    place, _, _ = peak(made["backprojection"])
    for method in PRIORS:
        found, height, rim = peak(made[method])
        assert not rim, (method, found)
        if name == "B0_P3":
            assert np.linalg.norm(found - place) < 5e-3, (method, found)
            assert height >= 30, (method, height)
