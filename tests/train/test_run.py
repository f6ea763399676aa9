"""Training from a dataset: on its array, band and grid, with its scenes; model cards."""

import json
from dataclasses import replace

import numpy as np
import pytest
from test_command_line import bad, good, mimo

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import Measurement, load_reconstructions, save
from mimo.data.files.schema import FIELDS
from mimo.models.trained_for import acquisition_from_table, differences
from mimo.models.weight_files import WEIGHTS
from mimo.synth import generate
from mimo.train import DatasetScenes, export_weights, load_config, train_denoiser, train_reconstructor
from mimo.train.checkpoint import load_checkpoint

ARRAY = ArrayGeometry.mills_cross(n_tx=3, n_rx=4, width=0.3)
SWEEP = FrequencySweep.linear(5e9, 9e9, 5)
GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.1, 0.1, 8), z=(0.4, 0.6, 11))


def quiet(_line):
    pass


@pytest.fixture
def scenes(tmp_path):
    return generate(tmp_path / "scenes.h5", n=3, preset="shapes", array=ARRAY, sweep=SWEEP, grid=GRID)


def short(name):
    config = load_config(name)
    network = replace(config.network, width=8, levels=2)
    output = replace(config.output, n_validation=2)
    data = replace(config.data, pool=3, refresh=1)
    return replace(config, network=network, output=output, data=data, optimizer=replace(config.optimizer, n_step=2))


def test_reconstructor_learns_on_the_array_of_the_dataset(scenes, tmp_path):
    config = short("deep2s")
    config = replace(config, data=replace(config.data, n_freq=(5,)))
    checkpoint = train_reconstructor(config, tmp_path / "run", scenes=scenes, report=quiet)
    setting = acquisition_from_table(load_checkpoint(checkpoint)["config"]["setting"])
    assert differences(setting, Acquisition(ARRAY, SWEEP, GRID)) == []
    assert "60 measurements, 9 x 8 x 11" in (tmp_path / "run" / "log.txt").read_text()


def test_denoiser_learns_from_the_scenes_of_the_dataset(scenes, tmp_path):
    config = short("denoiser-white")
    config = replace(config, data=replace(config.data, shapes=((8, 8, 8),)))
    checkpoint = train_denoiser(config, tmp_path / "run", scenes=scenes, report=quiet)
    assert load_checkpoint(checkpoint)["step"] == 2


def test_scenes_of_a_dataset_are_measured_in_its_medium(tmp_path):
    path = generate(tmp_path / "wet.h5", n=1, array=ARRAY, sweep=SWEEP, grid=GRID, permittivity=2.5)
    assert DatasetScenes(path).acquisition == Acquisition(ARRAY, SWEEP, GRID, 2.5)


def test_a_dataset_without_truth_is_refused(tmp_path):
    values = np.ones((1, 5, 3, 4), np.complex64)
    save(tmp_path / "bare.h5", Measurement(values, ARRAY, SWEEP, GRID))
    assert {"truth/reflectivity"} <= {field.path for field in FIELDS}
    with pytest.raises(ValueError, match=r"bare\.h5: no truth/reflectivity: expected a dataset with true scenes"):
        train_reconstructor(short("deep2s"), tmp_path / "run", scenes=tmp_path / "bare.h5")


def test_info_prints_the_model_card(tmp_path):
    card = (WEIGHTS / "denoiser-fast.md").read_text()
    assert good("info", "denoiser-fast").strip() == card.strip()
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes((WEIGHTS / "denoiser-fast.safetensors").read_bytes())
    assert '"kind": "denoiser"' in good("info", copy), "no card beside it: what the file says"
    assert json.loads(good("info", copy, "--json"))["network"]["subpixel"] == 2
    bad("info", tmp_path / "none.safetensors", parts=("none.safetensors", "denoiser-fast"))


@pytest.mark.filterwarnings("default")
def test_weights_of_ones_own_from_the_command_line(scenes, tmp_path):
    """Trained, exported and used as a method; far from the training a line of warning says so."""
    config = short("deep2s")
    config = replace(config, data=replace(config.data, n_freq=(5,)))
    checkpoint = train_reconstructor(config, tmp_path / "run", scenes=scenes, report=quiet)
    export_weights(checkpoint, tmp_path / "mine.safetensors")
    common = ("reconstruct", scenes, tmp_path / "out.h5", "--method", tmp_path / "mine.safetensors", "--quiet")
    code, _, err = mimo(*common)
    assert (code, err) == (0, "")
    assert list(load_reconstructions(tmp_path / "out.h5")) == ["mine"]
    code, _, err = mimo(*common, "--overwrite", "--grid", "x=-0.5:0.5:5,y=-0.5:0.5:6,z=1.5:2:7")
    assert code == 0
    assert "mimo: warning: mine is used far from its training: distance 1.75e+03 mm" in err
    assert "app.py" not in err and "learned.py" not in err
