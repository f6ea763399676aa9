"""Standard deviations beside images: the image unchanged to the bit, units, resumption, files, shards, intervals."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.commands import main
from mimo.data import FileError, Measurement, Reconstruction, interval, load, load_reconstructions, save, validate
from mimo.data.intervals import Intervals
from mimo.models import NetworkConfig, Reconstructor, load_weights
from mimo.models.spread import SPREAD, Spread
from mimo.recon import make_problem, reconstruct
from mimo.recon.files import reconstruct_file, reconstruct_files
from mimo.recon.physics import make_physics, noise_of
from mimo.synth import generate
from mimo.train import export_weights, load_config, train_reconstructor, train_spread
from mimo.train.spread import calibrate, coverage

ARRAY = ArrayGeometry.mills_cross(n_tx=3, n_rx=4, width=0.3)
SWEEP = FrequencySweep.linear(5e9, 9e9, 5)
GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.1, 0.1, 8), z=(0.4, 0.6, 11))
KINDS = ("two-stage", "unrolled")


def quiet(_line):
    pass


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIMO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


def config_of(name, **steps):
    config = load_config(name)
    data = replace(config.data, pool=4, refresh=1, n_freq=(5,), other_arrays=0.0)
    optimizer = replace(config.optimizer, **{"n_step": 3, "batch": 2} | steps)
    made = replace(config, data=data, optimizer=optimizer, output=replace(config.output, n_validation=2))
    if name == "spread":
        return replace(made, spread=replace(SPREAD, width=8, levels=2))
    return replace(made, network=replace(config.network, width=8, levels=2, head=0))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Weights of both kinds of networks without and with a standard deviation, barely trained: files by name."""
    folder, found = tmp_path_factory.mktemp("weights"), {}
    setting = Acquisition(ARRAY, SWEEP, GRID)
    for name in KINDS:
        bare = train_reconstructor(config_of(name), folder / name, acquisition=setting, report=quiet)
        export_weights(bare, folder / f"{name}-bare.safetensors")
        options = {"start": folder / f"{name}-bare.safetensors", "report": quiet}
        whole = train_spread(config_of("spread"), folder / f"{name}-std", **options)
        found[name] = folder / f"{name}-bare.safetensors", export_weights(whole, folder / f"{name}.safetensors")
    return found


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenes") / "scenes.h5"
    return generate(path, n=18, preset="shapes", array=ARRAY, sweep=SWEEP, grid=GRID, snr_db=20.0)


def run(weights, measurement):
    problem = make_problem(measurement)
    return Reconstructor.load(weights).image_and_std(make_physics(problem), problem.measurement, noise_of(problem))


@pytest.mark.parametrize("name", KINDS)
def test_the_image_is_the_same_to_the_bit(trained, scenes, name):
    bare, whole = trained[name]
    for key, tensor in load_weights(bare)[0].items():
        assert torch.equal(tensor, load_weights(whole)[0][key])
    without, none = run(bare, load(scenes, scenes=slice(3)))
    image, std = run(whole, load(scenes, scenes=slice(3)))
    assert none is None and torch.equal(image, without)
    assert std.shape == image.shape and std.isfinite().all() and std.min() > 0
    described = load_weights(whole)[1]
    assert {k: v for k, v in described.items() if k != "spread"} == load_weights(bare)[1]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_units_follow_the_data(trained, scenes, name, factor):
    """A relative image stays as it is, and one of reflectivity grows with the data, each with its deviation."""
    measurement = load(scenes, scenes=[1])
    image, std = run(trained[name][1], measurement)
    other, others = run(trained[name][1], replace(measurement, values=measurement.values * np.float32(factor)))
    grown = factor if name == "unrolled" else 1.0
    peak = float(image.max())
    torch.testing.assert_close(other / grown, image, rtol=1e-3, atol=1e-4 * peak)
    torch.testing.assert_close(others / grown, std, rtol=1e-2, atol=1e-4 * peak)


def test_a_resumed_run_is_that_which_was_never_interrupted(trained, tmp_path):
    bare = trained["two-stage"][0]
    whole = train_spread(config_of("spread", schedule="rsqrt"), tmp_path / "whole", start=bare, report=quiet)
    train_spread(config_of("spread", schedule="rsqrt", n_step=2), tmp_path / "two", start=bare, report=quiet)
    parts = train_spread(config_of("spread", schedule="rsqrt"), tmp_path / "two", resume=True, report=quiet)
    one, two = (load_weights(export_weights(c, c.with_suffix(".safetensors"))) for c in (whole, parts))
    assert one[1] == two[1]
    for key, tensor in one[0].items():
        assert torch.equal(tensor, two[0][key])


def test_training_lowers_the_loss_and_leaves_the_image_network_alone(trained, tmp_path):
    """With a spread that can tell: the likelihood of the validation rises."""
    config = config_of("spread", n_step=60, learning_rate=1e-2, warmup=1)
    config = replace(config, output=replace(config.output, validate_every=30))
    run = train_spread(config, tmp_path / "run", start=trained["two-stage"][0], report=quiet)
    history = torch.load(run, weights_only=True)["history"]
    start = torch.load(trained["two-stage"][0].parent / "two-stage-std" / "checkpoint.pt", weights_only=True)["history"]
    for name in ("nll_30", "nll_10", "nll_0"):
        assert history[-1][name] < start[-1][name] - 0.1
    state = load_weights(export_weights(run, tmp_path / "x.safetensors"))[0]
    for key, tensor in load_weights(trained["two-stage"][0])[0].items():
        assert torch.equal(tensor, state[key])


