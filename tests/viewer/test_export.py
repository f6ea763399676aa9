"""Exports: what another library reads back is the image, at its place in metres."""

import json
from pathlib import Path

import numpy as np
import pytest
from cases import ARRAY, SWEEP
from helper import fails
from scipy.io import loadmat

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, data, extras
from mimo.data import Measurement, Reconstruction, save
from mimo.recon import METHODS
from mimo.recon.depth_maps import depth_map
from mimo.viewer.export_surface import vertex_db
from mimo.viewer.exports import SUFFIXES, export
from mimo.viewer.turntables import turntable

EVEN = VoxelGrid.from_extent(x=(-0.2, 0.2, 5), y=(-0.1, 0.2, 7), z=(0.5, 1.0, 11))
PLATE = VoxelGrid.from_extent(x=(-0.2, 0.2, 5), y=(0.3, 0.3, 1), z=(0.5, 1.0, 11))
UNEVEN = VoxelGrid([-0.2, -0.1, 0.0, 0.1, 0.2], np.linspace(-0.1, 0.2, 7), 0.5 + np.linspace(0, 1, 11) ** 2)


def make_file(path: Path, grid: VoxelGrid = EVEN, n_scene: int = 2, zero: bool = False) -> dict[str, np.ndarray]:
    """A file with a complex truth and images of two methods; returns the magnitudes by name, all scenes."""
    rng = np.random.default_rng(7)
    shape = (n_scene, *grid.shape)
    truth = (rng.random(shape) * np.exp(2j * np.pi * rng.random(shape))).astype(np.complex64)
    images = {"pnp": rng.random(shape).astype(np.float32), "l1": (3 * rng.random(shape) + 1j).astype(np.complex64)}
    if zero:
        images["pnp"][:] = 0
    values = np.ones((n_scene, SWEEP.n_freq, *ARRAY.measurement_shape), np.complex64)
    made = [data.Reconstruction(name, image, grid, {}, np.ones(n_scene)) for name, image in images.items()]
    data.save(path, data.Measurement(values, ARRAY, SWEEP, grid, truth=truth), reconstructions=made)
    return {"truth": np.abs(truth), **{name: np.abs(image) for name, image in images.items()}}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    path = tmp_path_factory.mktemp("source") / "bilder größe 像.h5"
    return path, make_file(path)


def vtk_grid(path: Path):
    """What VTK's own reader makes of a file: the data set, and its point arrays indexed ``[x, y, z]``."""
    vtk_io = pytest.importorskip("vtkmodules.vtkIOXML", reason="vtk is not installed")
    from vtkmodules.util.numpy_support import vtk_to_numpy

    reader = vtk_io.vtkXMLImageDataReader() if path.suffix == ".vti" else vtk_io.vtkXMLRectilinearGridReader()
    reader.SetFileName(str(path))
    reader.Update()
    found = reader.GetOutput()
    points = found.GetPointData()
    arrays = {points.GetArrayName(i): vtk_to_numpy(points.GetArray(i)) for i in range(points.GetNumberOfArrays())}
    shape = found.GetDimensions()
    return found, {name: values.reshape(shape, order="F") for name, values in arrays.items()}


@pytest.mark.parametrize("grid", [EVEN, PLATE], ids=["volume", "plate"])
def test_vti_read_by_vtk(tmp_path, grid) -> None:
    magnitudes = make_file(tmp_path / "a.h5", grid)
    export(tmp_path / "a.h5", tmp_path / "größe.vti", scene=1)
    found, arrays = vtk_grid(tmp_path / "größe.vti")
    assert list(arrays) == ["truth", "l1", "pnp"]
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, magnitudes[name][1])
    assert found.GetDimensions() == grid.shape
    assert found.GetOrigin() == pytest.approx((grid.x[0], grid.y[0], grid.z[0]))
    for i, index in enumerate(np.ndindex(grid.shape)):  # where VTK puts each point
        at = found.FindPoint(tuple(grid.centers()[i]))
        assert found.GetPoint(at) == pytest.approx(tuple(grid.centers()[i]), abs=1e-12)
        assert at == index[0] + grid.shape[0] * (index[1] + grid.shape[1] * index[2])
    assert {p.name for p in tmp_path.iterdir()} == {"a.h5", "größe.vti"}


