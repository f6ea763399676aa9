"""Each format gives back the measurement that its tiny file was written from; spoiled files are named with the place."""

import numpy as np
import pytest
import torch
from fixtures import native_layouts as native
from scipy.io import savemat

from mimo import VoxelGrid, backproject, born_operator
from mimo.data import IMPORTERS, FileError, explain_formats, load, read_measured, save
from mimo.data.importers import layout
from mimo.options import options_of

FULL, PAIRED, FLOWN = native.full_scan(), native.paired_scan(), native.flown_scan()


@pytest.mark.parametrize("kind", native.KINDS)
def test_a_format_gives_the_measurement_it_was_written_from(tmp_path, kind):
    where, format_, expected = native.write(kind, tmp_path)
    settings = {"start": FULL.sweep.freq[0], "stop": FULL.sweep.freq[-1]} if kind == "qar50" else {}
    read = read_measured(where, settings=settings)
    assert read.steps[0]["format"] == format_
    scale, gap = (3e3, 3e-4) if format_ == "ti" else (1, 1e-6)
    single = format_ == "gotcha"
    order = slice(None)
    if expected.array.paired and not single:  # the channels of files come in the order of their names
        place = {tuple(c): i for i, c in enumerate(expected.array.channels.tolist())}
        order = [place[tuple(c)] for c in read.array.channels.tolist()]
    np.testing.assert_allclose(read.values[:1] / scale, expected.values[..., order], atol=gap)
    np.testing.assert_allclose(read.array.tx_pos, expected.array.tx_pos, atol=1e-5 if single else 1e-8)
    np.testing.assert_allclose(read.array.rx_pos, expected.array.rx_pos, atol=1e-5 if single else 1e-8)
    np.testing.assert_allclose(read.sweep.freq, expected.sweep.freq, rtol=1e-7 if single else 1e-12)
    if single:
        np.testing.assert_allclose(read.reference_path, expected.reference_path, rtol=1e-7)
    if format_ == "ti":
        np.testing.assert_allclose(read.values[1], 2 * read.values[0], atol=2)
    save(tmp_path / "again.h5", read)
    assert load(tmp_path / "again.h5").steps == read.steps


@pytest.mark.parametrize("kind", ["dataport v5", "touchstone", "qar50", "ti 2"])
def test_an_imported_point_is_imaged_at_its_place_and_not_with_the_other_sign(tmp_path, kind):
    where, _, _ = native.write(kind, tmp_path)
    settings = {"start": FULL.sweep.freq[0], "stop": FULL.sweep.freq[-1]} if kind == "qar50" else {}
    read = read_measured(where, settings=settings)
    grid = VoxelGrid.from_extent(x=(-0.08, 0.12, 5), y=(-0.12, 0.06, 7), z=(0.4, 0.6, 11))
    A = born_operator(read.array, read.sweep, grid)
    peaks = []
    for y in (read.values[0], read.values[0].conj()):
        image = backproject(torch.tensor(y), A).abs().numpy()
        peaks.append(grid.centers()[image.argmax()])
    assert np.abs(peaks[0] - native.POINT).max() < 1e-6
    assert np.abs(peaks[1] - native.POINT).max() > 1e-2


def test_both_matlab_versions_give_the_same_arrays(tmp_path):
    made = []
    for version, names in (("5", ("real", "imag")), ("7.3", ("real", "imag")), ("7.3", ("r", "i"))):
        path = tmp_path / f"{version}{names[0]}.mat"
        native.write_dataport(path, FULL, version=version, names=names)
        made.append(read_measured(path))
    for other in made[1:]:
        np.testing.assert_array_equal(other.values, made[0].values)
        np.testing.assert_array_equal(other.array.tx_pos, made[0].array.tx_pos)
        np.testing.assert_array_equal(other.array.rx_pos, made[0].array.rx_pos)
        np.testing.assert_array_equal(other.sweep.freq, made[0].sweep.freq)


