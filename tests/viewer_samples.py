"""A small file with everything the viewer shows, all sizes different."""

import json
from pathlib import Path

import h5py
import numpy as np

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import Measurement, Reconstruction, save

GRID = VoxelGrid.from_extent(x=(-0.2, 0.2, 5), y=(-0.3, 0.3, 7), z=(0.5, 1.0, 11))
N_SCENE = 3
PEAK = (1, 5, 8)  # of the truth in scene 0


def noise(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def make_file(
    path: Path, *, grid=GRID, n_scene=N_SCENE, images=None, truth=True, seed=0, inside=None, **options
) -> Path:
    """Write a file of two methods, or of the given images by name, on a grid; of the voxels `inside` alone."""
    rng = np.random.default_rng(seed)
    array = ArrayGeometry(rng.normal(size=(2, 3)) * 0.1, rng.normal(size=(3, 3)) * 0.1, mask=[[1, 1, 0], [1, 1, 1]])
    sweep = FrequencySweep([4e9, 5e9, 6e9, 7e9])
    true = (0.2 * np.abs(noise(rng, n_scene, *grid.shape))).astype(np.complex64)
    if grid.shape == GRID.shape:
        true[0][PEAK] = 3j
    measurement = Measurement(
        noise(rng, n_scene, 4, 2, 3), array, sweep, grid, truth=true if truth else None, source="a test", **options
    )
    if images is None:
        images = {"alpha": noise(rng, n_scene, *grid.shape), "beta": np.abs(noise(rng, n_scene, *grid.shape)) ** 3}
    if inside is not None:
        images = {name: image * inside for name, image in images.items()}
    history = [{"residual": [0.5 / (n + 1) + s for s in range(n_scene)], "sigma": 0.1 * n} for n in range(6)]
    made = [
        Reconstruction(
            name,
            image,
            grid,
            {"weight": 0.5},
            np.arange(n_scene) + 1.5,
            6,
            history=history,
            scale="relative" if name == "kirchhoff" else "reflectivity",
            inside=inside,
        )
        for name, image in images.items()
    ]
    save(path, measurement, reconstructions=made)
    return path


def spoil(path: Path, dataset: str, index: tuple[int, ...], value: complex) -> Path:
    """Write one number into a file behind the program's back."""
    with h5py.File(path, "r+") as file:
        file[dataset][index] = value
    return path


def truncate(path: Path, share: float = 0.6) -> Path:
    """Cut the end of a file off."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def embedded(page: str, name: str):
    """JSON that a saved page holds under an id."""
    start = page.index(f'id="{name}">') + len(f'id="{name}">')
    return json.loads(page[start : page.index("</script>", start)])