def test_files_keep_it_in_batches_and_shards(trained, scenes, tmp_path):
    """18 scenes are two batches of 16 and 2; a file in one piece and one in shards are the same."""
    weights = str(trained["two-stage"][1])
    reconstruct_file(scenes, tmp_path / "one.h5", [weights, "backprojection"])
    reconstruct_files([scenes], tmp_path / "many.h5", [weights], shard_size=16, workers=1)
    one, many = (load_reconstructions(tmp_path / name)["two-stage"] for name in ("one.h5", "many.h5"))
    assert one.std.dtype == np.float32 and one.std.shape == one.image.shape and one.std.min() > 0
    np.testing.assert_array_equal(one.std, many.std)
    assert one.parameters["intervals"] == many.parameters["intervals"]
    assert load_reconstructions(tmp_path / "one.h5")["backprojection"].std is None
    validate(tmp_path / "many.h5")
    again = reconstruct_files([scenes], tmp_path / "many.h5", [weights], shard_size=16, workers=1)
    assert not again.missing
    few = load_reconstructions(tmp_path / "many.h5", scenes=[17, 2])["two-stage"]
    np.testing.assert_array_equal(few.std, one.std[[17, 2]])
    low, high = interval(few, 0.9)
    assert (low >= 0).all() and (low <= few.magnitude).all() and (few.magnitude <= high).all()
    with h5py.File(tmp_path / "one.h5", "a") as file:
        file["reconstruction/two-stage/std"][2, 3, 1, 4] = -1
    with pytest.raises(FileError, match=r"reconstruction/two-stage/std is -1 at index .*expected 0 or more"):
        validate(tmp_path / "one.h5")


def test_a_region_leaves_it_zero_outside(trained, scenes):
    made = reconstruct(str(trained["two-stage"][1]), load(scenes, scenes=[0]), region="sphere:0,0,0.5,0.06")
    assert not made.std[0][~made.inside].any() and made.std[0][made.inside].all()


def test_intervals_are_those_that_were_counted():
    rng = np.random.default_rng(5)
    std = np.exp(rng.uniform(-5, 0, (7, 40, 30, 20))).astype(np.float32)
    image = rng.uniform(0, 1, std.shape).astype(np.float32)
    truth = image + std * rng.standard_normal(std.shape).astype(np.float32)
    scenes = list(zip(image, truth, std, strict=True))
    found = calibrate(scenes[:3])
    np.testing.assert_allclose(np.median(found.factors["50"]), 0.6745, rtol=0.05)
    np.testing.assert_allclose(np.median(found.factors["90"]), 1.645, rtol=0.05)
    covered = coverage(scenes[3:], found)
    assert covered == {"50": pytest.approx(0.5, abs=0.01), "90": pytest.approx(0.9, abs=0.01)}
    grown = [tuple(1e6 * part for part in scene) for scene in scenes[3:]]
    assert coverage(grown, found) == pytest.approx(covered, abs=1e-3)
    made = Reconstruction(
        "x", image, VoxelGrid(*(np.arange(n) * 1.0 for n in image.shape[1:])), {}, np.zeros(7), std=std
    )
    with pytest.raises(ValueError, match="x has no standard deviation"):
        interval(made)
    made = replace(made, parameters={"intervals": found.to_dict()})
    low, high = interval(made, 0.5)
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.5, abs=0.12)  # the truth here goes below 0
    with pytest.raises(ValueError, match=r"level is 0.7: expected 0.5 or 0.9"):
        interval(made, 0.7)
    assert Intervals.from_dict(found.to_dict()) == found


def test_what_cannot_be(trained, tmp_path):
    with pytest.raises(ValueError, match="needs the reconstructor that it is of"):
        train_spread(config_of("spread"), tmp_path / "a", report=quiet)
    with pytest.raises(ValueError, match="denoiser: expected the weights of a reconstructor"):
        train_spread(config_of("spread"), tmp_path / "b", start="denoiser", report=quiet)
    method = Reconstructor.load(trained["two-stage"][0]).method
    with pytest.raises(ValueError, match=r"spread.gate are false: expected true"):
        Spread(method, NetworkConfig(residual=False))
    values = np.ones((1, 5, 3, 4), np.complex64)
    image = np.ones((1, *GRID.shape), np.float32)
    with pytest.raises(ValueError, match=r"reconstruction/l1/std has shape .*expected"):
        Reconstruction("l1", image, GRID, {}, np.zeros(1), std=image[:, :-1])
    kept = Reconstruction("l1", image, GRID, {}, np.zeros(1), std=image)
    save(tmp_path / "x.h5", Measurement(values, ARRAY, SWEEP, grid=GRID), reconstructions=[kept])
    np.testing.assert_array_equal(load_reconstructions(tmp_path / "x.h5")["l1"].std, image)


def mimo(capsys, *arguments):
    """Exit code and output of a command run in this process."""
    try:
        main([str(a) for a in arguments])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_command(trained, tmp_path, capsys):
    out = tmp_path / "w.safetensors"
    small = ["spread.width=8", "spread.levels=2", "data.pool=4", "data.n_freq=[5]", "optimizer.n_step=1"]
    small += ["optimizer.batch=1", "output.n_validation=1"]
    run = ["train", "spread", *(part for text in small for part in ("--set", text)), "--out", tmp_path / "run"]
    code, _, err = mimo(capsys, *run)
    assert code == 2 and "needs the reconstructor that it is of: start from its weights (--start)" in err
    code, _, err = mimo(capsys, *run, "--start", trained["two-stage"][0], "--export", out, "--quiet")
    assert code == 0, err
    assert Reconstructor.load(out).intervals is not None
    code, card, _ = mimo(capsys, "info", out)
    assert code == 0 and "## Standard deviation" in card and "at 0 dB" in card
