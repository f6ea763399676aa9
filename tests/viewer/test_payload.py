"""What the page is given: half floats in a texture's order, facts, curves, scores; damage is told, image by image."""

import base64
import json

import matplotlib
import numpy as np
import pytest
import torch
from viewer_samples import GRID, PEAK, make_file, spoil, truncate

from mimo import ArrayGeometry, BornOperator, FrequencySweep, VoxelGrid, data
from mimo.data import divide_gain, restore_reference_path
from mimo.recon import reconstruct
from mimo.recon.metrics import psnr, ssim
from mimo.viewer import payload
from mimo.viewer.color_maps import COLOR_MAPS, PHASE_MAPS, color_tables
from mimo.viewer.payload import (
    _curves,
    _norms,
    file_facts,
    measurement_packet,
    packet,
    page_facts,
    scores,
    unpack,
    version_of,
    volume_packet,
)
from mimo.viewer.projections import voxel_edges


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_file(tmp_path_factory.mktemp("payload") / "images.h5")


def volume_of(path, item, scene):
    """Header and volume (n_x, n_y, n_z), relative to its maximum, by the layout that the packet promises."""
    header, body = unpack(volume_packet(path, item, scene))
    n_x, n_y, n_z = header["shape"]
    flat = np.frombuffer(body, "<f2").astype(float)
    volume = np.empty((n_x, n_y, n_z))
    for i, j, k in np.ndindex(n_x, n_y, n_z):
        volume[i, j, k] = flat[i + n_x * (j + n_y * k)]
    return header, volume


@pytest.mark.parametrize("length", range(8))
def test_a_packet_gives_back_header_and_body_and_its_body_is_aligned(length):
    made = packet({"text": "ü" + "x" * length}, b"12345678")
    assert unpack(made) == ({"text": "ü" + "x" * length}, b"12345678")
    assert (4 + int.from_bytes(made[:4], "little")) % 8 == 0


def test_volumes_are_magnitudes_in_a_textures_order(path):
    stored, truth = data.load_reconstructions(path), data.load(path).truth
    for item, (name, images) in enumerate(
        {"truth": truth, "alpha": stored["alpha"].image, "beta": stored["beta"].image}.items()
    ):
        for scene in (0, 2):
            header, volume = volume_of(path, item, scene)
            magnitude = np.abs(images[scene])
            assert header["name"] == name
            assert header["shape"] == [5, 7, 11]
            assert header["peak"] == pytest.approx(magnitude.max(), rel=1e-6)
            np.testing.assert_allclose(volume, magnitude / magnitude.max(), rtol=2**-11, atol=1e-7)
    _, volume = volume_of(path, 0, 0)
    assert np.unravel_index(volume.argmax(), volume.shape) == PEAK
    assert volume.max() == 1


def test_what_was_imaged_is_told_in_bits(tmp_path, path):
    inside = np.random.default_rng(1).random(GRID.shape) < 0.5
    made = make_file(tmp_path / "a.h5", inside=inside)
    bits = np.frombuffer(base64.b64decode(unpack(volume_packet(made, 1, 0))[0]["inside"]), np.uint8)
    flat = np.unpackbits(bits, count=inside.size, bitorder="little").astype(bool)
    for i, j, k in np.ndindex(GRID.shape):
        assert flat[i + 5 * (j + 7 * k)] == inside[i, j, k]
    assert "inside" not in unpack(volume_packet(made, 0, 0))[0]  # the truth is everywhere
    assert "inside" not in unpack(volume_packet(path, 1, 0))[0]


def test_a_volume_far_from_one_in_scale_keeps_its_decibels(tmp_path):
    rng = np.random.default_rng(3)
    levels = rng.uniform(-80, 0, size=(1, *GRID.shape))
    levels[0, 0, 0, 0] = 0
    for scale in (1e-30, 1e25):
        image = (scale * 10 ** (levels / 20)).astype(np.float32)
        _, volume = volume_of(make_file(tmp_path / "a.h5", n_scene=1, truth=False, images={"m": image}), 0, 0)
        np.testing.assert_allclose(20 * np.log10(volume), levels[0], atol=0.005)


def test_what_a_caption_says(path):
    header, _ = unpack(volume_packet(path, 1, 2))
    assert (header["seconds"], header["iterations"], header["parameters"]) == (3.5, 6, {"weight": 0.5})
    assert header["history"]["residual"] == pytest.approx([2 + 0.5 / (n + 1) for n in range(6)])
    stored, truth = data.load_reconstructions(path), data.load(path).truth
    found = scores(path, 1, 2)
    assert found["psnr"] == pytest.approx(psnr(stored["alpha"].image[2], truth[2]))
    assert found["ssim"] == pytest.approx(ssim(stored["alpha"].image[2], truth[2]))
    assert scores(path, 0, 2) == {}


