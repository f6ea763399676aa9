"""Time gates: echoes inside stay, those outside go, in every kind of array and sweep; a wall vanishes from the image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.constants import speed_of_light

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, backproject, born_operator
from mimo.data import Gate, Measurement, Plate, PointTarget, gate_box, gate_range
from mimo.data.calibration import box_paths, reference_echo
from mimo.data.calibration.gating import gate_matrix, window_transform
from mimo.recon.metrics import psnr

ARRAY = ArrayGeometry.random_planar(n_tx=2, n_rx=3, width=0.3, height=0.24, seed=3)
SWEEP = FrequencySweep.linear(4e9, 16e9, 121)
PAIRED = ArrayGeometry(ARRAY.tx_pos, ARRAY.rx_pos, channels=[[0, 0], [1, 2], [1, 0], [0, 1], [1, 1]])
UNEVEN = FrequencySweep(SWEEP.freq + 2e7 * np.sin(np.arange(121)))


def seen(array, sweep, *targets, reference_path=None, permittivity=1.0):
    empty = Measurement(
        np.zeros((1, sweep.n_freq, *array.measurement_shape), complex),
        array,
        sweep,
        reference_path=reference_path,
        permittivity=permittivity,
    )
    echo = sum(reference_echo(empty, target) for target in targets)
    return replace(empty, values=echo.reshape(empty.values.shape))


def left(gated, original):
    """Energy in the middle of the band relative to the original, dB: its ends are blurred by any gate."""
    middle = slice(20, -20)
    power = [np.sum(np.abs(m.values[:, middle]) ** 2) for m in (gated, original)]
    return 10 * np.log10(power[0] / power[1])


CASES = {
    "full": (ARRAY, SWEEP, None, 1.0),
    "paired": (PAIRED, SWEEP, None, 1.0),
    "uneven sweep": (ARRAY, UNEVEN, None, 1.0),
    "removed path": (ARRAY, SWEEP, 30 + np.arange(6.0).reshape(2, 3) / 5, 1.0),
    "permittivity": (ARRAY, SWEEP, None, 2.0),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_inside_stays_and_what_is_outside_goes(case):
    array, sweep, path, permittivity = CASES[case]
    options = {"reference_path": path, "permittivity": permittivity}
    near, far = (seen(array, sweep, PointTarget((0.02, -0.03, z)), **options) for z in (0.5, 0.75))
    both = replace(near, values=near.values + far.values)
    box = VoxelGrid.from_extent(x=(-0.05, 0.05, 2), y=(-0.06, 0.06, 2), z=(0.42, 0.58, 2))
    assert abs(left(gate_box(near, box), near)) < 0.2
    assert left(gate_box(far, box), far) < -25
    if path is not None:
        return
    gated = gate_range(both, 0.42, 0.62)
    error = np.abs(gated.values - near.values)[:, 20:-20]
    assert 20 * np.log10(np.sqrt((error**2).mean() / (np.abs(near.values) ** 2).mean())) < -25
    assert abs(left(gate_range(near, 0.42, 0.62), near)) < 0.2
    assert left(gate_range(far, 0.42, 0.62), far) < -25


def test_where_a_path_was_removed_a_range_counts_from_half_of_it():
    """As in the range profiles; the same echoes, with 30.4 m of path removed from each channel."""
    plain, removed = (
        gate_range(seen(ARRAY, SWEEP, PointTarget((0.02, -0.03, 0.5)), reference_path=path), start, start + 0.2)
        for path, start in ((None, 0.45), (np.full((2, 3), 30.4), 0.45 - 15.2))
    )
    np.testing.assert_allclose(np.abs(removed.values), np.abs(plain.values), rtol=1e-3, atol=1e-4)


def test_a_gate_is_linear_and_the_same_for_values_and_background():
    near, far = (seen(ARRAY, SWEEP, PointTarget((0.02, -0.03, z))) for z in (0.5, 0.8))
    both = replace(near, values=near.values + 2j * far.values, background=far.values[0])
    gated = gate_range(both, 0.4, 0.6)
    parts = [gate_range(m, 0.4, 0.6).values for m in (near, far)]
    np.testing.assert_allclose(gated.values, parts[0] + 2j * parts[1], atol=1e-5)
    np.testing.assert_allclose(gated.background, parts[1][0], atol=1e-5)
    assert gated.steps[-1]["start"] == 0.4
    assert gate_range(replace(near, snr_db=[30.0]), 0.4, 0.6).snr_db is None  # noise goes with the echoes


def test_the_wall_behind_the_target_vanishes_from_the_image():
    """A wall 20 dB above the target, beyond the box: the gated image is that without a wall to half a dB of PSNR."""
    array = ArrayGeometry.random_planar(n_tx=6, n_rx=7, width=0.3, seed=1)
    sweep = FrequencySweep.linear(4e9, 16e9, 51)
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.12, 0.12, 11), z=(0.4, 0.6, 17))
    A = born_operator(array, sweep, grid)
    truth = np.zeros(grid.shape, np.complex64)
    truth[4, 5, 8], truth[2, 3, 5], truth[7, 8, 12] = 1, 0.7j, -0.8
    y = A.forward(torch.tensor(truth)).numpy()
    target = Measurement(y[None], array, sweep, grid)
    wall = seen(array, sweep, Plate((0, 0, 0.9))).values
    wall *= 10 * np.sqrt((np.abs(y) ** 2).mean() / (np.abs(wall) ** 2).mean())
    both = replace(target, values=target.values + wall)
    images = [backproject(torch.tensor(m.values[0]), A).abs() for m in (target, both, gate_box(both, grid))]
    scores = [psnr(image.numpy(), np.abs(truth)) for image in images]
    assert scores[1] < scores[0] - 1.5  # the wall matters
    assert abs(scores[2] - scores[0]) < 0.5


def test_the_window_is_a_raised_cosine():
    width, taper = 3e-9, 1e-9
    time = np.linspace(-4e-9, 4e-9, 40_001)
    beyond = (np.abs(time) - width / 2) / taper
    window = np.where(beyond <= 0, 1.0, np.where(beyond >= 1, 0.0, (1 + np.cos(np.pi * beyond)) / 2))
    for f in (0.0, 1e8, 0.5e9, 7.3e8):  # 0.5e9 is the pole of the closed form
        naive = np.sum(window * np.cos(2 * np.pi * f * time)) * (time[1] - time[0])
        assert window_transform(f, width, taper) == pytest.approx(naive, abs=1e-13)


def test_without_clutter_a_uniform_sweep_gets_the_textbook_gate():
    """With equal densities inside and outside the estimate is K_in over the period: a convolution over frequency."""
    freq = np.linspace(4e9, 6e9, 21)
    width, period = 2e-9, 1 / 1e8
    matrix = gate_matrix(freq, width, taper=0.0, clutter=1.0, noise=0.0)
    expected = window_transform(freq[:, None] - freq, width, 0.0) / period
    np.testing.assert_allclose(matrix, expected, atol=1e-12)


def test_shortest_and_longest_paths_by_way_of_a_box():
    rng = np.random.default_rng(4)
    box = VoxelGrid.from_extent(x=(-0.1, 0.15, 3), y=(-0.2, 0.05, 4), z=(0.3, 0.5, 5))
    shortest, longest = box_paths(PAIRED, box)
    points = rng.uniform((-0.1, -0.2, 0.3), (0.15, 0.05, 0.5), (60_000, 3))
    points[:20_000, 2] = 0.3  # the near face, where the shortest ways pass
    for i, (t, r) in enumerate(PAIRED.channels):
        path = np.linalg.norm(points - PAIRED.tx_pos[t], axis=1) + np.linalg.norm(points - PAIRED.rx_pos[r], axis=1)
        assert shortest[i] <= path.min()
        assert shortest[i] == pytest.approx(path.min(), abs=2e-4)
        assert path.max() <= longest[i] <= path.max() + 0.02
    around = VoxelGrid.from_extent(x=(-1, 1, 2), y=(-1, 1, 2), z=(-1, 1, 2))  # holds the antennas
    direct = np.linalg.norm(PAIRED.tx_pos[PAIRED.channels[:, 0]] - PAIRED.rx_pos[PAIRED.channels[:, 1]], axis=1)
    np.testing.assert_allclose(box_paths(PAIRED, around)[0], direct, atol=2e-4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: gate_range(m, 0.6, 0.4), ["0.6 to 0.4", "start below stop"]),
        (lambda m: gate_range(m, 0.0, 1.6), ["1.6 m of range long", "unambiguous range is 1.5 m"]),
        (lambda m: gate_range(m, 0.1, 0.2, gate=Gate(taper=-1)), ["taper is -1"]),
        (lambda m: gate_range(m, 0.1, 0.2, gate=Gate(clutter_db=np.nan)), ["clutter_db is nan"]),
        (
            lambda m: gate_range(replace(m, values=m.values[:, :1], sweep=FrequencySweep([4e9])), 0, 1),
            ["one frequency"],
        ),
    ],
)
def test_a_gate_that_cannot_be_is_refused(call, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are the match
        call(seen(ARRAY, FrequencySweep.linear(4e9, 16e9, 121), PointTarget((0, 0, 0.5))))
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert speed_of_light / 2e8 == pytest.approx(1.5, rel=1e-2)
