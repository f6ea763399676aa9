"""Reconstructors: each learns, reloads to the same images, treats scenes alike alone and together, knows its limits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import Measurement
from mimo.models.reconstructor import Reconstructor
from mimo.models.setting import Setting
from mimo.recon import make_problem, reconstruct
from mimo.recon.metrics import psnr
from mimo.recon.physics import make_physics, noise_of
from mimo.train.checkpoint import load_checkpoint
from mimo.train.config import CONFIGS, ReconstructorConfig, load_config
from mimo.train.loop import Share, run_training
from mimo.train.reconstructor import ReconstructionLesson, export_reconstructor

ARRAY = ArrayGeometry.mills_cross(n_tx=4, n_rx=5, width=0.3)
SWEEP = FrequencySweep.linear(4e9, 16e9, 6)
GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 7), y=(-0.1, 0.1, 6), z=(0.4, 0.6, 9))
SETTING = Setting(ARRAY, SWEEP, GRID)
NAMES = [path.stem for path in CONFIGS.glob("*.toml") if isinstance(load_config(path), ReconstructorConfig)]
every_network = pytest.mark.parametrize("name", sorted(NAMES))


@pytest.fixture(autouse=True)
def one_thread():
    """Small networks are not worth two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MIMO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


def quiet(_line):
    pass


def draw(rng):
    """One of two bodies."""
    scene = np.zeros(GRID.shape, dtype=np.float32)
    if rng.random() < 0.5:
        scene[2:5, 1:4, 3:7] = 1
    else:
        scene[4:7, 3:5, 2:5] = 0.7
        scene[1:3, 1:3, 6:8] = 1
    return scene


def small(name: str, **steps) -> ReconstructorConfig:
    """A configuration that ships, made small."""
    config = load_config(name)
    width = 16 if config.method.kind in ("resnet", "dense") else 8
    method = replace(config.method, blocks=2, hidden=64, steps=2)
    return replace(
        config,
        method=method,
        network=replace(config.network, width=width, levels=2, head=min(config.network.head, 8)),
        data=replace(config.data, pool=8, refresh=1, snr_db=(30.0, 30.0), n_freq=(6,)),
        optimizer=replace(config.optimizer, **{"batch": 4, "n_step": 4, "warmup": 10, "ema": 0.9} | steps),
        output=replace(config.output, log_every=50, validate_every=1000, n_validation=2, checkpoint_minutes=10.0),
    )


def lesson_of(config: ReconstructorConfig) -> ReconstructionLesson:
    return ReconstructionLesson(config, SETTING, draw)


@every_network
def test_it_learns_two_scenes_by_heart(name):
    """40 dB: every part of the network gets a gradient that leads somewhere."""
    lesson = lesson_of(small(name, batch=2))
    exercise, network = lesson.exercise(0), lesson.network.train()
    lesson.exercise = lambda step: exercise
    bounded = lesson.config.network.output != "linear" or lesson.config.method.kind == "resnet"
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2 if bounded else 5e-3)
    reached = 0.0
    for step in range(600):
        loss = lesson.loss(network, step, {}, Share())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 19:
            with torch.no_grad():
                pairs = zip(lesson._images(network, exercise), exercise.truth, strict=True)
                reached = float(np.mean([psnr(image.numpy(), truth.numpy()) for image, truth in pairs if image.any()]))
            if reached > 40:
                break
    assert reached > 40


@every_network
def test_reloaded_it_gives_the_same_images_alone_and_together(name, tmp_path):
    config = small(name)
    checkpoint = run_training(lesson_of(config), tmp_path, report=quiet)
    weights = tmp_path / f"{name}.safetensors"
    export_reconstructor(checkpoint, weights, weights.with_suffix(".md"), command="mimo train x")
    trained = Reconstructor.load(weights)
    best = load_checkpoint(checkpoint)["best"]["weights"]
    for key, value in trained.module.state_dict().items():
        torch.testing.assert_close(value.float(), best[key].float(), rtol=1e-3, atol=1e-6)
    exercise = lesson_of(config).exercise(0)
    together = trained(*exercise[:3])
    assert together.shape == exercise.truth.shape and together.min() >= 0 and together.isfinite().all()
    again = Reconstructor.load(weights)(*exercise[:3])
    assert torch.equal(together, again)
    for i in range(len(together)):
        alone = trained(exercise.physics, exercise.y[i : i + 1], exercise.noise_std[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], rtol=1e-3, atol=1e-4)
    card = weights.with_suffix(".md").read_text()
    for words in (f"# {name}\n", "4 transmitters, 5 receivers, 20 channels", "7 x 6 x 9 voxels", "mimo train x"):
        assert words in card


