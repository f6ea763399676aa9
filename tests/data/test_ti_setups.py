"""Captures of TI radars with the setups of their tools: JSON, .cfg, boards by name, many files, the cascade."""

import json

import numpy as np
import pytest
from scipy.io import savemat

from mimo.data import FileError, read_measured
from mimo.data.files.schema import UnfitError
from mimo.data.importers.boards import BOARDS, board_array

LIGHT = 299792458
N, START, SLOPE, RATE, ADC = 32, 77e9, 70e12, 5e6, 6e-6
FREQ = START + SLOPE * (ADC + np.arange(N) / RATE)
POINT = np.array([0.05, -0.04, 0.9])
PROFILE = {
    "startFreqConst_GHz": 77.0,
    "idleTimeConst_usec": 7.0,
    "adcStartTimeConst_usec": 6.0,
    "rampEndTime_usec": 40.0,
}
PROFILE |= {"freqSlopeConst_MHz_usec": 70.0, "numAdcSamples": N, "digOutSampleRate": 5000.0, "profileId": 0}


def beats(tx, rx, point=POINT):
    """A beat signal of a point, exp(+jkR), ``(n_tx, n_rx, N)``."""
    way = np.linalg.norm(tx - point, axis=1)[:, None] + np.linalg.norm(rx - point, axis=1)
    return np.exp(2j * np.pi * way[..., None] * FREQ / LIGHT)