def test_facts_of_a_file(path):
    facts = file_facts(path)
    json.dumps(facts, allow_nan=False)
    measurement = data.load(path)
    assert [item["name"] for item in facts["items"]] == ["truth", "alpha", "beta"]
    assert [item["truth"] for item in facts["items"]] == [True, False, False]
    assert facts["n_scene"] == 3
    assert facts["tx"] == measurement.array.tx_pos.tolist()
    assert facts["rx"] == measurement.array.rx_pos.tolist()
    for name, edges in voxel_edges(GRID).items():
        assert facts["edges"][name] == edges.tolist()
        assert facts["grid"][name] == getattr(GRID, name).tolist()


def test_facts_without_noise_or_grid_are_json(tmp_path):
    measured = data.Measurement(**{**_parts(make_file(tmp_path / "a.h5")), "snr_db": [np.inf, 3, np.inf], "grid": None})
    data.save(tmp_path / "b.h5", measured)
    facts = file_facts(tmp_path / "b.h5")
    assert json.loads(json.dumps(facts, allow_nan=False))["snr_db"] == [None, 3, None]
    assert facts["items"] == []
    assert "b.h5 holds no image yet" in facts["note"]


def _parts(path):
    measurement = data.load(path)
    return {name: getattr(measurement, name) for name in ("values", "array", "sweep")}


def test_colours_are_those_of_the_figures():
    stored = color_tables()
    assert tuple(stored) == (*COLOR_MAPS, *PHASE_MAPS)
    for name, text in stored.items():  # what `color_maps.json` is made by
        table = np.rint(255 * matplotlib.colormaps[name](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)
        assert text == base64.b64encode(table.tobytes()).decode(), name


def test_the_measurement_is_given_calibrated(tmp_path):
    rng = np.random.default_rng(5)
    gain = (rng.uniform(1, 2, (4, 2, 3)) * np.exp(1j * rng.uniform(size=(4, 2, 3)))).astype(np.complex64)
    path = make_file(tmp_path / "a.h5", gain=gain, reference_path=rng.uniform(size=(2, 3)), permittivity=2.5)
    header, body = unpack(measurement_packet(path, 1))
    expected = restore_reference_path(divide_gain(data.load(path))).values[1].reshape(4, 6)
    np.testing.assert_array_equal(np.frombuffer(body, "<c8").reshape(4, 6), expected)
    assert header["pairs"] == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert header["missing"] == [2]
    assert header["freq"] == [4e9, 5e9, 6e9, 7e9]
    assert header["permittivity"] == 2.5


def test_nan_in_one_image_spares_the_others(tmp_path):
    path = spoil(make_file(tmp_path / "a.h5"), "reconstruction/alpha/reflectivity", (0, 1, 2, 3), np.nan)
    header, body = unpack(volume_packet(path, 1, 0))
    assert body == b""
    assert header["problem"].startswith("a.h5: reconstruction/alpha/reflectivity is nan at index (0, 1, 2, 3)")
    for item, scene in ((2, 0), (0, 0), (1, 1)):
        assert "problem" not in unpack(volume_packet(path, item, scene))[0]
    assert scores(path, 1, 0) == {}


def test_damage_is_told_without_the_folder(tmp_path):
    path = truncate(make_file(tmp_path / "cut.h5"))
    for problem in (file_facts(path)["problem"], unpack(volume_packet(path, 0, 0))[0]["problem"]):
        assert "cut.h5" in problem
        assert str(tmp_path) not in problem
        assert "\n" not in problem
    assert page_facts([path])["files"][0]["items"] == []


def test_an_image_of_zeros_and_one_voxel_thick(tmp_path):
    grid = VoxelGrid.from_extent(x=(-0.2, 0.2, 5), y=(0.1, 0.1, 1), z=(0.5, 1.0, 11))
    zeros = np.zeros((2, *grid.shape), np.float32)
    path = make_file(tmp_path / "a.h5", grid=grid, n_scene=2, images={"none": zeros})
    header, volume = volume_of(path, 1, 1)
    assert header["shape"] == [5, 1, 11]
    assert header["peak"] == 0
    assert not volume.any()
    assert scores(path, 1, 1) == {}


@pytest.mark.parametrize(
    ("item", "scene", "part"), [(3, 0, "no image 3"), (-1, 0, "no image -1"), (0, 3, "no scene 3")]
)
def test_what_is_not_there_is_named(path, item, scene, part):
    assert part in unpack(volume_packet(path, item, scene))[0]["problem"]


def test_the_version_changes_with_the_file(tmp_path):
    path = make_file(tmp_path / "a.h5")
    before = version_of(path)
    assert version_of(path) == before
    make_file(path, seed=1)
    assert version_of(path) not in (before, "absent")
    path.unlink()
    assert version_of(path) == "absent"


def test_curves_of_every_shape_of_history():
    assert _curves([{"a": [1.0, 2.0], "b": 3}, {"a": [4.0, None], "b": 5}], 1, 2) == {
        "a": [2, None],
        "b": [3, 5],
    }
    batches = [[{"a": [1.0, 2.0]}], [{"a": [3.0]}, {"a": [6.0]}]]
    assert [_curves(batches, s, 3)["a"] for s in range(3)] == [[1], [2], [3, 6]]
    assert _curves({"objective": [2.0, 1.0], "name": "x"}, 0, 1) == {"objective": [2, 1]}
    assert _curves([{"a": float("nan")}, {"b": True}, "text"], 0, 1) == {}
    for nothing in (None, [], "text", 3, [[]], [None]):
        assert _curves(nothing, 0, 1) == {}


@pytest.mark.parametrize("options", [{}, {"eps": 0.3}], ids=["noise", "stated"])
def test_norms_turn_a_recorded_residual_into_that_of_the_measurement(tmp_path, options):
    rng = np.random.default_rng(3)
    array = ArrayGeometry(rng.uniform(-0.3, 0.3, (3, 3)) * [1, 1, 0], rng.uniform(-0.3, 0.3, (5, 3)) * [1, 1, 0])
    sweep = FrequencySweep(np.linspace(4e9, 8e9, 7))
    A = BornOperator(array, sweep, GRID)
    truth = np.zeros((1, *GRID.shape), np.complex64)
    truth[0][PEAK] = 3
    clean = A.forward(torch.as_tensor(truth)).numpy()
    noise = rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape)
    y = (clean + 0.2 * np.sqrt((np.abs(clean) ** 2).mean()) * noise / np.sqrt(2)).astype(np.complex64)
    measurement = data.Measurement(y, array, sweep, GRID, snr_db=np.array([20 * np.log10(5)]))
    made = reconstruct("l1", measurement, max_iterations=200, **options)
    data.save(tmp_path / "a.h5", measurement, reconstructions=[made])
    header, _ = unpack(volume_packet(tmp_path / "a.h5", 0, 0))
    left = np.linalg.norm(A.forward(torch.as_tensor(made.image)).numpy() - y)
    size = np.linalg.norm(y)
    assert header["norms"]["noise"] == pytest.approx(0.2 / np.hypot(1, 0.2), rel=0.02)
    assert header["norms"]["bound"] == pytest.approx(options.get("eps", header["norms"]["noise"]))
    assert header["history"]["residual"][-1] * header["norms"]["bound"] * size == pytest.approx(left, rel=0.05)