@pytest.mark.parametrize("name", ["two-stage", "deep2s"])
def test_interrupted_run_resumes_exactly(name, tmp_path):
    """Batch statistics, averaged weights and the best so far too."""
    config = small(name, n_step=6)
    config = replace(config, output=replace(config.output, log_every=3, validate_every=3, checkpoint_minutes=0.0))
    whole = load_checkpoint(run_training(lesson_of(config), tmp_path / "whole", report=quiet))

    def stop(line):
        if line.startswith("step      3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(lesson_of(config), tmp_path / "cut", report=stop)
    resumed = load_checkpoint(run_training(lesson_of(config), tmp_path / "cut", resume=True, report=quiet))
    for part in ("model", "ema"):
        assert all(torch.equal(value, resumed[part][key]) for key, value in whole[part].items())
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in resumed["history"]] == [
        {k: v for k, v in row.items() if k != "seconds"} for row in whole["history"]
    ]


def measurement(array=ARRAY, sweep=SWEEP, grid=GRID, seed=0) -> Measurement:
    rng = np.random.default_rng(seed)
    shape = (2, sweep.n_freq, array.n_tx, array.n_rx)
    values = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    return Measurement(values=values, array=array, sweep=sweep, grid=grid)


def exported(name: str, folder) -> str:
    checkpoint = run_training(lesson_of(small(name)), folder, report=quiet)
    weights = folder / f"{name}.safetensors"
    export_reconstructor(checkpoint, weights, weights.with_suffix(".md"))
    return str(weights)


def test_a_file_of_weights_is_a_method(tmp_path):
    """On the array of its training and, with a warning, on one far from it."""
    weights = exported("two-stage", tmp_path)
    result = reconstruct(weights, measurement())
    assert result.method == "two-stage" and result.image.shape == (2, *GRID.shape)
    other = VoxelGrid.from_extent(x=(-0.5, 0.5, 7), y=(-0.5, 0.5, 6), z=(1.4, 1.6, 5))
    with pytest.warns(RuntimeWarning, match="far from its training.*distance 1.5e\\+03 mm"):
        far = reconstruct(weights, measurement(grid=other))
    assert far.image.shape == (2, 7, 6, 5)


