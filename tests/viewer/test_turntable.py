"""Rays and films: bodies are where geometry puts them, whatever side they are seen from."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from PIL import Image

from mimo import VoxelGrid
from mimo.viewer.movie import write_gif, write_mp4
from mimo.viewer.projections import maximum_projections, voxel_edges
from mimo.viewer.raycast import Camera, Raycaster, orbit
from mimo.viewer.turntables import _Sheet, turntable

GRID = VoxelGrid.from_extent(x=(-0.2, 0.2, 5), y=(-0.3, 0.3, 7), z=(0.5, 1.0, 11))
UNEVEN = VoxelGrid(np.linspace(-0.2, 0.2, 15), np.linspace(-0.3, 0.3, 17), 0.5 + 0.5 * np.linspace(0, 1, 19) ** 1.7)


def looking(grid: VoxelGrid, azimuth: float, elevation: float, across: str, up: str) -> Camera:
    """A camera along an axis whose picture is exactly the grid's box."""
    lengths = {name: float(edge[-1] - edge[0]) for name, edge in voxel_edges(grid).items()}
    return Camera(azimuth, elevation, grid.center, lengths[across] / 2, lengths[up] / 2)


@pytest.mark.parametrize(
    ("azimuth", "elevation", "view", "across", "up", "flip"),
    [
        (0, 0, "front", "x", "y", (False, False)),
        (180, 0, "front", "x", "y", (False, True)),
        (90, 0, "side", "z", "y", (False, True)),  # from +x, z runs to the left
        (-90, 0, "side", "z", "y", (False, False)),
        (0, 90, "top", "x", "z", (True, False)),  # from above, z runs down
    ],
)
def test_rays_along_an_axis_give_the_maximum_projection(azimuth, elevation, view, across, up, flip) -> None:
    volume = np.random.default_rng(1).random(GRID.shape)
    n_up, n_across = len(getattr(GRID, up)), len(getattr(GRID, across))
    seen = Raycaster(volume, GRID).maximum(looking(GRID, azimuth, elevation, across, up), (n_up, n_across))
    expected = maximum_projections(volume)[view]
    if flip[0]:
        expected = expected[::-1]
    if flip[1]:
        expected = expected[:, ::-1]
    np.testing.assert_allclose(seen, expected[::-1], rtol=1e-6)


@pytest.mark.parametrize("azimuth", [0.0, 37.0, 200.0])
def test_a_bright_voxel_is_seen_where_the_camera_projects_it(azimuth) -> None:
    volume = np.zeros(GRID.shape)
    volume[3, 2, 7] = 1.0
    camera = orbit(GRID, azimuth, 25.0)
    seen = np.nan_to_num(Raycaster(volume, GRID).maximum(camera, (240, 200)))
    assert seen.max() == 1, "its level, from wherever it is seen"
    row, column = np.argwhere(seen == 1).mean(0)
    u, v = camera.project([GRID.x[3], GRID.y[2], GRID.z[7]])
    assert (column + 0.5) / 100 - 1 == pytest.approx(u, abs=0.05)
    assert 1 - (row + 0.5) / 120 == pytest.approx(v, abs=0.05)


def test_the_camera_turns_from_the_front_towards_plus_x_and_sees_the_whole_box() -> None:
    right, up, towards = orbit(GRID, 0.0, 0.0).axes()
    assert np.stack([right, up, towards]) == pytest.approx(np.eye(3))
    assert orbit(GRID, 90.0, 0.0).axes()[2] == pytest.approx([1, 0, 0])
    assert orbit(GRID, 0.0, 90.0).axes()[2] == pytest.approx([0, 1, 0])
    edges = voxel_edges(GRID)
    corners = np.array(
        [[edges["x"][i], edges["y"][j], edges["z"][k]] for i in (0, -1) for j in (0, -1) for k in (0, -1)]
    )
    for azimuth in range(0, 360, 15):
        for elevation in (-40, 0, 20, 90):
            assert np.abs(orbit(GRID, azimuth, elevation).project(corners)).max() < 1


def test_an_uneven_grid_is_seen_in_metres() -> None:
    center = np.array([0.05, -0.1, 0.8])
    distance = np.linalg.norm(UNEVEN.centers() - center, axis=1).reshape(UNEVEN.shape)
    caster = Raycaster(np.exp(-((distance / 0.1) ** 2)), UNEVEN)
    camera = orbit(UNEVEN, 120.0, 15.0)
    picture = caster.surface(camera, (200, 180), np.exp(-1.0))  # a ball of radius 0.1 m
    inside = picture[..., 3] > 0.5
    rows, columns = np.nonzero(inside)
    u, v = camera.project(center)
    assert (columns.mean() + 0.5) / 90 - 1 == pytest.approx(u, abs=0.02)
    assert 1 - (rows.mean() + 0.5) / 100 == pytest.approx(v, abs=0.02)
    pixel = (camera.half_width / 90) * (camera.half_height / 100)
    assert inside.sum() * pixel == pytest.approx(np.pi * 0.1**2, rel=0.08)
    top, bottom = (picture[rows[columns == round(columns.mean())][i], round(columns.mean()), :3].sum() for i in (2, -3))
    assert top > 1.15 * bottom  # lit from above


