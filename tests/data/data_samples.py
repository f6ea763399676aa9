"""Small measurements and images with every field of the schema, all sizes different."""

import numpy as np

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import Measurement, Reconstruction

N_SCENE = 6


def complex_noise(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def make_measurement(paired=False, n_scene=N_SCENE, seed=0):
    rng = np.random.default_rng(seed)
    tx, rx = rng.normal(size=(2, 3)), rng.normal(size=(3, 3))
    normals = {"tx_normal": rng.normal(size=(2, 3)), "rx_normal": rng.normal(size=(3, 3)), "name": "test array é"}
    if paired:
        array = ArrayGeometry(tx, rx, channels=[(0, 0), (1, 2), (0, 1), (1, 1), (0, 2)], **normals)
    else:
        array = ArrayGeometry(tx, rx, mask=[[True, False, True], [True, True, True]], **normals)
    sweep = FrequencySweep([4e9, 5e9, 7e9, 11e9])
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.2, 0.1, 7), z=(0.3, 0.5, 11))
    channel = array.measurement_shape
    return Measurement(
        complex_noise(rng, n_scene, 4, *channel),
        array,
        sweep,
        grid,
        permittivity=2.5,
        snr_db=np.where(np.arange(n_scene) == 1, np.inf, 30.0),
        background=complex_noise(rng, 4, *channel),
        gain=complex_noise(rng, 4, *channel),
        reference_path=rng.normal(size=channel),
        truth=complex_noise(rng, n_scene, *grid.shape),
        source="a test, ü",
        delay=1e-10 * rng.normal(size=channel),
        region="sphere:0.01,0,0.4,0.08",
        steps=({"step": "import", "format": "made up"}, {"step": "gate range", "start": 0.5, "stop": 2}),
    )


def make_reconstructions(measurement):
    n, rng = measurement.n_scene, np.random.default_rng(7)
    image = complex_noise(rng, n, *measurement.grid.shape)
    seconds = rng.uniform(size=n)
    history, inside = {"objective": [2.0, 1.0]}, rng.random(measurement.grid.shape) < 0.7
    return [
        Reconstruction(
            "pnp",
            image,
            measurement.grid,
            {"penalty": 0.5},
            seconds,
            30,
            "0.1.0",
            "ab" * 32,
            history,
            inside=inside,
        ),
        Reconstruction(
            "u-net_3d",
            np.abs(image),
            measurement.grid,
            {},
            seconds,
            std=0.1 + np.abs(image) / 2,
            quantiles=np.stack([factor * np.abs(image) for factor in (0.2, 0.6, 0.9, 1.4, 3)], axis=1),
        ),
    ]


def same(a, b):
    """Whether two measurements or reconstructions are equal in every field."""
    assert type(a) is type(b)
    for name in a.__dataclass_fields__:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray):
            assert y is not None, name
            assert x.dtype == y.dtype, name
            np.testing.assert_array_equal(x, y, err_msg=name)
        else:
            assert x == y, name
    return True
