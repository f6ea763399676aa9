"""Noise at an SNR, and each departure from the ideal measurement."""

import numpy as np
import pytest

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid, born_operator
from mimo.synth import Realism, add_noise, noise_std
from mimo.synth.noise import add_clutter, chain_gains, displaced, draw_clutter, with_missing_channels
from mimo.synth.scene import Recipe, synthesize

ARRAY = ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3)
SWEEP = FrequencySweep.linear(4e9, 16e9, 4)
GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.15, 0.15, 7), z=(0.4, 0.6, 11))


def scenes(n=9, *, array=ARRAY, snr_db=None, seed=5, **realism):
    recipe = Recipe(
        preset="paper",
        acquisition=Acquisition(array, SWEEP, GRID),
        snr_db=snr_db,
        seed=seed,
        realism=Realism(**realism),
    )
    return synthesize(recipe, 0, n)


def power(y):
    return float(np.mean(np.abs(y) ** 2))


def in_db(ratio):
    return 10 * np.log10(ratio)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 17.0, 30.0])
def test_snr_is_met_on_a_large_sample(snr_db):
    rng = np.random.default_rng(0)
    y = (3e-4 * (rng.standard_normal((40, 50, 60)) + 1j)).astype(np.complex64)
    before = y.copy()
    noise = add_noise(y, snr_db, rng) - y
    assert noise.dtype == np.complex64
    assert np.array_equal(y, before)
    assert in_db(power(y) / power(noise)) == pytest.approx(snr_db, abs=0.1)
    assert noise_std(y, snr_db) == pytest.approx(np.sqrt(power(y) / 10 ** (snr_db / 10)), rel=1e-5)
    # circular and white
    assert power(noise.real) == pytest.approx(power(noise.imag), rel=0.03)
    assert np.abs((noise**2).mean()) < 0.02 * power(noise)
    assert np.abs((noise[..., 1:] * noise[..., :-1].conj()).mean()) < 0.02 * power(noise)


def test_no_noise_at_infinite_snr_and_a_message_for_nan():
    y = np.ones((4, 2, 3), np.complex64)
    assert np.array_equal(add_noise(y, np.inf, np.random.default_rng(0)), y)
    with pytest.raises(ValueError, match="snr_db is nan"):
        noise_std(y, np.nan)


def test_a_scene_is_the_operator_applied_to_its_truth():
    batch = scenes()
    assert batch.values.shape == (9, 4, 2, 3)
    assert batch.truth.shape == (9, 5, 7, 11)
    assert np.isinf(batch.snr_db).all()
    points, k = GRID.centers(), SWEEP.wavenumber()
    for values, truth in zip(batch.values, batch.truth, strict=True):
        assert np.abs(truth).max() == pytest.approx(1, abs=1e-6)
        for t, tx in enumerate(ARRAY.tx_pos):
            for r, rx in enumerate(ARRAY.rx_pos):
                to, back = np.linalg.norm(points - tx, axis=1), np.linalg.norm(points - rx, axis=1)
                expected = np.exp(-1j * k[:, None] * (to + back)) / (4 * np.pi * to * back) @ truth.ravel()
                assert np.abs(values[:, t, r] - expected).max() < 1e-5 * np.abs(values).max()


def test_snr_range_is_drawn_uniformly_and_met():
    clean, noisy = scenes(16), scenes(16, snr_db=(5.0, 25.0))
    assert np.array_equal(clean.truth, noisy.truth)
    assert noisy.snr_db.dtype == np.float32
    assert 5 <= noisy.snr_db.min() < 10
    assert 20 < noisy.snr_db.max() <= 25
    assert len(set(noisy.snr_db.tolist())) == 16
    got = [in_db(power(c) / power(n - c)) for c, n in zip(clean.values, noisy.values, strict=True)]
    assert np.mean(got - noisy.snr_db) == pytest.approx(0, abs=1)  # 24 numbers a scene: 0.9 dB each


def test_all_options_are_off_by_default():
    assert Realism() == Realism(
        gain_error_db=0, phase_error_deg=0, position_error=0, missing_channels=0, clutter_db=None
    )
    ideal = scenes(snr_db=(20.0, 20.0))
    # an option draws from a stream of its own: targets, phases and SNR stay what they were
    for option in (
        {"gain_error_db": 1.0},
        {"phase_error_deg": 5.0},
        {"position_error": 1e-3},
        {"clutter_db": -20.0},
    ):
        other = scenes(snr_db=(20.0, 20.0), **option)
        assert np.array_equal(other.truth, ideal.truth)
        assert np.array_equal(other.snr_db, ideal.snr_db)
        assert not np.array_equal(other.values, ideal.values)
        assert power(other.values - ideal.values) < 0.3 * power(ideal.values)


def test_gain_and_phase_errors_have_their_spread_per_channel_and_belong_to_chains():
    rng = np.random.default_rng(0)
    realism = Realism(gain_error_db=1.5, phase_error_deg=8.0)
    gains = np.array([chain_gains(ARRAY, realism, rng) for _ in range(4000)])
    assert gains.dtype == np.complex64
    assert gains.shape[1:] == (2, 3)
    assert np.std(20 * np.log10(np.abs(gains)), axis=0) == pytest.approx(1.5, rel=0.05)
    assert np.std(np.rad2deg(np.angle(gains)), axis=0) == pytest.approx(8.0, rel=0.05)
    # rank one: a transmit factor times a receive factor
    assert gains[:, 0, 0] * gains[:, 1, 2] == pytest.approx(gains[:, 0, 2] * gains[:, 1, 0], rel=1e-5)


