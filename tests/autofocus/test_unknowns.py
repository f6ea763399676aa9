"""Unknown errors of a radar: laid out as a vector, applied to the model, and differentiated."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mimo import Acquisition, ArrayGeometry, operator_of
from mimo.autofocus import KINDS, Unknowns
from mimo.autofocus.support import Support
from mimo.autofocus.units import read_priors, table_text
from mimo.autofocus.unknowns import pulses_of
from tests.cases import ARRAY, FLAT, GRID, HORN, LIST_PATHS, MASKED, PAIRED, PATHS, SCAN, SWEEP, UNEVEN, WALL

ACQUISITIONS = {
    "every pair": Acquisition(ARRAY, SWEEP, GRID),
    "masked, pattern, uneven": Acquisition(MASKED, UNEVEN, GRID, pattern=HORN),
    "layers": Acquisition(ARRAY, SWEEP, GRID, WALL),
    "removed paths in a medium": Acquisition(ARRAY, SWEEP, GRID, 2.5, reference_path=PATHS),
    "listed": Acquisition(PAIRED, SWEEP, GRID, reference_path=LIST_PATHS),
    "scan": Acquisition(SCAN, SWEEP, FLAT),
}


def picked(acquisition, n=20):
    """Centres of some voxels, and an image of these."""
    rng = np.random.default_rng(1)
    points = acquisition.voxels.points(0, acquisition.voxels.n_voxel, torch.device("cpu")).numpy()
    chosen = np.sort(rng.choice(len(points), min(n, len(points)), replace=False))
    image = torch.as_tensor(rng.standard_normal(len(chosen)) + 1j * rng.standard_normal(len(chosen)))
    return points[chosen], image, chosen


def modelled(unknowns, nominal, theta, points, image):
    """The data of an image as the radar of `theta` measures it."""
    errors = unknowns.errors(theta)
    fields = Support(errors.acquisition(nominal), points).fields(image, places=False, medium=False)
    return fields.times(torch.as_tensor(errors.response(nominal.sweep.freq))).values.flatten()


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_data_and_columns_are_those_of_the_operator(name):
    acquisition = ACQUISITIONS[name]
    points, image, chosen = picked(acquisition)
    volume = torch.zeros(acquisition.grid.n_voxel, dtype=torch.complex128)
    volume[torch.as_tensor(chosen)] = image
    y = operator_of(acquisition, dtype=torch.complex128).forward(volume.reshape(acquisition.grid.shape))
    channels = acquisition.array.channel_indices()
    y = (y if acquisition.array.paired else y[(slice(None), *channels.T)]).flatten()
    support = Support(acquisition, points)
    assert torch.allclose(support.fields(image, places=False, medium=False).values.flatten(), y, rtol=1e-9)
    rounded = support.columns() @ image.to(torch.complex64)
    assert float((rounded - y).norm() / y.norm()) < 1e-5


@pytest.mark.parametrize("per", ["antenna", "channel", "pulse"])
@pytest.mark.parametrize("name", ACQUISITIONS)
def test_derivatives_are_those_of_finite_differences(name, per):
    nominal = ACQUISITIONS[name]
    solve = [kind for kind in KINDS if per != "channel" or kind not in ("position", "pose")]
    unknowns = Unknowns(nominal, solve, per=per)
    rng = np.random.default_rng(2)
    theta = 0.3 * unknowns.std * rng.standard_normal(len(unknowns))
    if "rotation" in unknowns.kind:  # turned about a pose, derivatives are those of the nominal arms
        theta[[kind in ("rotation", "position", "pose") for kind in unknowns.kind]] = 0
    points, image, _ = picked(nominal)
    errors = unknowns.errors(theta)
    fields = Support(errors.acquisition(nominal), points).fields(image, places=True, medium=True)
    found = unknowns.jacobian(fields.times(torch.as_tensor(errors.response(nominal.sweep.freq))), theta)
    for i in range(len(unknowns)):
        step = np.zeros(len(unknowns))
        step[i] = 1e-4 * unknowns.std[i]
        above, below = (modelled(unknowns, nominal, theta + sign * step, points, image) for sign in (1, -1))
        wanted = (above - below) / (2 * step[i])
        assert torch.allclose(found[:, i], wanted, rtol=2e-4, atol=2e-4 * float(wanted.abs().max())), unknowns.label[i]


def test_pulses_are_channels_that_share_antennas():
    assert pulses_of(ARRAY).tolist() == [0] * 6
    assert pulses_of(SCAN).tolist() == list(range(6))
    places = np.arange(12.0).reshape(4, 3)
    board = ArrayGeometry(places[:2], places, channels=[[1, 3], [0, 0], [0, 1], [1, 2]])
    assert pulses_of(board).tolist() == [0, 1, 1, 0]


def test_a_pulse_moves_all_of_its_antennas_and_turns_them_about_their_middle():
    acquisition = Acquisition(SCAN, SWEEP, FLAT)
    moved = Unknowns(acquisition, ["position"], per="pulse")
    theta = np.zeros(len(moved))
    theta[moved.label.index("pulse 2 y")] = 0.003
    errors = moved.errors(theta)
    assert np.allclose(errors.tx_shift, errors.rx_shift)
    assert errors.tx_shift[2].tolist() == [0, 0.003, 0]
    assert np.count_nonzero(errors.tx_shift) == 1
    turned = Unknowns(Acquisition(ARRAY, SWEEP, GRID), ["pose"])
    theta = np.zeros(len(turned))
    theta[turned.label.index("array about z")] = 0.01
    errors = turned.errors(theta)
    middle = np.concatenate([ARRAY.tx_pos, ARRAY.rx_pos]).mean(0)
    assert np.allclose(errors.tx_shift, np.cross([0, 0, 0.01], ARRAY.tx_pos - middle))


def test_what_cannot_be_solved_for_is_refused_with_what_can():
    acquisition = Acquisition(ARRAY, SWEEP, GRID)
    for options, message in (
        ({"solve": ["fase"]}, "phase"),
        ({"solve": []}, "empty"),
        ({"solve": ["phase", "phase"]}, "each once"),
        ({"solve": ["phase"], "per": "board"}, "pulse"),
        ({"solve": ["position"], "per": "channel"}, "no place"),
        ({"solve": ["phase"], "priors": {"phase": 0.0}}, "positive"),
        ({"solve": ["phase"], "priors": {"phse": 1.0}}, "phase"),
    ):
        with pytest.raises(ValueError, match=message):
            Unknowns(acquisition, **options)
    far = Acquisition(replace(ARRAY, tx_pos=[[0, 0, -1.0], [0, 0.6, -0.8]], tx_far=True), SWEEP, GRID)
    with pytest.raises(ValueError, match="far"):
        Unknowns(far, ["position"])


def test_units_of_priors_and_tables():
    assert read_priors(["phase=30deg", "delay=20ps", "position=2mm"]) == pytest.approx(
        {"phase": np.pi / 6, "delay": 2e-11, "position": 2e-3}
    )
    for text in ("phase=30", "phase=-1deg", "phase=", "phase=1e999deg", "phase=3mm"):
        with pytest.raises(ValueError, match="expected phase= and a positive number in deg or rad"):
            read_priors([text])
    with pytest.raises(ValueError, match="position"):
        read_priors(["positon=1mm"])
    row = {"what": "delay", "of": "tx 0", "value": 3e-12, "std": 1e-12, "determined": 0.9}
    assert table_text([row])[1].split() == ["delay", "tx", "0", "3", "1", "90", "%", "(ps)"]
    assert table_text([row] * 30)[1].split()[:5] == ["delay", "rms", "of", "30", "3"]