def test_vtr_keeps_uneven_spacing(tmp_path) -> None:
    magnitudes = make_file(tmp_path / "a.h5", UNEVEN)
    export(tmp_path / "a.h5", tmp_path / "a.vtr", methods=["l1"])
    found, arrays = vtk_grid(tmp_path / "a.vtr")
    np.testing.assert_array_equal(arrays["l1"], magnitudes["l1"][0])
    at = np.array([found.GetPoint(i) for i in range(found.GetNumberOfPoints())])
    np.testing.assert_allclose(
        at.reshape(*UNEVEN.shape[::-1], 3).transpose(2, 1, 0, 3).reshape(-1, 3), UNEVEN.centers()
    )
    for suffix in (".vti", ".nii.gz"):
        out = tmp_path / f"b{suffix}"
        fails((out.name, "grid/z", "0.01 to 0.19 m", ".vtr"), lambda out=out: export(tmp_path / "a.h5", out))
    export(tmp_path / "a.h5", tmp_path / "a.npy")
    assert json.loads((tmp_path / "a.npy.json").read_text())["z"] == UNEVEN.z.tolist()


def test_nifti_read_by_vtk_and_by_its_header(tmp_path, source) -> None:
    pytest.importorskip("nibabel", reason="nibabel is not installed")
    vtk_image = pytest.importorskip("vtkmodules.vtkIOImage", reason="vtk is not installed")
    from vtkmodules.util.numpy_support import vtk_to_numpy

    path, magnitudes = source
    out = tmp_path / "a.nii.gz"
    export(path, out, methods=["l1"], scene=1)
    reader = vtk_image.vtkNIFTIImageReader()
    reader.SetFileName(str(out))
    reader.Update()
    image, header = reader.GetOutput(), reader.GetNIFTIHeader()
    values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions(), order="F")
    np.testing.assert_array_equal(values, magnitudes["l1"][1])
    assert image.GetSpacing() == pytest.approx((100, 50, 50))  # mm
    assert header.GetXYZTUnits() & 7 == 2  # NIfTI's code of millimetres
    expected = [(EVEN.x[i], EVEN.y[j], EVEN.z[k]) for i, j, k in np.ndindex(3, 4, 2)]
    for matrix in (reader.GetSFormMatrix(), reader.GetQFormMatrix()):  # from VTK's axes, spacing included, to the world
        place = [matrix.MultiplyPoint((100 * i, 50 * j, 50 * k, 1))[:3] for i, j, k in np.ndindex(3, 4, 2)]
        np.testing.assert_allclose(place, 1e3 * np.array(expected), atol=1e-3)
    export(path, tmp_path / "all.nii", scene=1)
    reader.SetFileName(str(tmp_path / "all.nii"))
    reader.TimeAsVectorOn()
    reader.Update()
    several = vtk_to_numpy(reader.GetOutput().GetPointData().GetScalars())
    for i, name in enumerate(("truth", "l1", "pnp")):
        np.testing.assert_array_equal(several[:, i].reshape(EVEN.shape, order="F"), magnitudes[name][1])
    assert b'"images": ["truth", "l1", "pnp"]' in (tmp_path / "all.nii").read_bytes()


def test_npy_and_what_stands_beside_it(tmp_path, source) -> None:
    path, magnitudes = source
    export(path, tmp_path / "a.npy", methods=["pnp", "truth"], linear=False, floor_db=-30, common_scale=True)
    values = np.load(tmp_path / "a.npy", allow_pickle=False)
    beside = json.loads((tmp_path / "a.npy.json").read_text())
    assert beside["axes"] == ["image", "x", "y", "z"]
    assert beside["images"] == ["truth", "pnp"]
    assert VoxelGrid(beside["x"], beside["y"], beside["z"]) == EVEN
    assert beside["source"] == path.name
    peak = max(magnitudes[name][0].max() for name in ("truth", "pnp"))
    for i, name in enumerate(("truth", "pnp")):
        expected = np.maximum(20 * np.log10(magnitudes[name][0] / peak), -30)
        np.testing.assert_allclose(values[i], expected, rtol=1e-5, atol=1e-4)
    export(path, tmp_path / "b.npy", methods=["pnp"], scene=1)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), magnitudes["pnp"][1])


