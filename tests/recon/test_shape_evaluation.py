"""Images against meshes and other images: a ball and a plate whose shape is known, moved, scaled, and left out."""

import json
import math

import numpy as np
import pytest
from helper import fails

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import Measurement, Reconstruction, save
from mimo.data.files.transforms import read_transform
from mimo.recon.isosurface import surface_mesh
from mimo.recon.shape_evaluation import Extraction, compare_with_image, compare_with_mesh, shape_table

GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 21), y=(-0.12, 0.12, 25), z=(0.3, 0.5, 23))
CENTER, RADIUS = np.array([0.01, -0.02, 0.4]), 0.06
SHIFT = GRID.spacing[2]  # the brightest voxel, which is 0 dB, stays in the middle of the ball
MOVED = np.array([0.01, -0.02, 0.4 + SHIFT])
FEW = Extraction(n_sample=3000)


def ball(grid: VoxelGrid, center: np.ndarray = CENTER) -> np.ndarray:
    """Magnitude that is 1 at the centre and falls linearly, so that it is 0.5 on the ball."""
    distance = np.linalg.norm(grid.centers() - center, axis=1).reshape(grid.shape)
    return np.clip(1 - distance / RADIUS / 2, 0, None)


HALF = 20 * math.log10(0.5)
BALL = Extraction(level_db=HALF + 1e-9, n_sample=3000)


def file_of(path, images: dict[str, np.ndarray], grid: VoxelGrid = GRID, truth=None):
    """A file of one scene with images by name."""
    array = ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3)
    made = [Reconstruction(n, v[None].astype(np.complex64), grid, {}, np.ones(1)) for n, v in images.items()]
    measurement = Measurement(
        np.ones((1, 4, 2, 3), np.complex64), array, FrequencySweep.linear(4e9, 7e9, 4), grid, truth=truth
    )
    save(path, measurement, reconstructions=made)
    return path


def write_obj(path, vertices, faces=()):
    lines = [f"v {x} {y} {z}" for x, y, z in vertices] + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def mesh(tmp_path):
    """The ball as a mesh, of a finer grid than the image's."""
    fine = VoxelGrid.from_extent(x=(-0.1, 0.1, 61), y=(-0.12, 0.12, 61), z=(0.3, 0.5, 61))
    return write_obj(tmp_path / "ball.obj", *surface_mesh(ball(fine), fine, HALF))


def test_the_image_of_a_ball_has_its_shape(tmp_path, mesh):
    file = file_of(tmp_path / "a.h5", {"l1": ball(GRID), "tv": ball(GRID, MOVED)})
    same, moved = compare_with_mesh(file, mesh, extraction=BALL)
    assert (same["method"], moved["method"]) == ("l1", "tv")
    assert same["chamfer_m"] < 0.0005 and same["f_scores"][0]["f_score"] > 0.99 and same["outside"] == 0
    assert abs(same["depth"]["error_m"]) < 0.0005 and same["depth"]["coverage"] > 0.95
    # over a ball moved along z by s, |cos| s averages s / 2; seen from the front every pixel is s behind
    assert moved["chamfer_m"] == pytest.approx(SHIFT / 2, rel=0.05)
    assert moved["depth"]["error_m"] == pytest.approx(SHIFT, rel=0.05)
    one = shape_table([same, moved]).splitlines()
    assert len(one) == 3 and "F(5 mm)" in one[0] and one[2].startswith("tv")
    chosen = compare_with_mesh(file, mesh, extraction=BALL, methods=["tv"])
    assert [row["method"] for row in chosen] == ["tv"]
    assert chosen[0]["chamfer_m"] == moved["chamfer_m"]  # seeded


def test_a_transform_takes_a_mesh_in_millimetres_to_the_grid(tmp_path, mesh):
    file = file_of(tmp_path / "a.h5", {"l1": ball(GRID)})
    turn = np.array([[0, 1.0, 0], [0, 0, 1], [1, 0, 0]])
    vertices = np.array([line.split()[1:] for line in mesh.read_text().splitlines() if line[0] == "v"], float)
    faces = np.array([line.split()[1:] for line in mesh.read_text().splitlines() if line[0] == "f"], int) - 1
    other = write_obj(tmp_path / "mm.obj", 1e3 * (vertices - CENTER) @ turn, faces)  # turn.T @ v
    parts = {"rotation": turn.tolist(), "translation": CENTER.tolist(), "scale": 1e-3}
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = 1e-3 * turn, CENTER
    for content in (parts, matrix.tolist(), {"matrix": matrix.tolist()}):
        (tmp_path / "t.json").write_text(json.dumps(content))
        read = read_transform(tmp_path / "t.json")
        np.testing.assert_allclose(read, matrix)
    (row,) = compare_with_mesh(file, other, transform=matrix, extraction=BALL)
    assert row["chamfer_m"] < 0.0005
    fails(("mm.obj", "spans", "--mesh-scale"), lambda: compare_with_mesh(file, other, extraction=BALL))


def test_what_of_the_mesh_lies_outside_the_grid_is_left_out(tmp_path):
    """A plate twice as wide as the grid, which the image shows as far as it can."""
    volume = np.zeros(GRID.shape)
    volume[:, :, 11] = 1
    file = file_of(tmp_path / "a.h5", {"l1": volume})
    x, y, z = 0.21, 0.125, float(GRID.z[11])
    plate = write_obj(tmp_path / "plate.obj", [(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)], [(0, 1, 2), (0, 2, 3)])
    (row,) = compare_with_mesh(file, plate, extraction=Extraction(kind="depth", depth="strongest", n_sample=3000))
    assert row["outside"] == pytest.approx(0.5, abs=0.03)
    assert row["image_to_truth_m"]["max"] == pytest.approx(0, abs=1e-6)
    assert row["depth"]["error_m"] == pytest.approx(0, abs=1e-6) and row["depth"]["coverage"] == 1