def test_fully_connected_layers_refuse_another_setting(tmp_path):
    weights = exported("deepdi", tmp_path)
    assert reconstruct(weights, measurement()).image.shape == (2, *GRID.shape)
    for other, words in (
        (measurement(sweep=FrequencySweep.linear(4e9, 16e9, 5)), "5 frequencies, expected 6"),
        (measurement(sweep=FrequencySweep.linear(4e9, 15e9, 6)), "frequencies differ by up to 1e\\+09 Hz"),
        (measurement(array=ArrayGeometry.mills_cross(n_tx=4, n_rx=5, width=0.2)), "transmitters differ"),
        (
            measurement(grid=VoxelGrid.from_extent(x=(-0.1, 0.1, 7), y=(-0.1, 0.1, 6), z=(0.4, 0.6, 8))),
            "8 voxels along z",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            reconstruct(weights, other)


def test_what_does_not_ship_says_how_to_come_by_it():
    with pytest.raises(ValueError, match="mimo train deep2s-resnet --export"):
        reconstruct("deep2s-resnet", measurement())
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        reconstruct("nowhere.safetensors", measurement())


def test_weights_of_a_denoiser_are_no_method():
    with pytest.raises(ValueError, match="weights of kind 'denoiser', expected 'reconstructor'"):
        Reconstructor.load("denoiser-fast")


def test_errors_of_the_radar_are_in_the_measurement_alone():
    plain, wrong = small("two-stage"), small("two-stage")
    wrong = replace(wrong, data=replace(wrong.data, position_error=1e-3, phase_error=10.0, missing=0.5))
    a, b = (ReconstructionLesson(config, SETTING, draw).exercise(3) for config in (plain, wrong))
    assert torch.equal(a.truth, b.truth)
    assert a.physics.operator.array == b.physics.operator.array
    assert (a.y - b.y).abs().max() > 0.1 * a.y.abs().max()
    wrong = replace(wrong, data=replace(wrong.data, missing=1.0))
    gaps = ReconstructionLesson(wrong, SETTING, draw)._gain(a.y, np.random.default_rng(1)) == 0
    assert gaps.shape == (4, 5) and 0 < gaps.sum() < 20


def test_the_regularised_inverse_is_matched_to_the_noise():
    """Its weight grows with the noise, by the ratio of powers."""
    lesson = ReconstructionLesson(small("two-stage"), SETTING, draw)
    truth = torch.from_numpy(np.stack([draw(np.random.default_rng(0))] * 2))
    generator = torch.Generator().manual_seed(0)
    quiet_and_loud = torch.tensor([30.0, 10.0], dtype=torch.float64)
    exercise = lesson._measure(6, truth, quiet_and_loud, generator, None)
    weight = exercise.physics.wiener_weight(exercise.y, exercise.noise_std)
    assert 60 < weight[1] / weight[0] < 160
    problem = make_problem(measurement())
    assert noise_of(problem).shape == (2,) and make_physics(problem).data_step().mean_gain > 0


def test_relative_weighting_descends_the_mean_of_decibels():
    plain, relative = (lesson_of(small("two-stage", weighting=weighting)) for weighting in ("mse", "relative"))
    network = plain.network.eval()
    images = plain._images(network, exercise := plain.exercise(0))
    errors = (images.detach() - exercise.truth).square().mean((1, 2, 3))
    plain, relative = lesson_of(plain.config), lesson_of(relative.config)
    losses = [float(lesson.loss(network, 0, {}, Share()).detach()) for lesson in (plain, relative)]
    assert losses == pytest.approx([float(errors.mean()), float((errors + 1e-5).log().mean())], rel=1e-4)
    with pytest.raises(ValueError, match=r"optimizer\.weighting is 'db'"):
        small("two-stage", weighting="db")


def test_early_stopping(tmp_path):
    """A network that cannot improve (and has no running mean) ends after `patience` validations."""
    config = small("unrolled", n_step=40, learning_rate=0.0)
    config = replace(config, output=replace(config.output, validate_every=2, patience=3))
    assert load_checkpoint(run_training(lesson_of(config), tmp_path, report=quiet))["step"] == 8


def test_unrolled_starts_from_a_denoiser(tmp_path):
    """Every network of it is the denoiser; a run goes on from there, and weights of another network are refused."""
    lesson = lesson_of(small("unrolled", n_step=1, learning_rate=0.0))
    denoiser = lesson.network.networks[0]
    weights = {name: torch.full_like(value, 0.01 * i) for i, (name, value) in enumerate(denoiser.state_dict().items())}
    state = load_checkpoint(run_training(lesson, tmp_path / "a", start=weights, report=quiet))["model"]
    for k in range(len(lesson.network.networks)):
        for name, value in weights.items():
            assert torch.equal(state[f"networks.{k}.{name}"], value)
    again = lesson_of(small("unrolled", n_step=1, learning_rate=0.0))
    same = load_checkpoint(run_training(again, tmp_path / "b", start=state, report=quiet))["model"]
    assert all(torch.equal(same[name], value) for name, value in state.items())
    with pytest.raises(ValueError, match="another network"):
        run_training(lesson, tmp_path / "c", start={"x": torch.zeros(1)}, report=quiet)
