"""The standard deviation of an image among the images: figures, exports, the viewer's packets."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.text import Text

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import FileError, Measurement, Reconstruction, save
from mimo.viewer.exports import export
from mimo.viewer.files import figure_of_file, images_of_scene
from mimo.viewer.payload import file_facts, phase_packet, scores, unpack, volume_packet

GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 7), z=(0.4, 0.6, 11))


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(2)
    array, sweep = ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3), FrequencySweep.linear(4e9, 8e9, 4)
    truth = rng.uniform(0, 1, (2, *GRID.shape)).astype(np.complex64)
    image = rng.uniform(0, 4, truth.shape).astype(np.float32)
    std = (0.1 * image + 0.3).astype(np.float32)
    certain = Reconstruction("two-stage", image, GRID, {}, np.ones(2), scale="relative", std=std)
    plain = replace(certain, method="l1", std=None, scale="reflectivity")
    measurement = Measurement(np.ones((2, 4, 2, 3), np.complex64), array, sweep, grid=GRID, truth=truth)
    save(tmp_path / "x.h5", measurement, reconstructions=[plain, certain])
    return tmp_path / "x.h5", image, std


def test_it_is_an_image_by_its_name(file):
    path, _, std = file
    found = images_of_scene(path, 1, ["two-stage:std"])
    assert list(found.magnitudes()) == ["two-stage:std"] and found.relative() == {"two-stage:std"}
    np.testing.assert_array_equal(found.magnitudes()["two-stage:std"], std[1])
    assert list(images_of_scene(path).magnitudes()) == ["truth", "l1", "two-stage"]
    with pytest.raises(FileError, match="unknown image 'l1:std'"):
        images_of_scene(path, 0, ["l1:std"])


def test_figures_show_it_on_the_scale_of_its_image(file):
    path, image, std = file
    drawing = figure_of_file(path, methods=["two-stage", "two-stage:std"], linear=True)
    texts = " ".join(text.get_text() for text in drawing.findobj(Text))
    assert "two-stage:std" in texts and "0 dB: the image's maximum" in texts
    brightest = sorted(float(np.nanmax(mesh.get_array())) for mesh in drawing.findobj(QuadMesh))
    assert brightest[0] == pytest.approx(std[0].max() / image[0].max(), rel=1e-3)


def test_exports_have_it_beside_the_image(file, tmp_path):
    path, _, std = file
    export(path, tmp_path / "all.npy")
    told = json.loads((tmp_path / "all.npy.json").read_text())
    assert told["images"] == ["truth", "l1", "two-stage", "two-stage:std"]
    np.testing.assert_array_equal(np.load(tmp_path / "all.npy")[3], std[0])
    export(path, tmp_path / "points.csv", methods=["two-stage:std"], levels_db=(-1.0,))
    assert (tmp_path / "points.csv").read_text()


def test_the_page_gets_it_as_an_image_after_its_own(file):
    path, _, std = file
    items = file_facts(path)["items"]
    assert [item["name"] for item in items] == ["truth", "l1", "two-stage", "two-stage:std"]
    assert items[3]["relative"] and not items[3]["truth"]
    header, body = unpack(volume_packet(path, 3, 1))
    assert header["name"] == "two-stage:std" and header["peak"] == pytest.approx(std[1].max())
    sent = np.frombuffer(body, "<f2").reshape(std[1].T.shape).T * header["peak"]
    np.testing.assert_allclose(sent, std[1], rtol=2e-3)
    assert "history" not in header and scores(path, 3, 1) == {} and scores(path, 2, 1)["psnr"]
    assert unpack(phase_packet(path, 3, 1)) == ({"item": 3, "scene": 1, "complex": False}, b"")
