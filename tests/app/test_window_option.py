"""--window reaches every image former, is recorded with the image, and says for which methods it is."""

import numpy as np
import pytest
from test_command_line import SMALL, bad, good

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, data
from mimo.recon import METHODS, reconstruct

FORMERS = [name for name, method in METHODS.items() if "window" in method.options]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    path = tmp_path_factory.mktemp("window") / "scenes.h5"
    good("synth", path, "--n", 2, "--seed", 5, *SMALL, "--quiet")
    return path


@pytest.fixture(scope="module")
def planar(tmp_path_factory):
    """A small scan, which every former but the factorised one takes."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("planar") / "scan.h5"
    values = rng.normal(size=(1, 4, 63)) + 1j * rng.normal(size=(1, 4, 63))
    grid = VoxelGrid.from_extent(x=(-0.05, 0.05, 5), y=(-0.05, 0.05, 7), z=(0.3, 0.4, 11))
    array = ArrayGeometry.planar_scan(shape=(7, 9), width=0.1)
    data.save(path, data.Measurement(values, array, FrequencySweep.linear(8e9, 12e9, 4), grid))
    return path


def test_every_image_former_has_one():
    relative = {"backprojection", "backprojection-fast", "backprojection-factorised", "range-migration", "kirchhoff"}
    relative |= {"kirchhoff-fast"}
    assert set(FORMERS) == {*relative, "auto-physics"}


@pytest.mark.parametrize("method", FORMERS)
def test_it_reaches_the_image(scenes, planar, tmp_path, method):
    source, out = (planar if method == "range-migration" else scenes), tmp_path / "out.h5"
    text = "band=hann,aperture=taylor:30"
    good("reconstruct", source, out, "--method", method, "--window", text, "--quiet")
    made = data.load_reconstructions(out)[method]
    assert made.parameters["window"] == text
    measurement = data.load(source)
    np.testing.assert_array_equal(made.image, reconstruct(method, measurement, window=text).image)
    plain = reconstruct(method, measurement).image
    assert np.abs(made.image - plain).max() > 0.05 * np.abs(plain).max()
    both = reconstruct(method, measurement, window="none")
    np.testing.assert_array_equal(both.image, plain)


def test_formers_agree_under_a_window(scenes):
    measurement = data.load(scenes)
    exact = reconstruct("backprojection", measurement, window="hann").image
    for method in ("backprojection-fast", "backprojection-factorised", "auto-physics"):
        gap = np.abs(reconstruct(method, measurement, window="hann").image - exact).max()
        assert gap < 0.01 * np.abs(exact).max()


def test_methods_without_one_go_beside(scenes, tmp_path):
    out = tmp_path / "out.h5"
    good(
        "reconstruct", scenes, out, "--method", "tikhonov", "--method", "kirchhoff", "--window", "taylor:-35", "--quiet"
    )
    made = data.load_reconstructions(out)
    assert made["kirchhoff"].parameters["window"] == "taylor:35"
    assert "window" not in made["tikhonov"].parameters
    out.unlink()
    bad("reconstruct", scenes, out, "--method", "tikhonov", "--window", "hann",
        parts=("--window", "backprojection-fast", "tikhonov"))  # fmt: skip
    bad("reconstruct", scenes, out, "--window", "hann", parts=("--window", "backprojection", "pnp"))
    bad("reconstruct", scenes, out, "--method", "kirchhoff", "--window", "han", parts=("'han'", "hann"))
    bad("reconstruct", scenes, out, "--method", "kirchhoff", "--set", "window=han", parts=("'han'", "hann"))
    assert not out.exists()


def test_the_benchmark_prints_the_table_of_the_page(monkeypatch):
    from mimo.bench import windows

    few = {name: windows.CASES[name] for name in list(windows.CASES)[-1:]}
    monkeypatch.setattr(windows.measure_windows, "__defaults__", (few, ("none", "hann")))
    assert "| full circle, 360 places | `none` | 5.3 mm (1.00) | -8.8 dB |" in good("bench", "--windows", "--quiet")
    assert '"side_lobe_db"' in good("bench", "--windows", "--json")
    bad("bench", "--windows", "--cost", parts=("--windows", "give one"))