@pytest.mark.parametrize("kind", ["surface", "points", "depth"])
def test_a_point_cloud_and_one_voxel(tmp_path, kind):
    lone = VoxelGrid([0.0], [0.0], [0.4])
    file = file_of(tmp_path / "a.h5", {"l1": np.ones((1, 1, 1))}, lone)
    cloud = write_obj(tmp_path / "cloud.obj", [(0, 0, 0.403)])
    (row,) = compare_with_mesh(file, cloud, extraction=Extraction(kind=kind, n_sample=50))
    assert row["n_truth"] == 1 and row["depth"]["error_m"] == pytest.approx(-0.003)
    if kind != "surface":  # a single voxel's surface is that of a cube, 1 m wide where there is no spacing
        assert row["chamfer_m"] == pytest.approx(0.003)
        assert [score["f_score"] for score in row["f_scores"]] == [0, 0, 1]


def test_an_image_of_nothing_scores_nothing(tmp_path, mesh):
    file = file_of(tmp_path / "a.h5", {"l1": np.zeros(GRID.shape)})
    for kind in ("surface", "points", "depth"):
        (row,) = compare_with_mesh(file, mesh, extraction=Extraction(kind=kind, n_sample=50))
        assert row["n_image"] == 0 and math.isnan(row["chamfer_m"]) and row["f_scores"][2]["f_score"] == 0
        assert row["depth"]["coverage"] == 0 and "nan" in shape_table([row])


def test_another_image_in_place_of_a_mesh(tmp_path):
    fine = VoxelGrid.from_extent(x=(-0.1, 0.1, 41), y=(-0.12, 0.12, 49), z=(0.3, 0.5, 45))
    truth = ball(GRID)[None].astype(np.complex64)
    file = file_of(tmp_path / "a.h5", {"l1": ball(GRID, MOVED)}, truth=truth)
    other = file_of(tmp_path / "b.h5", {"tv": ball(fine)}, fine)
    (own,) = compare_with_image(file, file, other_method="truth", extraction=BALL)
    assert own["chamfer_m"] == pytest.approx(SHIFT / 2, rel=0.05) and own["other_method"] == "truth"
    assert own["depth"]["error_m"] == pytest.approx(SHIFT, rel=0.02)  # the same pixels
    (row,) = compare_with_image(file, other, extraction=BALL)
    assert row["chamfer_m"] == pytest.approx(SHIFT / 2, rel=0.05) and row["other"] == str(other)
    assert row["depth"]["n_pixel"] > 20 and row["depth"]["error_m"] == pytest.approx(SHIFT, rel=0.05)
    fails(("a.h5", "truth, l1"), lambda: compare_with_image(other, file))
    fails(("'pmp'", "truth, l1"), lambda: compare_with_image(other, file, other_method="pmp"))
    fails(("scene 3", "0 to 0"), lambda: compare_with_image(other, file, other_scene=3))


BAD_TRANSFORMS = {
    "[[1, 2], [3, 4]]": ("matrix", "4 x 4"),
    "[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,2]]": ("last row", "0, 0, 0, 1"),
    "[[1,0,0,0],[0,1,0,0],[0,0,1,NaN],[0,0,0,1]]": ("matrix", "finite"),
    '{"matrix": 5, "scale": 2}': ("scale beside matrix",),
    '{"rotate": 5}': ("'rotate'", "'rotation'"),
    '{"scale": "big"}': ("scale is 'big'",),
    '{"translation": [1, 2]}': ("translation", "3 finite"),
    "{": ("no JSON",),
    "[" * 50_000: ("no JSON",),
    " " * 200_000: ("larger than",),
}


@pytest.mark.parametrize("content", BAD_TRANSFORMS, ids=range(len(BAD_TRANSFORMS)))
def test_a_bad_transform_is_named(tmp_path, content):
    (tmp_path / "t.json").write_text(content)
    fails(("t.json", *BAD_TRANSFORMS[content]), lambda: read_transform(tmp_path / "t.json"))


def test_bad_input_is_named(tmp_path, mesh):
    file = file_of(tmp_path / "a.h5", {"l1": ball(GRID)})
    fails(("'blob'", "surface"), lambda: Extraction(kind="blob"))
    fails(("'last'",), lambda: Extraction(depth="last"))
    fails(("n_sample is 0",), lambda: Extraction(n_sample=0))
    fails(("seed is -1",), lambda: Extraction(seed=-1))
    fails(("no.json",), lambda: read_transform(tmp_path / "no.json"))
    fails(("a.h5", "'l2'", "'l1'"), lambda: compare_with_mesh(file, mesh, methods=["l2"], extraction=FEW))
    fails(("a.h5", "scene 1"), lambda: compare_with_mesh(file, mesh, scene=1, extraction=FEW))
    fails(("within is 0",), lambda: compare_with_mesh(file, mesh, within=(0,), extraction=FEW))
    scan = file_of(tmp_path / "scan.h5", {})
    fails(("scan.h5", "no image"), lambda: compare_with_mesh(scan, mesh, extraction=FEW))