def test_ti_lanes_and_the_order_of_i_and_q_differ(tmp_path):
    native.write_ti(tmp_path / "a", FULL, lanes=2)
    right = read_measured(tmp_path / "a").values
    text = (tmp_path / "a/radar.toml").read_text()
    (tmp_path / "a/radar.toml").write_text(text + 'iq_order = "QI"\n')
    swapped = read_measured(tmp_path / "a").values
    np.testing.assert_allclose(swapped, -1j * right.conj(), atol=1e-3)  # I and Q swapped: j times the conjugate
    (tmp_path / "a/radar.toml").write_text(text + "phase_sign = -1\n")
    np.testing.assert_array_equal(read_measured(tmp_path / "a").values, right.conj())
    (tmp_path / "a/radar.toml").write_text(text.replace("lanes = 2", "lanes = 4"))
    assert np.abs(read_measured(tmp_path / "a").values - right).max() > 100


def test_a_phase_sign_of_plus_one_conjugates(tmp_path):
    native.write_dataport(tmp_path / "a.mat", FULL)
    read = read_measured(tmp_path / "a.mat", settings={"phase_sign": "+1"})
    np.testing.assert_array_equal(read.values, FULL.values.conj())


def test_uniform_frequencies_rounded_to_single_precision_are_uniform_again():
    exact = np.linspace(9.28808e9, 9.910736e9, 424)
    rounded = exact.astype(np.float32)
    assert np.abs(rounded.astype(float) - exact).max() > 100
    assert np.abs(layout.evened(rounded) - exact).max() < 512  # half of the rounding
    assert np.abs(np.diff(layout.evened(rounded), 2)).max() < 1e-5
    uneven = np.array([1e9, 2e9, 4e9], np.float32)
    np.testing.assert_array_equal(layout.evened(uneven), uneven)
    np.testing.assert_array_equal(layout.evened(exact), exact)


# -- arrays under any names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".mat"])
@pytest.mark.parametrize("axes", ["freq,tx,rx", "rx,freq,tx", "tx,rx,freq"])
def test_arrays_of_any_names_order_unit_and_sign(tmp_path, suffix, axes):
    path = tmp_path / f"scan{suffix}"
    order = [("freq", "tx", "rx").index(name) for name in axes.split(",")]
    native.write_named(
        path,
        S=FULL.values[0].conj().transpose(order),
        f=native.FREQ[::-1] / 1e9,
        T=1e3 * native.TX,
        R=1e3 * native.RX.T,
    )
    names = {"values": "S", "freq": "f", "tx_pos": "T", "rx_pos": "R", "length_unit": "mm", "freq_unit": "GHz"}
    # the frequencies descend in the file, the values therefore too
    for extra in ({"axes": axes}, {"axes": "auto"}):
        read = read_measured(path, format="array", settings={**names, "phase_sign": "+1", **extra})
        np.testing.assert_allclose(read.values, FULL.values[:, ::-1], rtol=1e-6)
        np.testing.assert_allclose(read.array.rx_pos, native.RX if native.RX.shape[0] != 3 else native.RX.T)
        np.testing.assert_allclose(read.sweep.freq, native.FREQ)


def test_scenes_listed_channels_pairs_of_real_numbers_and_removed_paths(tmp_path):
    scenes = np.stack([PAIRED.values[0], 2j * PAIRED.values[0]] * 3)
    arrays = {
        "freq": native.FREQ,
        "tx_pos": native.TX,
        "rx_pos": native.RX,
        "pairs": native.PAIRS + 1,
        "way": np.arange(5.0),
    }
    parts = np.stack([scenes.real, scenes.imag])
    native.write_named(tmp_path / "a.npz", values=parts, **arrays)
    settings = {"axes": "iq,scene,freq,channel", "channels": "pairs", "first_index": 1, "reference_path": "way"}
    read = read_measured(tmp_path / "a.npz", settings=settings)
    np.testing.assert_array_equal(read.values, scenes)
    np.testing.assert_array_equal(read.array.channels, native.PAIRS)
    np.testing.assert_array_equal(read.reference_path, np.arange(5.0))
    native.write_named(tmp_path / "b.npz", values=scenes, **arrays)
    noticed = read_measured(tmp_path / "b.npz", settings={"channels": "pairs", "first_index": 1})
    np.testing.assert_array_equal(noticed.values, scenes)