def test_rays_see_nothing_outside_a_region() -> None:
    volume = np.random.default_rng(2).random(GRID.shape).astype(np.float32)
    inside = np.zeros(GRID.shape, bool)
    inside[1:3, 1:4] = True
    camera = looking(GRID, 0, 0, "x", "y")
    seen = Raycaster(volume, GRID, inside).maximum(camera, GRID.shape[1::-1])[::-1]
    expected = np.where(inside.any(2), (volume * inside).max(2), np.nan).T
    np.testing.assert_array_equal(seen, expected)


def test_what_lies_in_front_hides_what_lies_behind() -> None:
    volume = np.zeros(GRID.shape)
    volume[1:4, 2:5, 9] = volume[1:4, 2:5, 2] = 1.0
    front = Raycaster(volume, GRID).surface(looking(GRID, 0, 0, "x", "y"), (70, 50), 0.5)[35, 25]
    behind = Raycaster(volume, GRID).surface(looking(GRID, 180, 0, "x", "y"), (70, 50), 0.5)[35, 25]
    assert front[3] == behind[3] == 1
    assert front[0] > 2 * behind[0]  # yellow is near z's end, blue near its start


def test_a_film_is_one_turn_of_frames_alike_in_size(tmp_path) -> None:
    volumes = {"truth": np.random.default_rng(2).random(GRID.shape) ** 6, "zero": np.zeros(GRID.shape)}
    frames = list(turntable(volumes, GRID, n_frame=4, size=96))
    assert len(frames) == 4
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert frames[0].shape[0] % 2 == frames[0].shape[1] % 2 == 0
    assert all(np.abs(a.astype(int) - b).max() > 50 for a, b in pairwise(frames))
    write_gif(tmp_path / "a.gif", iter(frames), fps=10)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 4
        assert film.info["duration"] == 100
        assert film.info["loop"] == 0
        for i, frame in enumerate(frames):
            film.seek(i)
            assert np.abs(np.asarray(film.convert("RGB")).astype(int) - frame).mean() < 6
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    write_mp4(tmp_path / "a.mp4", iter(frames), fps=10)
    film = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    for frame in frames:
        more, image = film.read()
        assert more
        assert np.abs(image[..., ::-1].astype(int) - frame).mean() < 8
    assert not film.read()[0]


def test_no_text_of_a_film_meets_another() -> None:
    sheet = _Sheet(["a"], GRID, (100, 100), 96)
    sheet.bar(
        ScalarMappable(Normalize(-40, 0), "inferno"), "largest magnitude along the ray, relative to each maximum (dB)"
    )
    sheet.pixels()
    boxes = [text.get_window_extent() for text in sheet.figure.texts]
    boxes += [label.get_window_extent() for label in sheet.figure.axes[-1].get_xticklabels()]
    for i, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= sheet.width
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize("rendering", ["maximum", "surface"])
def test_thin_grids_turn(rendering) -> None:
    for grid in (
        VoxelGrid.from_extent(x=(-50, 50, 9), y=(0, 0, 1), z=(10, 70, 8)),
        VoxelGrid.from_extent(x=(0, 0, 1), y=(0, 0, 1), z=(1, 3, 6)),
        VoxelGrid.from_extent(x=(0, 0, 1), y=(0, 0, 1), z=(1, 1, 1)),
    ):
        frames = list(turntable({"a": np.ones(grid.shape)}, grid, rendering=rendering, n_frame=2, size=96))
        assert frames[0].std() > 10


def test_common_scale_and_bad_volumes() -> None:
    volumes = {"a": np.ones(GRID.shape), "b": np.full(GRID.shape, 0.1)}
    own, common = (
        next(turntable(volumes, GRID, common_scale=common, n_frame=2, size=96)).astype(int) for common in (False, True)
    )
    half = own.shape[1] // 2
    left, right = own[:, :half], own[:, half:]
    assert abs(left.mean() - right.mean()) < 5
    assert np.abs(common[:, half:] - right).mean() > 20
    assert np.abs(common[:, :half] - left).mean() < 5
    volumes["b"][0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="image 'b' has NaN"):
        turntable(volumes, GRID)
    with pytest.raises(ValueError, match=r"volume has shape \(2, 2, 2\)"):
        turntable({"a": np.ones((2, 2, 2))}, GRID)