def test_norms_are_not_guessed():
    assert _norms({}, 0) == {}
    assert _norms({"noise_std_relative": [0.5]}, 1) == {}
    assert _norms({"noise_std_relative": [0.5], "loss": "robust"}, 0) == {}
    assert _norms({"noise_std_relative": [0.25, 0.5], "eps": 0.1, "splitting": "hqs"}, 1) == {
        "bound": 0.5,
        "noise": 0.5,
    }
    assert _norms({"noise_std_relative": [0.0], "splitting": "annealed"}, 0) == {"bound": 1.0, "noise": 0.0}


def test_a_coarse_version_has_the_largest_of_each_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(payload, "MOST_COARSE", 30)  # of 5 x 7 x 11 voxels: cells of 2 leave 72, of 4 leave 12
    inside = np.zeros(GRID.shape, bool)
    inside[1:, 2:, 3:] = True
    path = make_file(tmp_path / "a.h5", inside=inside)
    header, body = unpack(volume_packet(path, 1, 0, coarse=True))
    whole, fine = unpack(volume_packet(path, 1, 0))
    assert (header["cells"], whole["cells"]) == (4, 1)
    assert header["shape"] == [2, 2, 3]
    assert header["peak"] == whole["peak"]
    volume = np.frombuffer(fine, np.float16).reshape(GRID.shape[::-1]).transpose(2, 1, 0)
    coarse = np.frombuffer(body, np.float16).reshape(3, 2, 2).transpose(2, 1, 0)
    bits = np.unpackbits(np.frombuffer(base64.b64decode(header["inside"]), np.uint8), bitorder="little")[:12]
    for i, j, k in np.ndindex(2, 2, 3):
        cell = np.s_[4 * i : 4 * i + 4, 4 * j : 4 * j + 4, 4 * k : 4 * k + 4]
        assert coarse[i, j, k] == volume[cell].max()
        assert bits.reshape(3, 2, 2)[k, j, i] == inside[cell].any()


def test_a_small_image_has_no_coarse_version(path):
    assert volume_packet(path, 1, 0, coarse=True) == volume_packet(path, 1, 0)