@pytest.mark.parametrize("extra", [{}, {"axes": "channel,freq"}, {"axes": "channel,freq,iq"}])
def test_a_moving_pair_of_antennas_needs_no_list(tmp_path, extra):
    values = FLOWN.values[0].T
    if "iq" in extra.get("axes", ""):
        values = np.stack([values.real, values.imag], axis=-1)
    native.write_named(
        tmp_path / "a.npz", values=values, freq=native.FREQ, tx_pos=native.TRACK, rx_pos=native.TRACK + 0.5,
        way=FLOWN.reference_path,
    )  # fmt: skip
    read = read_measured(tmp_path / "a.npz", settings={"reference_path": "way", **extra})
    np.testing.assert_array_equal(read.values, FLOWN.values)
    np.testing.assert_array_equal(read.array.channels, [[i, i] for i in range(5)])
    np.testing.assert_array_equal(read.reference_path, FLOWN.reference_path)


def test_one_channel_has_one_order(tmp_path):
    """Axes of length 1 may stand anywhere."""
    native.write_named(
        tmp_path / "a.npz", values=FULL.values[0][:, :1, :1], freq=native.FREQ, tx_pos=native.TX[:1],
        rx_pos=native.RX[:1],
    )  # fmt: skip
    np.testing.assert_array_equal(read_measured(tmp_path / "a.npz").values, FULL.values[:, :, :1, :1])


def test_arrays_may_say_where_antennas_look(tmp_path):
    common = {"values": FULL.values[0], "freq": native.FREQ, "tx_pos": native.TX, "rx_pos": native.RX}
    native.write_named(tmp_path / "a.npz", **common, looks=-native.RX - [0, 0, 1], few=native.TX)
    read = read_measured(tmp_path / "a.npz", settings={"rx_normal": "looks"})
    np.testing.assert_array_equal(read.array.rx_normal, -native.RX - [0, 0, 1])
    assert read.array.tx_normal is None
    with pytest.raises(FileError, match=r"a\.npz: rx_normal has shape \(2, 3\): expected \(3, 3\)"):
        read_measured(tmp_path / "a.npz", settings={"rx_normal": "few"})


def test_backgrounds_of_any_format_are_averaged(tmp_path):
    common = {"freq": native.FREQ, "tx_pos": native.TX, "rx_pos": native.RX}
    for name, factor in (("scan", 1), ("empty1", 0.25), ("empty2", 0.75j)):
        native.write_named(tmp_path / f"{name}.npz", values=factor * FULL.values[0], **common)
    read = read_measured(tmp_path / "scan.npz", background=["empty1.npz", str(tmp_path / "empty2.npz")])
    np.testing.assert_allclose(read.background, (0.125 + 0.375j) * FULL.values[0], rtol=1e-6)
    native.write_named(
        tmp_path / "long.npz", values=FULL.values[0][[0, 1, 2, 3, 3]], **{**common, "freq": np.arange(1, 6) * 1e9}
    )
    with pytest.raises(FileError, match=r"scan\.npz: background has 5 frequencies: expected 4"):
        read_measured(tmp_path / "scan.npz", background="long.npz")


def test_every_format_explains_itself_and_its_options():
    text = explain_formats()
    for name, importer in IMPORTERS.items():
        assert name == importer.NAME
        assert all(line in text for line in (importer.DESCRIPTION, *importer.EXPLANATION))
        options = options_of(importer.read)
        assert "permittivity" in options
        for option in set(options) - {"scan", "permittivity", "motion", "chirp"}:
            assert f"--set {option}=" in text