def test_volumes_are_nan_outside_a_region(tmp_path) -> None:
    inside = np.zeros(EVEN.shape, bool)
    inside[1:4, 2:, :5] = True
    values = np.ones((1, SWEEP.n_freq, *ARRAY.measurement_shape), np.complex64)
    image = (inside * np.random.default_rng(8).random(EVEN.shape)).astype(np.float32)[None]
    made = Reconstruction("l1", image, EVEN, {}, np.ones(1), inside=inside)
    path = tmp_path / "part.h5"
    save(path, Measurement(values, ARRAY, SWEEP, EVEN), reconstructions=[made])
    for linear in (None, False):
        export(path, tmp_path / "part.npy", linear=linear)
        np.testing.assert_array_equal(np.isfinite(np.load(tmp_path / "part.npy")), inside)
    assert json.loads((tmp_path / "part.npy.json").read_text())["outside the region"] == "NaN"


def test_a_learned_image_keeps_its_own_scale_in_exports_and_films(tmp_path) -> None:
    """On a common scale an image of a network would lie at -80 dB beside reflectivities of 1e4."""
    body = np.random.default_rng(0).random((1, *EVEN.shape))
    images = {"l1": 1e4 * body + 0j, "two-stage": body.astype(np.float32)}
    made = [Reconstruction(n, v, EVEN, {}, np.ones(1), scale=METHODS[n].scale) for n, v in images.items()]
    array = ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3)
    values = np.ones((1, 4, 2, 3), np.complex64)
    save(tmp_path / "a.h5", Measurement(values, array, FrequencySweep.linear(4e9, 7e9, 4), EVEN), reconstructions=made)
    export(tmp_path / "a.h5", tmp_path / "a.npy", linear=False, common_scale=True)
    assert np.load(tmp_path / "a.npy").max((1, 2, 3)) == pytest.approx([0, 0], abs=1e-5)
    assert "two-stage: its own" in json.loads((tmp_path / "a.npy.json").read_text())["unit"]
    volumes = {name: np.abs(volume[0]) for name, volume in images.items()}
    own = next(turntable(volumes, EVEN, n_frame=2, size=96)).astype(int)
    kept, lost = (
        next(turntable(volumes, EVEN, common_scale=True, relative=relative, n_frame=2, size=96)).astype(int)
        for relative in ({"two-stage"}, ())
    )
    right = slice(own.shape[1] // 2, None)
    picture = slice(own.shape[0] // 4, own.shape[0] // 2)  # the names above and the bar below differ
    assert np.abs(kept - own)[picture, right].mean() < 1 and np.abs(lost - own)[picture, right].mean() > 10


@pytest.mark.parametrize("grid", [EVEN, PLATE, UNEVEN], ids=["volume", "plate", "uneven"])
def test_ply_read_by_meshio(tmp_path, grid) -> None:
    meshio = pytest.importorskip("meshio", reason="meshio is not installed")
    make_file(tmp_path / "a.h5", grid)
    export(tmp_path / "a.h5", tmp_path / "a.ply", methods=["l1"], levels_db=(-3, -1), scene=1)
    mesh = meshio.read(tmp_path / "a.ply")
    low, high = mesh.points.min(axis=0), mesh.points.max(axis=0)
    for i, name in enumerate("xyz"):
        axis = getattr(grid, name)
        if len(axis) > 1:  # the outer voxels reach half a step beyond their centres
            assert 1.5 * axis[0] - 0.5 * axis[1] - 1e-6 <= low[i] < high[i] <= 1.5 * axis[-1] - 0.5 * axis[-2] + 1e-6
    inside = np.ones(len(mesh.points), bool)
    for i, name in enumerate("xyz"):
        axis = getattr(grid, name)
        inside &= (mesh.points[:, i] > axis[0] + 1e-6) & (mesh.points[:, i] < axis[-1] - 1e-6) | (len(axis) == 1)
    decibels = mesh.point_data["db"]
    near = np.minimum(np.abs(decibels + 3), np.abs(decibels + 1))
    if grid is not PLATE:  # the two sides of a plate lie beyond its one centre
        assert inside.sum() > 50
        assert (near[inside] < 1e-3).mean() > 0.9  # noise has ambiguous cells, with a vertex of their own inside
    assert (decibels > -3 - 1e-3).mean() > 0.95
    assert {-3, -1} <= set(np.round(decibels[inside]).astype(int))
    assert mesh.point_data["red"].view(np.uint8).max() > 200  # meshio takes uchar for signed
    assert mesh.cells_dict["triangle"].max() == len(mesh.points) - 1


def test_vertex_db_is_the_magnitude_at_the_place() -> None:
    volume = np.random.default_rng(3).random(UNEVEN.shape)
    at = UNEVEN.centers()
    expected = np.maximum(20 * np.log10(volume.ravel() / volume.max()), -40)
    assert vertex_db(volume, UNEVEN, at) == pytest.approx(expected)
    middle = (at[0] + at[1]) / 2  # half-way along z
    assert vertex_db(volume, UNEVEN, middle[None], -90) == pytest.approx(
        20 * np.log10((volume[0, 0, 0] + volume[0, 0, 1]) / 2 / volume.max())
    )


def test_an_all_zero_image(tmp_path) -> None:
    make_file(tmp_path / "a.h5", zero=True)
    export(tmp_path / "a.h5", tmp_path / "a.npy", methods=["pnp"], linear=False, floor_db=-25)
    assert (np.load(tmp_path / "a.npy") == -25).all()
    fails(("a.ply", "'pnp' is all zero"), lambda: export(tmp_path / "a.h5", tmp_path / "a.ply", methods=["pnp"]))
    assert not (tmp_path / "a.ply").exists()


def test_bad_input_is_named_and_nothing_is_written(tmp_path, source) -> None:
    path, _ = source
    fails(("a.bmp", "'.bmp'", *SUFFIXES), lambda: export(path, tmp_path / "a.bmp"))
    fails((path.name, "--method", "truth, l1, pnp"), lambda: export(path, tmp_path / "a.ply"))
    fails((path.name, "scenes 0 to 1"), lambda: export(path, tmp_path / "a.vti", scene=2))
    fails((path.name, "'pmp'", "'pnp'"), lambda: export(path, tmp_path / "a.vti", methods=["pmp"]))
    fails(("floor_db is 3",), lambda: export(path, tmp_path / "a.npy", floor_db=3))
    fails(("level_db is 1",), lambda: export(path, tmp_path / "a.ply", methods=["pnp"], levels_db=(1,)))
    fails(("'infern'", "'inferno'"), lambda: export(path, tmp_path / "a.gif", cmap="infern"))
    fails(("fps is 0",), lambda: export(path, tmp_path / "a.gif", fps=0))
    fails(("size is 5",), lambda: export(path, tmp_path / "a.gif", size=5))
    fails(("rendering is 'mip'", "maximum, surface"), lambda: export(path, tmp_path / "a.gif", rendering="mip"))
    fails(("n_frame is 1",), lambda: export(path, tmp_path / "a.gif", n_frame=1))
    assert not list(tmp_path.iterdir())


def test_a_missing_package_names_the_extra(tmp_path, source, monkeypatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(extras.importlib, "import_module", absent)
    for suffix, package in (
        (".vti", "pyevtk"),
        (".vtr", "pyevtk"),
        (".nii.gz", "nibabel"),
        (".ply", "trimesh"),
        (".mp4", "opencv-python-headless"),
    ):
        out = tmp_path / f"a{suffix}"
        fails(
            (out.name, package, "mimo-imaging[export]"), lambda out=out: export(source[0], out, methods=["l1"], size=96)
        )
    assert not list(tmp_path.iterdir())


def volume_points(path: Path, name: str, scene: int, level_db: float) -> np.ndarray:
    """Rows x, y, z, dB, real, imag of the voxels that reach a level, by a plain loop."""
    image = data.load_reconstructions(path)[name].image[scene]
    peak, grid = np.abs(image).max(), data.load(path).grid
    rows = []
    for i, j, k in np.ndindex(image.shape):
        db = 20 * np.log10(np.abs(image[i, j, k]) / peak)
        if db >= level_db:
            rows.append((grid.x[i], grid.y[j], grid.z[k], db, image[i, j, k].real, image[i, j, k].imag))
    return np.array(rows)


def test_points_as_csv_ply_and_pcd(tmp_path, source) -> None:
    meshio = pytest.importorskip("meshio", reason="meshio is not installed")
    path, _ = source
    expected = volume_points(path, "l1", 1, -2)
    assert 20 < len(expected) < 300
    options = {"methods": ["l1"], "scene": 1, "content": "points", "levels_db": (-2,)}
    for suffix in (".csv", ".ply", ".pcd"):
        export(path, tmp_path / f"a{suffix}", **options)
    table = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True)
    assert table.dtype.names == ("x", "y", "z", "db", "real", "imag")
    np.testing.assert_allclose(table.view((float, 6)), expected, rtol=1e-5, atol=1e-5)
    cloud = meshio.read(tmp_path / "a.ply")
    np.testing.assert_allclose(cloud.points, expected[:, :3], atol=1e-6)
    for i, name in enumerate(("db", "real", "imag"), start=3):
        np.testing.assert_allclose(cloud.point_data[name], expected[:, i], rtol=1e-5, atol=1e-5)
    assert cloud.point_data["red"].view(np.uint8).max() > 200
    header, body = (tmp_path / "a.pcd").read_bytes().split(b"DATA binary\n", 1)
    lines = dict(line.split(" ", 1) for line in header.decode().splitlines() if not line.startswith("#"))
    assert lines["FIELDS"] == "x y z db real imag" and lines["VERSION"] == "0.7"
    assert int(lines["POINTS"]) == int(lines["WIDTH"]) * int(lines["HEIGHT"]) == len(expected)
    assert set(lines["SIZE"].split()) == {"4"} and set(lines["TYPE"].split()) == {"F"}
    np.testing.assert_allclose(np.frombuffer(body, "<f4").reshape(-1, 6), expected, rtol=1e-5, atol=1e-5)
    export(path, tmp_path / "b.csv", methods=["pnp"])  # no phase, and .csv is points without being told
    assert (tmp_path / "b.csv").read_text().splitlines()[0] == "x,y,z,db,magnitude"


@pytest.mark.parametrize("suffix", [".stl", ".obj"])
def test_surfaces_read_by_meshio_are_those_of_the_ply(tmp_path, source, suffix) -> None:
    meshio = pytest.importorskip("meshio", reason="meshio is not installed")
    options = {"methods": ["l1"], "levels_db": (-3, -1)}
    for ending in (suffix, ".ply"):
        export(source[0], tmp_path / f"a{ending}", **options)
    made, known = (meshio.read(tmp_path / f"a{ending}") for ending in (suffix, ".ply"))
    corners = [mesh.points[mesh.cells_dict["triangle"]] for mesh in (made, known)]
    np.testing.assert_allclose(corners[0], corners[1], atol=1e-6)
    if suffix == ".stl":
        records = np.frombuffer(
            (tmp_path / "a.stl").read_bytes()[84:], [("n", "<f4", 3), ("c", "<f4", (3, 3)), ("a", "<u2")]
        )
        a, b, c = records["c"].transpose(1, 0, 2).astype(float)
        ours = np.cross(b - a, c - a)
        ours /= np.linalg.norm(ours, axis=1, keepdims=True)
        np.testing.assert_allclose(records["n"], ours, atol=1e-2)
        assert not (tmp_path / "a.stl").read_bytes().startswith(b"solid")  # else readers take it for a text


def test_depth_maps_as_arrays_and_points(tmp_path, source) -> None:
    path, magnitudes = source
    volume = magnitudes["l1"][1]
    expected = depth_map(volume, EVEN, -3, viewpoint=(0, 0, -0.5), depth="strongest")
    options = {"methods": ["l1"], "scene": 1, "content": "depth", "levels_db": (-3,), "depth": "strongest"}
    for suffix in (".npy", ".mat", ".csv", ".ply", ".pcd"):
        export(path, tmp_path / f"a{suffix}", viewpoint=(0, 0, -0.5), **options)
    np.testing.assert_allclose(np.load(tmp_path / "a.npy"), expected.depth, rtol=1e-6)
    beside = json.loads((tmp_path / "a.npy.json").read_text())
    assert beside["axes"] == ["slope_x", "slope_y"] and beside["viewpoint"] == [0, 0, -0.5]
    assert beside["slope_x"] == expected.view.across.tolist() and beside["unit"] == "m"
    read = loadmat(tmp_path / "a.mat")
    np.testing.assert_array_equal(read["depth"], expected.depth)
    np.testing.assert_array_equal(read["db"], expected.decibels)
    np.testing.assert_array_equal(read["slope_y"].ravel(), expected.view.up)
    table = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True)
    np.testing.assert_allclose(np.stack([table[a] for a in "xyz"], -1), expected.points(), atol=1e-6)
    np.testing.assert_allclose(table["depth"] - 0.5, table["z"], atol=1e-6)
    export(path, tmp_path / "b.mat", **options)  # along z the pixels are the columns of voxels
    read = loadmat(tmp_path / "b.mat")
    np.testing.assert_array_equal(read["x"].ravel(), EVEN.x)
    np.testing.assert_array_equal(read["y"].ravel(), EVEN.y)


def test_mat_has_axes_and_complex_values(tmp_path) -> None:
    magnitudes = make_file(tmp_path / "a.h5", UNEVEN)
    images = data.load_reconstructions(tmp_path / "a.h5")
    again = [Reconstruction("two-stage", images["l1"].image, UNEVEN, {}, np.ones(2)), *images.values()]
    again += [Reconstruction("x", images["pnp"].image, UNEVEN, {}, np.ones(2))]
    save(tmp_path / "b.h5", data.load(tmp_path / "a.h5"), reconstructions=again)
    export(tmp_path / "b.h5", tmp_path / "a.mat", scene=1)
    read = loadmat(tmp_path / "a.mat")
    for axis in "xyz":
        np.testing.assert_array_equal(read[axis].ravel(), getattr(UNEVEN, axis))
    assert [str(n[0]) for n in read["images"][0]] == ["truth", "l1", "pnp", "two-stage", "x"]
    assert [str(n[0]) for n in read["variables"][0]] == ["truth", "l1", "pnp", "two_stage", "x_"]
    np.testing.assert_array_equal(read["l1"], images["l1"].image[1])
    np.testing.assert_array_equal(read["two_stage"], images["l1"].image[1])
    np.testing.assert_array_equal(read["truth"], data.load(tmp_path / "a.h5").truth[1])
    np.testing.assert_array_equal(read["pnp"], magnitudes["pnp"][1])
    assert read["l1"].dtype == np.complex64 and read["unit"][0].startswith("complex")
    export(tmp_path / "b.h5", tmp_path / "m.mat", methods=["l1"], linear=True)
    np.testing.assert_array_equal(loadmat(tmp_path / "m.mat")["l1"], magnitudes["l1"][0])


def test_complex_volumes_for_paraview_and_numpy(tmp_path, source) -> None:
    path, magnitudes = source
    image = data.load_reconstructions(path)["l1"].image[1]
    export(path, tmp_path / "a.vti", methods=["l1", "pnp"], scene=1, complex_values=True)
    _, arrays = vtk_grid(tmp_path / "a.vti")
    assert list(arrays) == ["l1", "l1_real", "l1_imag", "pnp"]
    np.testing.assert_array_equal(arrays["l1_real"] + 1j * arrays["l1_imag"], image)
    np.testing.assert_allclose(arrays["l1"], magnitudes["l1"][1], rtol=1e-6)
    export(path, tmp_path / "a.npy", methods=["l1"], scene=1, complex_values=True)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), image)
    assert json.loads((tmp_path / "a.npy.json").read_text())["unit"].startswith("complex")
    fails(("pnp", "without phases"), lambda: export(path, tmp_path / "b.vti", methods=["pnp"], complex_values=True))
    fails(("b.nii", ".vti"), lambda: export(path, tmp_path / "b.nii", complex_values=True))
    fails(("neither",), lambda: export(path, tmp_path / "b.npy", complex_values=True, linear=False))
    assert not (tmp_path / "b.vti").exists()


