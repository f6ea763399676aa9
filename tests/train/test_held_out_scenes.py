"""Validation on scenes that no training step draws, and cards that say which they were."""

from dataclasses import replace

import numpy as np
import pytest

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import load
from mimo.synth import generate
from mimo.train import DatasetScenes, export_weights, load_config, train_denoiser, train_reconstructor
from mimo.train.checkpoint import load_checkpoint
from mimo.train.denoiser import DenoisingObjective
from mimo.train.reconstructor import ReconstructionObjective
from mimo.train.scenes import ScenePool, ValidatedScenes, hold_out

ARRAY = ArrayGeometry.mills_cross(n_tx=3, n_rx=4, width=0.3)
SWEEP = FrequencySweep.linear(5e9, 9e9, 5)
GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.1, 0.1, 8), z=(0.4, 0.6, 11))


def dataset(folder, name="scenes.h5", n=7, seed=0, grid=GRID):
    return generate(folder / name, n=n, preset="shapes", array=ARRAY, sweep=SWEEP, grid=grid, seed=seed)


def short(name, **data):
    config = load_config(name, own_sweep=True)
    network = replace(config.network, width=8, levels=2)
    output = replace(config.output, n_validation=4)
    data = replace(config.data, **{"pool": 3, "refresh": 1} | data)
    return replace(config, network=network, output=output, data=data, optimizer=replace(config.optimizer, n_step=2))


def quiet(_line):
    pass


def known(path):
    """The magnitudes of a file's scenes."""
    truth = np.abs(load(path).truth)
    return truth / truth.max((1, 2, 3), keepdims=True)


def number_of(scene, scenes):
    """Which of the scenes an array is, up to flips: they keep the sum and the sorted values."""
    return int(np.argmin([np.abs(np.sort(scene.ravel()) - np.sort(other.ravel())).max() for other in scenes]))


@pytest.mark.parametrize(("n", "share", "kept"), [(7, 0.1, 2), (3, 0.1, 2), (7, 0.5, 4)])
def test_no_step_draws_a_scene_of_the_validation(tmp_path, n, share, kept):
    path = dataset(tmp_path, n=n)
    scenes, source = known(path), hold_out(DatasetScenes(path), share)
    assert source.n_validation(32) == kept and source.n_validation(1) == 1
    rng = np.random.default_rng(0)
    held = {number_of(source.draw_validation(i, rng), scenes) for i in range(kept)}
    pool = ScenePool(source, seed=3, size=4, refresh=5)
    drawn = {number_of(scene, scenes) for step in range(30) for scene in pool.take(step, 4, rng)}
    assert held | drawn == set(range(n)) and not held & drawn and len(held) == kept


def test_the_figures_of_the_card_are_those_of_the_held_out_scenes(tmp_path, monkeypatch):
    path = dataset(tmp_path)
    seen = []
    measure = ReconstructionObjective.measure

    def note(self, n_freq, truth, *others):
        seen.append((len(others[0]), [number_of(scene, known(path)) for scene in truth]))
        return measure(self, n_freq, truth, *others)

    monkeypatch.setattr(ReconstructionObjective, "measure", note)
    checkpoint = train_reconstructor(short("deep2s"), tmp_path / "run", scenes=path, report=quiet)
    held = set(hold_out(DatasetScenes(path), 0.1).validation.numbers)
    steps, validations = seen[:2], seen[2:]
    assert len(validations) == 2 and all(set(numbers) == held for _, numbers in validations)
    assert all(not set(numbers) & held for _, numbers in steps)
    text = export_weights(checkpoint, tmp_path / "w.safetensors").with_suffix(".md").read_text()
    assert "scenes: 5 of scenes.h5, SNR" in text and "Means over 2 of scenes.h5, never trained on" in text
    assert "on the fly" not in text
    assert load_checkpoint(checkpoint)["config"]["validation"] == "2 of scenes.h5, never trained on"


def test_a_denoiser_validates_on_held_out_scenes_too(tmp_path):
    path = dataset(tmp_path)
    config = short("denoiser-white", shapes=((9, 8, 11),))
    source = hold_out(DatasetScenes(path), 0.1)
    assert len(DenoisingObjective(config, source).validation["psnr_0.1"].target) <= 2
    checkpoint = train_denoiser(config, tmp_path / "run", scenes=DatasetScenes(path), report=quiet)
    text = export_weights(checkpoint, tmp_path / "w.safetensors").with_suffix(".md").read_text()
    assert "scenes: 5 of scenes.h5" in text and "over 2 of scenes.h5, never trained on" in text


def test_a_file_too_small_is_refused(tmp_path):
    path = dataset(tmp_path, n=2)
    with pytest.raises(
        ValueError, match=r"scenes\.h5 has 2 scenes, of which the validation keeps 2 .*expected 3 scenes"
    ):
        train_reconstructor(short("deep2s"), tmp_path / "run", scenes=path, report=quiet)
    with pytest.raises(ValueError, match=r"data\.validation_share is 1\.0"):
        load_config("deep2s", ["data.validation_share=1"])


def test_scenes_for_the_validation_from_another_file(tmp_path):
    path, other = dataset(tmp_path, n=2), dataset(tmp_path, "other.h5", n=3, seed=1)
    checkpoint = train_reconstructor(short("deep2s"), tmp_path / "run", scenes=path, validation=other, report=quiet)
    text = export_weights(checkpoint, tmp_path / "w.safetensors").with_suffix(".md").read_text()
    assert "scenes: 2 of scenes.h5" in text and "Means over 3 of other.h5, never trained on" in text
    with pytest.raises(ValueError, match="scene 0 of the validation is also trained on"):
        train_reconstructor(short("deep2s"), tmp_path / "two", scenes=path, validation=path, report=quiet)
    one = dataset(tmp_path, "one.h5", n=1, seed=2)
    with pytest.raises(ValueError, match=r"one\.h5 has 1 scene for the validation: expected 2 at least"):
        train_reconstructor(short("deep2s"), tmp_path / "two", scenes=path, validation=one, report=quiet)
    wider = VoxelGrid.from_extent(x=(-0.2, 0.2, 9), y=(-0.1, 0.1, 8), z=(0.4, 0.6, 11))
    third = dataset(tmp_path, "third.h5", grid=wider)
    with pytest.raises(ValueError, match=r"third\.h5: its grid is not that of the training"):
        train_reconstructor(short("deep2s"), tmp_path / "two", scenes=path, validation=third, report=quiet)


def test_frequencies_are_the_dataset_s_unless_they_are_named(tmp_path):
    path, mine = dataset(tmp_path), tmp_path / "mine.toml"
    mine.write_text('base = "deep2s"\n[data]\nn_freq = [3]\n')
    source = ValidatedScenes(DatasetScenes(path), DatasetScenes(path))
    for config, expected in [
        (load_config("deep2s", own_sweep=True), {5}),
        (load_config("deep2s-2d", own_sweep=True), {5}),
        (load_config("deep2s", ["data.n_freq=[4,0]"], own_sweep=True), {4, 5}),
        (load_config(mine, own_sweep=True), {3}),
        (load_config("deep2s"), {5, 10, 15, 20, 40}),
    ]:
        objective = ReconstructionObjective(config, source.training.acquisition, source)
        assert {each.sweep.n_freq for each in objective.acquisitions.values()} == expected
    assert objective.acquisitions[5].sweep == SWEEP