def numbers(values, lanes=2):
    """16-bit numbers of chirps ``(..., n_rx, N)`` in the order of the LVDS lanes."""
    whole = np.round(1e4 * np.stack([values.real, values.imag], axis=-1)).astype("<i2")
    if lanes == 4:
        return np.moveaxis(whole, -3, -1)  # sample, I or Q, rx
    pairs = whole.reshape(*whole.shape[:-2], N // 2, 2, 2)
    return pairs.swapaxes(-1, -2)


def studio(masks, *, n_loop, rx="0xF", lanes="0x3", mixed=1, devices=1, more=()):
    """The parts of mmWave Studio's JSON that say how a frame was measured."""
    made = []
    for device in range(devices):
        chirps = [
            {
                "rlChirpCfg_t": {
                    "chirpStartIdx": i,
                    "chirpEndIdx": i,
                    "profileId": 0,
                    "txEnable": hex(m >> 3 * device & 7),
                }
            }
            for i, m in enumerate(masks)
        ]
        frame = {"chirpStartIdx": 0, "chirpEndIdx": len(masks) - 1, "numLoops": n_loop, "framePeriodicity_msec": 50.0}
        radio = {
            "rlChanCfg_t": {"rxChannelEn": rx, "txChannelEn": "0x7"},
            "rlAdcOutCfg_t": {"fmt": {"b2AdcBits": 2, "b2AdcOutFmt": 1}},
            "rlProfiles": [{"rlProfileCfg_t": {**PROFILE, **dict(more)}}],
            "rlChirps": chirps,
            "rlFrameCfg_t": frame,
        }
        raw = {"rlDevDataFmtCfg_t": {"iqSwapSel": 0, "chInterleave": mixed}, "rlDevLaneEnable_t": {"laneEn": lanes}}
        made.append({"mmWaveDeviceId": device, "rfConfig": radio, "rawDataCaptureConfig": raw})
    return json.dumps({"mmWaveDevices": made})


CFG = f"""% made for a test
sensorStop
channelCfg 15 7 0
adcCfg 2 1
adcbufCfg -1 0 0 1 1
profileCfg 0 77 7 6 40 0 0 70 1 {N} 5000 0 0 30
chirpCfg 0 0 0 0 0 0 0 1
chirpCfg 1 1 0 0 0 0 0 4
chirpCfg 2 2 0 0 0 0 0 2
frameCfg 0 2 2 0 50 1 0
sensorStart
"""


def capture(folder, board, turns, *, rx=(), lanes=2, names=("adc_data.bin",), n_frame=2):
    """Write frames of two loops of a board's transmitters in turns; returns the array in use."""
    array, sign = board_array(board, tx=tuple(sorted(turns)), rx=rx)
    each = beats(array.tx_pos, array.rx_pos)[[sorted(turns).index(t) for t in turns]] * sign[:, None]
    frames = np.broadcast_to(each, (n_frame, 2, *each.shape))
    flat = numbers(frames, lanes).tobytes()
    edges = np.linspace(0, len(flat) // 2, len(names) + 1).astype(int) * 2  # anywhere, between two numbers
    for name, start, stop in zip(names, edges, edges[1:], strict=False):
        (folder / name).write_bytes(flat[start:stop])
    return array


def check(read, array):
    """The values are the echo of the point at the array's places."""
    np.testing.assert_allclose(read.sweep.freq, FREQ)
    np.testing.assert_allclose(read.array.tx_pos, array.tx_pos)
    np.testing.assert_allclose(read.array.rx_pos, array.rx_pos)
    expected = beats(array.tx_pos, array.rx_pos).conj().transpose(2, 0, 1)
    np.testing.assert_allclose(read.values / 1e4, np.broadcast_to(expected, read.values.shape), atol=3e-4)


def test_the_json_of_mmwave_studio_with_transmitters_in_its_order(tmp_path):
    array = capture(tmp_path, "iwr1843", [2, 0], rx=(0, 1, 3))
    (tmp_path / "a.mmwave.json").write_text(studio([4, 1], n_loop=2, rx="0xB"))
    (tmp_path / "a.setup.json").write_text("{}")
    read = read_measured(tmp_path, settings={"board": "IWR1843BOOST"})
    assert read.steps[0]["format"] == "ti"
    check(read, array)
    assert read.array.n_tx == 2


def test_four_lanes_of_the_json(tmp_path):
    array = capture(tmp_path, "iwr1443", [0, 1, 2], lanes=4)
    (tmp_path / "a.mmwave.json").write_text(studio([1, 2, 4], n_loop=2, lanes="0xF", mixed=0))
    check(read_measured(tmp_path, settings={"board": "iwr1443"}), array)


@pytest.mark.parametrize("board", ["iwr6843isk", "iwr6843aop"])
def test_a_cfg_of_the_sdk_and_receivers_fed_from_the_other_side(tmp_path, board):
    array = capture(tmp_path, board, [0, 2, 1])
    (tmp_path / "profile.cfg").write_text(CFG)
    check(read_measured(tmp_path, settings={"board": board}), array)


def test_a_toml_file_beside_the_setup_has_the_last_word(tmp_path):
    array = capture(tmp_path, "iwr1843", [0, 2, 1])
    (tmp_path / "profile.cfg").write_text(CFG)
    (tmp_path / "radar.toml").write_text('board = "iwr1843"\ntx_offset = [0.0, 0.01, 0.0]\nmirror = true\n')
    read = read_measured(tmp_path)
    flipped = array.tx_pos * (-1, 1, 1)
    np.testing.assert_allclose(np.diff(read.array.tx_pos, axis=0), np.diff(flipped, axis=0), atol=1e-12)
    np.testing.assert_allclose(
        read.array.tx_pos[0] - read.array.rx_pos[0], flipped[0] - array.rx_pos[0] * (-1, 1, 1) + (0, 0.01, 0)
    )


def test_a_capture_in_several_files_cut_anywhere(tmp_path):
    names = [f"adc_data_Raw_{i}.bin" for i in range(11)]  # 10 comes after 9
    array = capture(tmp_path, "iwr1843", [0, 2, 1], names=names, n_frame=3)
    (tmp_path / "profile.cfg").write_text(CFG)
    read = read_measured(tmp_path, settings={"board": "iwr1843"})
    assert read.n_scene == 3
    check(read, array)
    np.testing.assert_array_equal(read_measured(tmp_path / names[0], settings={"board": "iwr1843"}).values, read.values)
    (tmp_path / names[4]).unlink()
    with pytest.raises(FileError, match=r"adc_data_Raw_10\.bin, adc_data_Raw_4\.bin is missing"):
        read_measured(tmp_path, settings={"board": "iwr1843"})


def cascade(folder, turns, *, n_frame=(2, 1), factor=1.0, index=True, beyond=0):
    """Write files of the four devices as their boards do; returns the array."""
    array, _ = board_array("awr2243-cascade", tx=tuple(sorted(turns)))
    each = beats(array.tx_pos, array.rx_pos) * factor
    each = each[[sorted(turns).index(t) for t in turns]]
    whole = np.round(1e4 * np.stack([each.real, each.imag], axis=-1)).astype("<i2")  # turn, rx, sample, iq
    for number, count in enumerate(n_frame):
        for i, name in enumerate(("master", "slave1", "slave2", "slave3")):
            own = whole[:, 4 * i : 4 * i + 4].swapaxes(1, 2)  # turn, sample, rx, iq
            data = np.broadcast_to(own, (count, 2, *own.shape)).tobytes() + bytes(beyond)
            (folder / f"{name}_{number:04}_data.bin").write_bytes(data)
            head = np.array([1, 2, 3, count], "<u4").tobytes() + np.array([len(data)], "<u8").tobytes()
            if index:
                (folder / f"{name}_{number:04}_idx.bin").write_bytes(head + bytes(48 * count))
    masks = [1 << t for t in turns]
    (folder / "c.mmwave.json").write_text(studio(masks, n_loop=2, devices=4))
    return array


@pytest.mark.parametrize("index", [True, False])
def test_the_cascade_with_its_devices_in_order_and_files_of_frames(tmp_path, index):
    array = cascade(tmp_path, list(range(11, -1, -1)), index=index, beyond=96 if index else 0)
    read = read_measured(tmp_path)
    assert read.values.shape == (3, N, 12, 16)
    check(read, array)
    (tmp_path / "slave2_0001_data.bin").unlink()
    with pytest.raises(FileError, match=r"slave2_0001_data\.bin.*cannot be read"):
        read_measured(tmp_path)


@pytest.mark.parametrize("reach", [0.0, 5.0])
def test_the_calibration_matrix_of_the_cascade_is_applied(tmp_path, reach):
    """A reflector calibrates delays and phases of all channels; its own ways come back where its range is said."""
    rng = np.random.default_rng(3)
    late, turn = rng.uniform(0, 3, (12, 16)), rng.uniform(-3, 3, (12, 16))
    slope, rate = 35.0, 2.5e6  # another chirp than that of the capture
    sample = late[..., None] * np.arange(N) / (5 * N) * (rate / RATE) * (70 / slope)
    faults = np.exp(2j * np.pi * sample + 1j * turn[..., None])
    array, _ = board_array("awr2243-cascade")
    peak = np.exp(1j * turn)
    place = np.array(late)
    if reach:  # what the reflector's own ways would add to peaks and places
        at = np.array([0, 0, reach])
        way = np.linalg.norm(array.tx_pos - at, axis=1)[:, None] + np.linalg.norm(array.rx_pos - at, axis=1)
        peak = peak * np.exp(2j * np.pi * way * FREQ[0] / LIGHT)
        place = place + way / LIGHT * (slope * 1e12) / rate * 5 * N
    savemat(
        tmp_path / "calibrateResults_high.mat",
        {
            "calibResult": {"RangeMat": place, "PeakValMat": peak * rng.uniform(1, 2, (12, 16))},
            "params": {"Slope_MHzperus": slope, "Sampling_Rate_sps": rate},
        },
    )
    turns = list(range(11, -1, -1))
    cascade(tmp_path, turns, factor=faults)
    if reach:
        (tmp_path / "radar.toml").write_text(f"calibration_range = {reach}\n")
    raw = read_measured(tmp_path)
    read = read_measured(tmp_path, settings={"calibration": "calibrateResults_high.mat"})
    left = faults[11, 0]  # the reference: the first turn's channel with the first receiver
    expected = (beats(array.tx_pos, array.rx_pos) * left).conj().transpose(2, 0, 1)

    def agreement(values):
        return abs(np.vdot(values, expected)) / np.linalg.norm(values) / np.linalg.norm(expected)

    assert agreement(raw.values[0]) < 0.2
    assert agreement(read.values[0]) > 0.9999
    bad = {"calibResult": {"RangeMat": place[:3], "PeakValMat": peak}}
    savemat(tmp_path / "bad.mat", bad | {"params": {"Slope_MHzperus": 1.0, "Sampling_Rate_sps": 1.0}})
    with pytest.raises(FileError, match=r"calibResult\.RangeMat has shape \(3, 16\).*tx to 11 and rx to 15"):
        read_measured(tmp_path, settings={"calibration": "bad.mat"})


def test_the_virtual_arrays_that_the_boards_are_known_for():
    """86 places of the cascade in azimuth, 8 and 12 in a row of the small ones, at half a wavelength."""
    array, _ = board_array("awr2243-cascade", tx=tuple(range(3, 12)))
    half = LIGHT / 76.8e9 / 2
    places = array.tx_pos[:, None, 0] + array.rx_pos[None, :, 0]
    steps = np.unique(np.round((places - places.min()) / half, 6))
    np.testing.assert_allclose(steps, np.arange(86))
    for name, count in (("iwr1642", 8), ("iwr1443", 8), ("iwr6843isk", 8)):
        array, _ = board_array(name)
        line = np.abs(array.tx_pos[:, 1] - array.tx_pos[0, 1]) < 1e-9
        places = (array.tx_pos[line, None, 0] + array.rx_pos[None, :, 0]).ravel()
        half = LIGHT / BOARDS[name].design_freq / 2
        np.testing.assert_allclose(np.sort(places) - places.min(), half * np.arange(count), atol=1e-9)
        middle = array.tx_pos.mean(axis=0) + array.rx_pos.mean(axis=0)
        np.testing.assert_allclose(middle, 0, atol=1e-12)
    with pytest.raises(UnfitError, match="did you mean 'iwr6843aop'"):
        board_array("iwr6843aod")
    with pytest.raises(UnfitError, match=r"has tx 2, board iwr1642 has 2 tx: expected 0 to 1"):
        board_array("iwr1642", tx=(0, 2))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (studio([1, 6], n_loop=2), ["chirp 1 sends with 2 transmitters"]),
        (studio([1, 1], n_loop=2), ["transmitters [0, 0]", "each once"]),
        (studio([1, 2], n_loop=2).replace('"b2AdcOutFmt": 1', '"b2AdcOutFmt": 0'), ["complex"]),
        (studio([1, 2], n_loop=2).replace('"numLoops": 2', '"numLoops": "x"'), ["numLoops is 'x'", "whole number"]),
        (studio([1, 2], n_loop=2).replace('"rlProfiles"', '"rlOthers"'), ["has no profile 0"]),
        (studio([1, 2], n_loop=2, mixed=0), ["lanes is '2 with chInterleave 0'", "2 or 4"]),
        (studio([1, 2], n_loop=2, more={"digOutSampleRate": "fast"}.items()), ["digOutSampleRate is 'fast'"]),
        ('{"mmWaveDevices": []}', ["mmWaveDevices"]),
        ("{", ["is not JSON"]),
    ],
)
def test_a_setup_that_cannot_be_used_is_refused(tmp_path, text, words):
    capture(tmp_path, "iwr1843", [0, 1])
    (tmp_path / "a.mmwave.json").write_text(text)
    with pytest.raises(FileError) as caught:
        read_measured(tmp_path, settings={"board": "iwr1843"})
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("70 1 32 5000 0 0 30", "70", ["expected profileCfg profileId"]),
        ("chirpCfg 2 2", "chirpCfg 5 5", ["has no chirp 2"]),
        ("chirpCfg 2 2 0 0", "chirpCfg 2 2 0 9", ["chirp 2 changes"]),
        ("adcCfg 2 1", "adcCfg 1 1", ["16 bits"]),
        ("frameCfg 0 2 2 0 50 1 0\n", "", ["has no line frameCfg"]),
    ],
)
def test_a_cfg_that_cannot_be_used_is_refused(tmp_path, old, new, words):
    capture(tmp_path, "iwr1843", [0, 2, 1])
    assert old in CFG
    (tmp_path / "profile.cfg").write_text(CFG.replace(old, new))
    with pytest.raises(FileError) as caught:
        read_measured(tmp_path, format="ti", settings={"board": "iwr1843"})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_several_setups_or_captures_and_no_board_are_refused(tmp_path):
    capture(tmp_path, "iwr1843", [0, 2, 1])
    (tmp_path / "profile.cfg").write_text(CFG)
    with pytest.raises(FileError, match="tx_pos and rx_pos, or board="):
        read_measured(tmp_path)
    (tmp_path / "other.cfg").write_text(CFG)
    with pytest.raises(FileError, match=r"holds other\.cfg, profile\.cfg: expected one setup"):
        read_measured(tmp_path, settings={"board": "iwr1843"})
    (tmp_path / "adc_data.bin").rename(tmp_path / "first.bin")
    (tmp_path / "second.bin").write_bytes(b"")
    with pytest.raises(FileError, match=r"holds first\.bin, second\.bin: expected one capture"):
        read_measured(tmp_path, settings={"board": "iwr1843", "config": "profile.cfg"})