def test_a_mat_file_too_large_for_its_format_is_refused(tmp_path, source, monkeypatch) -> None:
    monkeypatch.setattr("mimo.viewer.export_volumes.MOST_MAT_BYTES", 1000)
    fails(("a.mat", "truth", "2 GiB", ".npy"), lambda: export(source[0], tmp_path / "a.mat"))
    assert not list(tmp_path.iterdir())


def test_what_a_format_cannot_hold_is_named(tmp_path, source) -> None:
    path, _ = source
    fails((".stl holds no points", ".pcd"), lambda: export(path, tmp_path / "a.stl", content="points", methods=["l1"]))
    fails(("'cloud'", "points"), lambda: export(path, tmp_path / "a.ply", content="cloud", methods=["l1"]))
    fails(("depth map is of one image", "l1"), lambda: export(path, tmp_path / "a.npy", content="depth"))
    fails(("depth", "'last'"), lambda: export(path, tmp_path / "a.npy", content="depth", depth="last"))
    fails(
        ("viewpoint", "in front"),
        lambda: export(path, tmp_path / "a.npy", content="depth", methods=["l1"], viewpoint=(0, 0, 2)),
    )
    for content, suffix in (("points", ".pcd"), ("depth", ".npy"), ("surface", ".obj")):
        make_file(tmp_path / "z.h5", zero=True)
        out = tmp_path / f"a{suffix}"
        fails(
            ("'pnp' is all zero",),
            lambda out=out, content=content: export(tmp_path / "z.h5", out, methods=["pnp"], content=content),
        )
        assert not out.exists()
