"""--region and grids that are guessed: from the command line to the image, its file and its figure."""

import json

import h5py
import numpy as np
import pytest
from test_command_line import SMALL, bad, good, mimo

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, data
from mimo.data import FileError
from mimo.data.files.describe import describe_file
from mimo.data.files.shards import join_shards
from mimo.recon import reconstruct
from mimo.viewer.figures import OUTSIDE, figure, panels_from

SPHERE = "sphere:0,0.02,0.5,0.07"
GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 7), z=(0.4, 0.6, 11))


def sphere(grid: VoxelGrid = GRID) -> np.ndarray:
    return (np.linalg.norm(grid.centers() - (0, 0.02, 0.5), axis=1) <= 0.07).reshape(grid.shape)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    path = tmp_path_factory.mktemp("region") / "scenes.h5"
    good("synth", path, "--n", 3, "--seed", 5, *SMALL, "--quiet")
    return path


@pytest.mark.parametrize("method", ["backprojection", "kirchhoff", "tikhonov", "l1", "tv", "pnp"])
def test_every_method_images_the_region_alone(scenes, tmp_path, method):
    scan, out = data.load(scenes).scenes([0]), tmp_path / "out.h5"
    settings = ("--set", "max_iterations=3") if method in ("l1", "tv", "pnp") else ()
    good("reconstruct", scenes, out, "--method", method, *settings, "--region", SPHERE, "--quiet")
    made = data.load_reconstructions(out, scenes=[0])[method]
    np.testing.assert_array_equal(made.inside, sphere())
    assert made.parameters["region"] == SPHERE
    assert not made.image[:, ~sphere()].any()
    assert made.image[:, sphere()].any()
    whole = reconstruct(method, scan, **({"max_iterations": 3} if settings else {}))
    assert whole.inside is None
    assert whole.parameters["region"] == "auto"
    assert whole.image[:, ~sphere()].any()
    if not settings and method != "tikhonov":
        scale = 1e-5 * np.abs(whole.image).max()
        np.testing.assert_allclose(made.image[:, sphere()], whole.image[:, sphere()], atol=scale)


def test_the_files_region_is_the_default_and_the_option_overrides_it(scenes, tmp_path):
    stated = tmp_path / "stated.h5"
    good("prepare", scenes, stated, "--region", SPHERE, "--quiet")
    assert data.load(stated).region == SPHERE
    assert data.load(stated).steps[-1] == {"step": "region", "value": SPHERE}
    assert describe_file(stated)["region"] == SPHERE
    for options, region, inside in (((), SPHERE, sphere()), (("--region", "all"), "all", None)):
        out = tmp_path / f"out{len(options)}.h5"
        good("reconstruct", stated, out, "--method", "backprojection", *options, "--quiet")
        made = data.load_reconstructions(out)["backprojection"]
        assert made.parameters["region"] == region
        assert (made.inside is None) == (inside is None)
    bad("prepare", scenes, tmp_path / "o.h5", "--region", "voxels.npy", parts=("voxels.npy", "expected a shape"))
    bad("prepare", scenes, tmp_path / "o.h5", "--region", "ball:1", parts=("ball:1", "sphere:X,Y,Z,R"))
    bad("reconstruct", scenes, tmp_path / "o.h5", "--region", "ball:1", parts=("ball:1", "sphere:X,Y,Z,R"))
    bad("reconstruct", scenes, tmp_path / "o.h5", "--region", "sphere:0,0,9,1", parts=("sphere:0,0,9,1", "no voxel"))
    with h5py.File(stated, "r+") as file:
        file["measurement/values"].attrs["region"] = np.bytes_(b"ball:1")
    with pytest.raises(FileError, match="measurement/values region is 'ball:1'"):
        data.load(stated)


def test_shards_share_a_region_and_are_joined_with_it(scenes, tmp_path):
    np.save(tmp_path / "voxels.npy", sphere())
    out, chain = tmp_path / "out.h5", ("--method", "backprojection", "--shard-size", 2, "--workers", 1, "--quiet")
    good("reconstruct", scenes, out, *chain, "--region", tmp_path / "voxels.npy")
    made = data.load_reconstructions(out)["backprojection"]
    np.testing.assert_array_equal(made.inside, sphere())
    assert made.n_scene == 3
    with h5py.File(out) as file:
        assert file["reconstruction/backprojection/inside"].shape == GRID.shape
    np.save(tmp_path / "voxels.npy", ~sphere())  # other voxels: the shards are made anew
    bad("reconstruct", scenes, out, *chain, "--region", tmp_path / "voxels.npy", parts=("out",))
    shards = sorted((tmp_path / "out-shards").glob("*.h5"))
    with h5py.File(shards[1], "r+") as file:
        file["reconstruction/backprojection/inside"][0, 0, 0] = True
    with pytest.raises(FileError, match="reconstruction/backprojection/inside differs"):
        join_shards(tmp_path / "joined.h5", shards)


def test_without_a_grid_it_is_guessed_and_told(scenes, tmp_path):
    scan = data.load(scenes)
    data.save(tmp_path / "no-grid.h5", data.Measurement(scan.values, scan.array, scan.sweep))
    out = good("reconstruct", tmp_path / "no-grid.h5", tmp_path / "out.h5", "--method", "backprojection")
    assert f"{tmp_path / 'no-grid.h5'} has no grid: x=" in out
    assert "a guess: before the array, towards +z" in out
    grid = VoxelGrid.parse(out.partition("has no grid: ")[2].partition(" ")[0])
    made = data.load_reconstructions(tmp_path / "out.h5")["backprojection"]
    assert made.grid.shape == grid.shape
    np.testing.assert_allclose(made.grid.centers(), grid.centers(), atol=1e-6)
    rows = mimo("reconstruct", tmp_path / "no-grid.h5", tmp_path / "o.h5", "--method", "backprojection", "--json")[1]
    assert json.loads(rows)[0]["method"] == "backprojection"


def test_a_figure_hatches_what_was_not_imaged(scenes):
    made = reconstruct("backprojection", data.load(scenes), region="cylinder:0,0,0.05")
    drawing = figure(panels_from(None, [made]), made.grid)
    front = next(axes for axes in drawing.axes if axes.get_label() == "backprojection: front")
    shown = front.collections[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(shown).reshape(7, 5), ~made.inside.any(axis=2).T)
    import matplotlib.colors

    assert matplotlib.colors.to_hex(front.get_facecolor()) == OUTSIDE
    assert any("outside the region" in text.get_text() for text in drawing.texts)


def test_kirchhoff_that_sees_nothing_says_why():
    """A ring around voxels of its own plane, without normals: +z is at right angles to every path."""
    angle = np.linspace(0, 2 * np.pi, 7)[:-1]
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    array, sweep = ArrayGeometry(ring[::2], ring[1::2]), FrequencySweep.linear(1e9, 2e9, 4)
    grid = VoxelGrid.from_extent(x=(-0.2, 0.2, 5), y=(-0.2, 0.2, 7), z=(0, 0, 1))
    scan = data.Measurement(np.ones((1, 4, 3, 3), np.complex64), array, sweep, grid)
    with pytest.raises(ValueError, match=r"kirchhoff sees nothing: .* \+z .*array/tx_normal"):
        reconstruct("kirchhoff", scan)
    inward = ArrayGeometry(ring[::2], ring[1::2], tx_normal=-ring[::2], rx_normal=-ring[1::2])
    assert reconstruct("kirchhoff", data.Measurement(scan.values, inward, sweep, grid)).image.any()
    silent = reconstruct("kirchhoff", data.Measurement(0 * scan.values, array, sweep, grid))
    assert not silent.image.any()
