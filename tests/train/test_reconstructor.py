"""Reconstructors: each learns, reloads to the same images, treats scenes alike alone and together, knows its limits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import Measurement
from mimo.models.reconstructor import Reconstructor
from mimo.models.weight_files import load_weights
from mimo.recon import make_problem, reconstruct
from mimo.recon.metrics import psnr
from mimo.recon.physics import make_physics, noise_of
from mimo.synth import Realism
from mimo.synth.measuring import streams
from mimo.synth.scene import Recipe, synthesize
from mimo.train import PresetScenes, ScenesInMemory, export_weights
from mimo.train.checkpoint import load_checkpoint
from mimo.train.config import CONFIGS, ReconstructorConfig, load_config
from mimo.train.loop import Share, run_training
from mimo.train.reconstructor import ReconstructionObjective

ARRAY = ArrayGeometry.mills_cross(n_tx=4, n_rx=5, width=0.3)
SWEEP = FrequencySweep.linear(4e9, 16e9, 6)
GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 7), y=(-0.1, 0.1, 6), z=(0.4, 0.6, 9))
SETTING = Acquisition(ARRAY, SWEEP, GRID)
NAMES = [path.stem for path in CONFIGS.glob("*.toml") if isinstance(load_config(path), ReconstructorConfig)]
NO_ERRORS = {"position_error": 0.0, "phase_error": 0.0, "missing": 0.0}
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


def bodies() -> ScenesInMemory:
    """One body, and two."""
    one, two = np.zeros((2, *GRID.shape), dtype=np.float32)
    one[2:5, 1:4, 3:7] = 1
    two[4:7, 3:5, 2:5] = 0.7
    two[1:3, 1:3, 6:8] = 1
    return ScenesInMemory([one, two])


SCENES = bodies()


def small(name: str, **steps) -> ReconstructorConfig:
    """A configuration that ships, made small; on its own array and without errors (tests/train/test_arrays.py)."""
    config = load_config(name)
    width = 16 if config.method.kind in ("resnet", "dense") else 8
    method = replace(config.method, blocks=2, hidden=64, steps=2)
    return replace(
        config,
        method=method,
        network=replace(config.network, width=width, levels=2, head=min(config.network.head, 8)),
        data=replace(
            config.data, pool=8, refresh=1, snr_db=(30.0, 30.0), n_freq=(6,), other_arrays=0.0, faulty=1.0, **NO_ERRORS
        ),
        optimizer=replace(config.optimizer, **{"batch": 4, "n_step": 4, "warmup": 10, "ema": 0.9} | steps),
        output=replace(config.output, log_every=50, validate_every=1000, n_validation=2, checkpoint_minutes=10.0),
    )


def objective_of(config: ReconstructorConfig) -> ReconstructionObjective:
    return ReconstructionObjective(config, SETTING, SCENES)


def tiny(name: str) -> ReconstructionObjective:
    """A quarter of the weights where channels are real, a third of the voxels: enough to learn two scenes by heart."""
    config = small(name, batch=2)
    if config.method.kind in ("resnet", "dense"):  # quick as they are
        return objective_of(config)
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 4), z=(0.4, 0.6, 7))
    one, two = np.zeros((2, *grid.shape), dtype=np.float32)
    one[1:3, 0:2, 2:5] = 1
    two[3:5, 1:3, 1:3] = 0.7
    two[0:1, 0:2, 4:6] = 1
    width = config.network.width // (2 if config.network.algebra == "real" else 1)
    config = replace(config, network=replace(config.network, width=width))
    return ReconstructionObjective(config, replace(SETTING, grid=grid), ScenesInMemory([one, two]))


@every_network
def test_it_learns_two_scenes_by_heart(name):
    """40 dB: every part of the network gets a gradient that leads somewhere."""
    objective = tiny(name)
    batch, network = objective.batch(0), objective.network.train()
    objective.batch = lambda step: batch
    bounded = objective.config.network.output != "linear"
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2 if bounded else 5e-3)
    reached = 0.0
    for step in range(600):
        loss = objective.loss(network, step, {}, Share())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 19:
            with torch.no_grad():
                pairs = zip(objective.images(network, batch), batch.truth, strict=True)
                reached = float(np.mean([psnr(image.numpy(), truth.numpy()) for image, truth in pairs if image.any()]))
            if reached > 40:
                break
    assert reached > 40


@every_network
def test_reloaded_it_gives_the_same_images_alone_and_together(name, tmp_path):
    config = small(name)
    checkpoint = run_training(objective_of(config), tmp_path, report=quiet)
    weights = tmp_path / f"{name}.safetensors"
    export_weights(checkpoint, weights, command="mimo train x")
    trained = Reconstructor.load(weights)
    best = load_checkpoint(checkpoint)["best"]["weights"]
    for key, value in load_weights(weights)[0].items():  # as stored: real batch normalisation is folded when loading
        torch.testing.assert_close(value.float(), best[key].float(), rtol=1e-3, atol=1e-6)
    batch = objective_of(config).batch(0)
    together = trained(*batch[:3])
    assert together.shape == batch.truth.shape and together.min() >= 0 and together.isfinite().all()
    again = Reconstructor.load(weights)(*batch[:3])
    assert torch.equal(together, again)
    for i in range(len(together)):
        alone = trained(batch.physics, batch.y[i : i + 1], batch.noise_std[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], rtol=1e-3, atol=1e-4)
    card = weights.with_suffix(".md").read_text()
    for words in (f"# {name}\n", "4 transmitters, 5 receivers, 20 channels", "7 x 6 x 9 voxels", "mimo train x"):
        assert words in card


@pytest.mark.parametrize("name", ["two-stage", "deep2s"])
def test_interrupted_run_resumes_exactly(name, tmp_path):
    """Batch statistics, averaged weights and the best so far too."""
    config = small(name, n_step=6)
    config = replace(config, output=replace(config.output, log_every=3, validate_every=3, checkpoint_minutes=0.0))
    whole = load_checkpoint(run_training(objective_of(config), tmp_path / "whole", report=quiet))

    def stop(line):
        if line.startswith("step      3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(objective_of(config), tmp_path / "cut", report=stop)
    resumed = load_checkpoint(run_training(objective_of(config), tmp_path / "cut", resume=True, report=quiet))
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
    checkpoint = run_training(objective_of(small(name)), folder, report=quiet)
    weights = folder / f"{name}.safetensors"
    export_weights(checkpoint, weights)
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


def spoiled(objective, realism, *, snr_db=(np.inf, np.inf), step=3):
    """Measure one body twice, as a step does; masked channels, phases and noise from the generators of the step."""
    truth = np.stack([SCENES.magnitudes[0]] * len(snr_db))
    return objective.measure(objective.physics(6), truth, np.array(snr_db), streams(0, 2, step), realism)


def test_errors_of_the_radar_are_in_the_measurement_alone():
    plain, wrong = small("two-stage"), small("two-stage")
    wrong = replace(wrong, data=replace(wrong.data, position_error=1e-3, phase_error=10.0, missing=0.5))
    a, b = (objective_of(config).batch(3) for config in (plain, wrong))
    assert torch.equal(a.truth, b.truth)
    assert a.physics.operator.array == b.physics.operator.array == ARRAY
    assert (a.y - b.y).abs().max() > 0.1 * a.y.abs().max()
    for name, value in (("missing", 1.5), ("phase_error", -1.0), ("position_error", -1e-3)):
        with pytest.raises(ValueError, match=rf"data\.{name} is {value}"):
            replace(wrong, data=replace(wrong.data, **{name: value}))


def test_training_measures_a_scene_as_the_synthesizer_does():
    """The same generators, the same antennas out of place, gains, gaps and noise."""
    realism = Realism(gain_error_db=1.0, phase_error_deg=8.0, position_error=1e-3)
    recipe = Recipe(preset="paper", acquisition=SETTING, snr_db=(12.0, 12.0), seed=5, realism=realism)
    made, rng = synthesize(recipe, 2, 3), streams(5, 2)
    truth = PresetScenes("paper", GRID).draw(rng["target"])[None]
    rng["noise"].uniform()  # the synthesizer draws the SNR first
    objective = objective_of(small("two-stage"))
    batch = objective.measure(objective.physics(6), truth, np.array([12.0]), rng, realism)
    torch.testing.assert_close(batch.y.numpy(), made.values, rtol=1e-5, atol=1e-6 * float(batch.y.abs().max()))


def test_phase_errors_of_the_training_belong_to_chains():
    objective = objective_of(small("two-stage"))
    ratios = []
    for step in range(400):
        ideal, wrong = (
            spoiled(objective, realism, step=step).y for realism in (Realism(), Realism(phase_error_deg=9.0))
        )
        ratios.append((wrong / ideal)[0, 0])
    ratios = torch.stack(ratios)
    phase = ratios.angle().rad2deg()
    assert ratios.shape[1:] == ideal.shape[2:] == (4, 5)
    torch.testing.assert_close(ratios.abs(), torch.ones_like(phase), rtol=1e-4, atol=0)
    mean = phase.mean(2, keepdim=True) + phase.mean(1, keepdim=True) - phase.mean((1, 2), keepdim=True)
    torch.testing.assert_close(phase, mean, rtol=0, atol=0.01)  # a transmitter's part and a receiver's
    assert float(phase.std()) == pytest.approx(9.0, rel=0.05)
    assert float(phase[:, 0].mean(1).std()) == pytest.approx(9.0 * np.sqrt(0.5 + 0.5 / 5), rel=0.1)


def test_gaps_of_the_training_hold_no_noise():
    """Missing channels are zero, as many as asked for, and the noise is that of the channels that are left."""
    objective = objective_of(small("two-stage"))
    clean, noisy = (spoiled(objective, Realism(missing_channels=0.4), snr_db=(snr, snr)) for snr in (np.inf, 3.0))
    gaps = (noisy.y == 0).all(1)
    assert (gaps == gaps[0]).all() and int(gaps[0].sum()) == 8
    assert torch.equal(gaps, (clean.y == 0).all(1)) and clean.noise_std.tolist() == [0, 0]
    live = ~gaps[0]
    power = clean.y[..., live].abs().double().square().mean((1, 2))
    torch.testing.assert_close(noisy.noise_std, (power / 10**0.3).sqrt(), rtol=1e-5, atol=0)
    found = (noisy.y - clean.y)[..., live].abs().square().mean((1, 2)).sqrt()
    torch.testing.assert_close(found.double(), noisy.noise_std, rtol=0.2, atol=0)  # 72 numbers
    wrong = small("two-stage")
    wrong = replace(wrong, data=replace(wrong.data, missing=1.0))
    objective = objective_of(wrong)
    shares = [float((objective.batch(step).y == 0).float().mean()) for step in range(40)]
    assert max(shares) > 0.8 and min(shares) < 0.2 and abs(np.mean(shares) - 0.5) < 0.15


def test_the_regularised_inverse_is_matched_to_the_noise():
    """Its weight grows with the noise, by the ratio of powers, and does not take gaps for noise."""
    batch = spoiled(objective_of(small("two-stage")), Realism(), snr_db=(30.0, 10.0))
    weight = batch.physics.wiener_weight(batch.y, batch.noise_std)
    assert 60 < weight[1] / weight[0] < 160
    gaps = spoiled(objective_of(small("two-stage")), Realism(missing_channels=0.5), snr_db=(0.0, 0.0))
    assert bool((gaps.physics.wiener_weight(gaps.y, gaps.noise_std) < 100).all())
    problem = make_problem(measurement())
    physics = make_physics(problem)
    assert noise_of(problem).shape == (2,) and physics.data_step.mean_gain > 0
    assert physics.data_step is problem.data_step(), "factorised once"


def test_relative_weighting_descends_the_mean_of_decibels():
    plain, relative = (objective_of(small("two-stage", weighting=weighting)) for weighting in ("mse", "relative"))
    network = plain.network.eval()
    images = plain.images(network, batch := plain.batch(0))
    errors = (images.detach() - batch.truth).square().mean((1, 2, 3))
    plain, relative = objective_of(plain.config), objective_of(relative.config)
    losses = [float(objective.loss(network, 0, {}, Share()).detach()) for objective in (plain, relative)]
    assert losses == pytest.approx([float(errors.mean()), float((errors + 1e-5).log().mean())], rel=1e-4)
    with pytest.raises(ValueError, match=r"optimizer\.weighting is 'db'"):
        small("two-stage", weighting="db")


def test_early_stopping(tmp_path):
    """A network that cannot improve (and has no running mean) ends after `patience` validations."""
    config = small("unrolled", n_step=40, learning_rate=0.0)
    config = replace(config, output=replace(config.output, validate_every=2, patience=3))
    assert load_checkpoint(run_training(objective_of(config), tmp_path, report=quiet))["step"] == 8


def test_unrolled_starts_from_a_denoiser(tmp_path):
    """Every network of it is the denoiser; a run goes on from there, and weights of another network are refused."""
    objective = objective_of(small("unrolled", n_step=1, learning_rate=0.0))
    denoiser = objective.network.networks[0]
    weights = {name: torch.full_like(value, 0.01 * i) for i, (name, value) in enumerate(denoiser.state_dict().items())}
    state = load_checkpoint(run_training(objective, tmp_path / "a", start=weights, report=quiet))["model"]
    for k in range(len(objective.network.networks)):
        for name, value in weights.items():
            assert torch.equal(state[f"networks.{k}.{name}"], value)
    again = objective_of(small("unrolled", n_step=1, learning_rate=0.0))
    same = load_checkpoint(run_training(again, tmp_path / "b", start=state, report=quiet))["model"]
    assert all(torch.equal(same[name], value) for name, value in state.items())
    with pytest.raises(ValueError, match="another network"):
        run_training(objective, tmp_path / "c", start={"x": torch.zeros(1)}, report=quiet)
