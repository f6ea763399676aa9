"""The overview: what its panels show is where the measurement says, for every kind of array."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fixtures import native_layouts as native

from mimo import FrequencySweep, VoxelGrid, backproject, born_operator
from mimo.data import FileError, save
from mimo.sampling import expected_sampling
from mimo.viewer.figures import save as save_figure
from mimo.viewer.overviews import overview, overview_of_file, point_spread

GRID = VoxelGrid.from_extent(x=(-0.1, 0.12, 5), y=(-0.11, 0.1, 7), z=(0.4, 0.6, 11))
KINDS = {
    "full": replace(native.full_scan(), grid=GRID),
    "paired": native.paired_scan(),
    "flown": native.flown_scan(),
    "one frequency": replace(
        native.full_scan(), values=native.full_scan().values[:, :1], sweep=FrequencySweep(native.FREQ[:1])
    ),
    "one channel": replace(
        native.paired_scan(),
        values=native.paired_scan().values[..., :1],
        array=replace(native.paired_scan().array, channels=np.array([[1, 2]])),
    ),
    "flat grid": replace(native.full_scan(), grid=VoxelGrid(GRID.x, GRID.y, [0.5])),
    "masked": replace(native.full_scan(), array=native.full_scan().array.with_mask([[True, False, True], [True] * 3])),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_measurement_is_drawn(kind, tmp_path):
    drawing = overview(KINDS[kind])
    titles = [axes.get_title(loc="left").split(",")[0] for axes in drawing.axes]
    assert len(titles) == 7  # six panels and the colour bar
    assert sum("array and scene" in title for title in titles) == 2
    save_figure(drawing, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 20_000
    assert plt.get_fignums() == []


def test_a_scene_too_small_to_be_seen_is_marked_and_one_channel_has_one_tick():
    front, side, *_ = overview(KINDS["flown"]).axes
    assert all(not axes.patches and len(axes.collections) == 3 for axes in (front, side))
    for axes in overview(KINDS["one channel"]).axes[4:6]:
        assert axes.get_yticks().tolist() == [0]


def test_antennas_and_box_are_where_they_are():
    front, side, *_, magnitudes, _ = overview(KINDS["full"]).axes
    for axes, columns in ((front, [0, 1]), (side, [2, 1])):
        drawn = [collection.get_offsets().data for collection in axes.collections]
        np.testing.assert_allclose(drawn[0], native.TX[:, columns])
        np.testing.assert_allclose(drawn[1], native.RX[:, columns])
    box = side.patches[0]
    assert (box.get_x(), box.get_y()) == (0.4, -0.11)
    assert (box.get_width(), box.get_height()) == pytest.approx((0.2, 0.21))
    drawn = magnitudes.collections[0].get_array()
    expected = np.abs(KINDS["full"].values[0]).reshape(4, 6).T
    np.testing.assert_allclose(drawn, 20 * np.log10(expected / expected.max()), atol=1e-4)


def test_profiles_follow_the_point_between_the_lines_of_the_box():
    axes = overview(replace(KINDS["full"], sweep=FrequencySweep.linear(4e9, 4.3e9, 4))).axes[4]
    near, far = (line.get_xdata()[1:-1] for line in axes.lines)
    half = [
        (np.linalg.norm(t - native.POINT) + np.linalg.norm(r - native.POINT)) / 2 for t in native.TX for r in native.RX
    ]
    assert (near < half).all()
    assert (far > half).all()


@pytest.mark.parametrize("plane", [("x", "y"), ("z", "y"), ("x", "z")])
def test_the_point_spread_peaks_in_the_middle_with_the_expected_widths(plane):
    scan = KINDS["full"]
    image, grid = point_spread(scan, GRID, plane)
    assert image.shape == (41, 41)
    assert np.unravel_index(image.argmax(), image.shape) == (20, 20)
    point = VoxelGrid(*([value] for value in GRID.center))
    y = born_operator(scan.array, scan.sweep, point).forward(torch.ones(1, 1, 1))
    volume = backproject(y, born_operator(scan.array, scan.sweep, grid)).abs().numpy()
    index = {plane[0]: 7, plane[1]: 12}  # along the row, along the column
    assert volume[tuple(index.get(name, 0) for name in "xyz")] == pytest.approx(image[12, 7], rel=1e-4)
    widths = expected_sampling(scan.array, scan.sweep, GRID).resolution
    lines = {plane[0]: image[20], plane[1]: image[:, 20]}
    for name, line in lines.items():
        step = np.diff(getattr(grid, name))[0]
        above = np.flatnonzero(line >= line[20] / np.sqrt(2))
        run = above[(above - 20 == np.arange(len(above)) - np.searchsorted(above, 20))]
        assert step * len(run) == pytest.approx(widths["xyz".index(name)], rel=0.25)


def test_a_scene_that_is_not_there_is_refused(tmp_path):
    save(tmp_path / "a.h5", KINDS["full"])
    assert overview_of_file(tmp_path / "a.h5") is not None
    with pytest.raises(FileError, match="there is no scene 3: expected one of scenes 0 to 0"):
        overview_of_file(tmp_path / "a.h5", scene=3)
    assert torch.is_grad_enabled()