def test_gain_errors_in_a_scene_are_the_same_at_all_frequencies():
    ratio = scenes(gain_error_db=2.0, phase_error_deg=10.0).values / scenes().values
    assert np.abs(ratio - ratio[:, :1]).max() < 1e-4
    assert np.std(20 * np.log10(np.abs(ratio[:, 0]))) > 0.5
    assert np.abs(ratio[0] - ratio[1]).max() > 0.05


def test_paired_array_gets_the_gains_of_its_chains():
    pairs = np.array([(0, 2), (1, 0), (1, 1), (0, 0)])
    paired = ArrayGeometry(ARRAY.tx_pos, ARRAY.rx_pos, pairs)
    realism = Realism(gain_error_db=1.0, phase_error_deg=5.0)
    full, listed = (chain_gains(a, realism, np.random.default_rng(1)) for a in (ARRAY, paired))
    assert np.array_equal(listed, full[pairs[:, 0], pairs[:, 1]])
    batch = scenes(array=paired, snr_db=(30.0, 30.0), gain_error_db=1.0)
    assert batch.values.shape == (9, 4, 4)


def test_position_errors_move_the_antennas_of_the_measurement_only():
    rng = np.random.default_rng(0)
    moves = np.array([displaced(ARRAY, 2e-3, rng).tx_pos - ARRAY.tx_pos for _ in range(2000)])
    assert moves.std(axis=0) == pytest.approx(2e-3, rel=0.07)
    small, large = scenes(position_error=1e-5), scenes(position_error=3e-3)
    ideal = scenes()
    error = [power(b.values - ideal.values) / power(ideal.values) for b in (small, large)]
    assert 0 < error[0] < 1e-3 < error[1]
    # one scene alone takes the common operator's path for no displaced array
    assert np.array_equal(scenes(1, position_error=3e-3).values[0], large.values[0])


def test_missing_channels_are_zero_and_masked_and_the_others_unchanged():
    array = with_missing_channels(ARRAY, 0.3, seed=5)
    assert array.mask.sum() == 4
    assert np.array_equal(array.mask, with_missing_channels(ARRAY, 0.3, seed=5).mask)
    masks = {with_missing_channels(ARRAY, 0.3, seed=s).mask.tobytes() for s in range(20)}
    assert len(masks) > 3
    batch, ideal = scenes(array=array), scenes()
    assert (batch.values[..., ~array.mask] == 0).all()
    assert (
        np.abs(batch.values[..., array.mask] - ideal.values[..., array.mask]).max() < 1e-5 * np.abs(ideal.values).max()
    )
    noisy = scenes(array=array, snr_db=(0.0, 0.0), clutter_db=-10.0, gain_error_db=1.0)
    assert (noisy.values[..., ~array.mask] == 0).all()
    assert (noisy.values[..., array.mask] != 0).all()


def test_missing_channels_keep_one_and_keep_an_earlier_mask():
    assert with_missing_channels(ARRAY, 0.0, seed=0) is ARRAY
    assert with_missing_channels(ARRAY, 0.99, seed=0).mask.sum() == 1
    before = ARRAY.with_mask([[True, False, True], [True, True, False]])
    after = with_missing_channels(before, 0.5, seed=0).mask
    assert after.sum() == 2
    assert not (after & ~before.mask).any()
    with pytest.raises(ValueError, match="missing_channels needs an array of every pair"):
        with_missing_channels(ArrayGeometry(ARRAY.tx_pos, ARRAY.rx_pos, [(0, 1)]), 0.5, seed=0)


def test_clutter_has_its_level_and_is_not_in_the_truth():
    ideal, cluttered = scenes(clutter_db=None), scenes(clutter_db=-12.0)
    assert np.array_equal(ideal.truth, cluttered.truth)
    for a, b in zip(ideal.values, cluttered.values, strict=True):
        assert in_db(power(b - a) / power(a)) == pytest.approx(-12, abs=0.01)
    clutter = draw_clutter(GRID, np.random.default_rng(0))
    assert clutter.shape == GRID.shape
    assert (clutter != 0).all()
    y = born_operator(ARRAY, SWEEP, GRID).forward  # the clutter is a scene like any other
    import torch

    background = y(torch.from_numpy(clutter)).numpy()
    assert power(add_clutter(ideal.values[0], background, 0.0) - ideal.values[0]) == pytest.approx(
        power(ideal.values[0]), rel=1e-4
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"gain_error_db": -1}, "gain_error_db is -1: expected a standard deviation"),
        ({"phase_error_deg": np.nan}, "phase_error_deg is nan"),
        ({"position_error": -1e-3}, "position_error is -0.001"),
        ({"missing_channels": 1.0}, "missing_channels is 1.0: expected a fraction"),
        ({"clutter_db": np.inf}, "clutter_db is inf"),
    ],
)
def test_realism_refuses_values_out_of_range(option, message):
    with pytest.raises(ValueError, match=message):
        Realism(**option)
