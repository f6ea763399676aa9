"""The page in a notebook: what it holds, and what does not fit together."""

import html
import re

import numpy as np
import pytest
from viewer_samples import GRID, embedded, make_file

from mimo import VoxelGrid, data
from mimo.viewer import show


@pytest.fixture
def path(tmp_path):
    return make_file(tmp_path / "a.h5")


def test_a_reconstruction_alone_has_no_antennas(path):
    image = data.load_reconstructions(path)["alpha"]
    shown = show(image, state="threshold=-8")
    facts = embedded(shown.page, "embedded-facts")
    (file,) = facts["files"]
    assert [item["name"] for item in file["items"]] == ["alpha"]
    assert (file["name"], file["tx"], file["rx"], file["n_freq"]) == ("images", [], [], 0)
    assert (facts["scenes"], facts["state"]) == ([0], "threshold=-8")
    frame = shown._repr_html_()
    (inner,) = re.findall(r'srcdoc="([^"]*)"', frame)
    assert html.unescape(inner) == shown.page
    assert "<script" not in frame  # the notebook's own page gets no script
    assert "MB" in repr(shown) and len(repr(shown)) < 100


def test_with_the_measurement_come_antennas_data_and_the_truth(path, tmp_path):
    images, measurement = data.load_reconstructions(path), data.load(path)
    shown = show(list(images.values()), measurement=measurement, scenes=[1, 2])
    facts = embedded(shown.page, "embedded-facts")
    (file,) = facts["files"]
    assert [item["name"] for item in file["items"]] == ["truth", "alpha", "beta"]
    assert np.array(file["tx"]) == pytest.approx(measurement.array.tx_pos)
    assert facts["scenes"] == [1, 2]
    assert 'id="measurement/0/2"' in shown.page
    shown.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == shown.page
    finer = VoxelGrid.from_extent(x=(-0.2, 0.2, 3), y=(-0.3, 0.3, 4), z=(0.5, 1.0, 6))
    other = data.Reconstruction("l1", np.ones((3, *finer.shape), np.float32), finer, {}, np.ones(3))
    (file,) = embedded(show(other, measurement=measurement).page, "embedded-facts")["files"]
    assert [item["name"] for item in file["items"]] == ["l1"]  # the truth is on another grid


def test_files_and_volumes_by_name(path):
    (file,) = embedded(show(path).page, "embedded-facts")["files"]
    assert (file["name"], len(file["items"])) == ("a.h5", 3)
    volume = np.random.default_rng(0).random(GRID.shape)
    shown = show({"mine": volume, "turned": volume * 1j}, grid=GRID)
    (file,) = embedded(shown.page, "embedded-facts")["files"]
    assert [item["name"] for item in file["items"]] == ["mine", "turned"]


def test_what_does_not_fit_is_named(path):
    image, measurement = data.load_reconstructions(path)["alpha"], data.load(path)
    with pytest.raises(ValueError, match="grid is None"):
        show({"a": np.ones(GRID.shape)})
    with pytest.raises(ValueError, match=r"image 'a' has shape \(7, 5, 11\), grid has shape \(5, 7, 11\)"):
        show({"a": np.ones((7, 5, 11))}, grid=GRID)
    with pytest.raises(ValueError, match="measurement has 1 scenes, alpha has 3"):
        show(image, measurement=measurement.scenes([0]))
    with pytest.raises(ValueError, match="images is empty"):
        show([])
    with pytest.raises(TypeError, match="images holds a ndarray"):
        show([np.ones(3)])
    with pytest.raises(data.FileError, match="no scene 7"):
        show(path, scenes=[7])