def test_the_real_flight_peaks_at_its_brightest_reflector(measured):
    """Around the published maximum (-15.6, 21.6) m, by a plain sum; a metre away and conjugated it is weaker."""
    scan = read_measured(measured / "gotcha")
    assert scan.values.shape == (1, 424, 234)
    assert scan.sweep.step is not None
    x, y = np.arange(-17.2, -14, 0.4), np.arange(20.0, 23.3, 0.4)
    points = np.stack([*np.meshgrid(x, y, indexing="ij"), np.zeros((len(x), len(y)))], -1).reshape(-1, 3)
    way = 2 * np.linalg.norm(scan.array.tx_pos[:, None] - points, axis=2) - scan.reference_path[:, None]
    k = scan.sweep.wavenumber()
    phase, step = np.exp(1j * k[0] * way), np.exp(1j * (k[1] - k[0]) * way)
    image = np.zeros(len(points), complex)
    for row in scan.values[0]:
        image += row @ phase
        phase *= step
    magnitude = np.abs(image)
    assert np.abs(points[magnitude.argmax(), :2] - (-15.6, 21.6)).max() <= 0.4 + 1e-9
    assert 20 * np.log10(magnitude.max() / np.median(magnitude)) > 6


@pytest.mark.parametrize("wrong", [False, True])
def test_the_autofocus_of_gotcha_is_applied_where_it_is_there(tmp_path, wrong):
    """Pulses with a wrong range and a wrong phase come back right; a correction of another length is refused."""
    scan = native.flown_scan()
    n = len(scan.reference_path)
    rng = np.random.default_rng(4)
    way, turn = rng.uniform(-0.02, 0.02, n), rng.uniform(-3, 3, n)
    spoiled = scan.values[0] * np.exp(-1j * turn)
    place = scan.array.tx_pos.astype(np.float32)
    data = {
        "fp": spoiled,
        "freq": scan.sweep.freq.astype(np.float32)[:, None],
        "r0": (scan.reference_path / 2 - way)[None],
    }
    data |= {name: place[None, :, i] for i, name in enumerate("xyz")}
    data["af"] = {"r_correct": way[None, 1:] if wrong else way[None], "ph_correct": turn[None]}
    parts = {"data_pass1.mat": slice(0, 2), "data_pass2.mat": slice(2, None)}
    for name, some in parts.items():
        own = {key: value[..., some] for key, value in data.items() if key not in ("freq", "af")}
        own |= {"freq": data["freq"], "af": {key: value[..., some] for key, value in data["af"].items()}}
        savemat(tmp_path / name, {"data": own})
    if wrong:
        savemat(tmp_path / "alone.mat", {"data": data})
        with pytest.raises(FileError, match=f"data.af.r_correct has {n - 1} pulses: expected {n}"):
            read_measured(tmp_path / "alone.mat", settings={"autofocus": "true"})
        return
    read = read_measured(tmp_path)
    np.testing.assert_allclose(read.values, scan.values, atol=1e-6)
    np.testing.assert_allclose(read.reference_path, scan.reference_path, rtol=1e-7)
    plain = read_measured(tmp_path, settings={"autofocus": "false"})
    np.testing.assert_allclose(plain.values[0], spoiled, atol=1e-6)
    np.testing.assert_allclose(plain.reference_path, scan.reference_path - 2 * way, rtol=1e-7)
    one = read_measured(tmp_path / "data_pass1.mat")
    np.testing.assert_allclose(one.values[0], spoiled[:, :2], atol=1e-6)
    with pytest.raises(FileError, match="autofocus is 'maybe': expected auto, true or false"):
        read_measured(tmp_path, settings={"autofocus": "maybe"})
