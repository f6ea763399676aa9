"""The training loop: it learns, resumes exactly, leaves random states alone, and says what is wrong."""

import re
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from mimo.models import Denoiser
from mimo.train import DenoiserConfig, ScenesInMemory, export_weights, load_config, train_denoiser
from mimo.train.checkpoint import load_checkpoint, save_checkpoint
from mimo.train.config import CONFIGS, RunsConfig
from mimo.train.corruption import Pair
from mimo.train.denoiser import DenoisingObjective, loss_of
from mimo.train.loop import learning_rate
from mimo.train.on_policy import OnPolicyPairs
from mimo.train.scenes import fit_scene

SMALL = DenoiserConfig.from_dict(
    {
        "network": {"width": 8, "levels": 2, "subpixel": 2},
        "data": {"shapes": [[5, 7, 11], [6, 8, 4]], "pool": 5, "refresh": 2, "sigma_jitter": 0.1},
        "optimizer": {"batch": 2, "n_step": 6, "warmup": 2},
        "output": {"log_every": 3, "validate_every": 3, "checkpoint_minutes": 0.0, "n_validation": 4},
    }
)


def box(seed):
    """A box in a volume of random size."""
    shape = np.random.default_rng(seed).integers(4, 13, size=3)
    scene = np.zeros(shape, dtype=np.float32)
    scene[tuple(slice(n // 4, n // 4 + n // 2) for n in shape)] = 1
    return scene


BOXES = ScenesInMemory([box(seed) for seed in range(20)])


def quiet(_line):
    pass


def train(config, folder, *, scenes=BOXES, report=quiet, **options):
    return train_denoiser(config, folder, scenes=scenes, report=report, **options)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_interrupted_run_resumes_exactly(tmp_path):
    """Stopped in the middle and resumed, a run has the weights, averages and figures of one that was not."""
    whole = load_checkpoint(train(SMALL, tmp_path / "whole"))

    def stop(line):
        if line.startswith("step      3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, tmp_path / "cut", report=stop)
    assert load_checkpoint(tmp_path / "cut" / "checkpoint.pt")["step"] == 2
    resumed = load_checkpoint(train(SMALL, tmp_path / "cut", resume=True))
    assert resumed["step"] == whole["step"] == 6
    assert same(resumed["model"], whole["model"]) and same(resumed["ema"], whole["ema"])
    assert not same(whole["model"], whole["ema"])
    assert [row["psnr_0.1"] for row in resumed["history"]] == [row["psnr_0.1"] for row in whole["history"]]
    assert "resumed at step 2" in (tmp_path / "cut" / "log.txt").read_text()


def test_starts_from_weights(tmp_path):
    """The first step is taken from the given weights, and those of another network are refused."""
    first = load_checkpoint(train(SMALL, tmp_path / "first"))
    still = replace(SMALL, optimizer=replace(SMALL.optimizer, n_step=1, learning_rate=0.0))
    second = load_checkpoint(train(still, tmp_path / "second", start=first["model"]))
    assert same(second["model"], first["model"])
    wider = replace(SMALL, network=replace(SMALL.network, width=16))
    with pytest.raises(ValueError, match="of another network"):
        train(wider, tmp_path / "third", start=first["model"])


def test_longer_run_continues(tmp_path):
    """3 steps and 3 resumed are 6, where the schedule does not depend on the end."""
    config = replace(SMALL, optimizer=replace(SMALL.optimizer, schedule="rsqrt"))
    short = replace(config, optimizer=replace(config.optimizer, n_step=3))
    train(short, tmp_path / "a")
    resumed = load_checkpoint(train(config, tmp_path / "a", resume=True))
    assert same(resumed["model"], load_checkpoint(train(config, tmp_path / "b"))["model"])


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_told_to_stop_it_gives_up_the_step_in_hand(tmp_path, monkeypatch, norm):
    """Ctrl-C or a batch system's SIGTERM: the checkpoint is that of a whole step, and resuming gives the same run."""
    config = replace(SMALL, network=replace(SMALL.network, norm=norm))
    whole = load_checkpoint(train(config, tmp_path / "whole"))
    before, calls = signal.getsignal(signal.SIGINT), []

    def interrupting(*arguments):
        calls.append(1)
        if len(calls) == 3:  # after the network has run, which changes the statistics of a normalisation
            signal.raise_signal(signal.SIGTERM)
        return loss_of(*arguments)

    monkeypatch.setattr("mimo.train.denoiser.loss_of", interrupting)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut")
    assert load_checkpoint(tmp_path / "cut" / "checkpoint.pt")["step"] == 2 and len(calls) == 3
    assert "stopped at step 2: resume goes on from there" in (tmp_path / "cut" / "log.txt").read_text()
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    resumed = load_checkpoint(train(config, tmp_path / "cut", resume=True))
    assert same(resumed["model"], whole["model"]) and same(resumed["ema"], whole["ema"])


def test_a_validation_that_was_interrupted_is_made_when_the_run_goes_on(tmp_path, monkeypatch):
    whole = load_checkpoint(train(SMALL, tmp_path / "whole"))
    validate = DenoisingObjective.validate

    def interrupting(self, network):
        validate(self, network)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(DenoisingObjective, "validate", interrupting)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, tmp_path / "cut")
    cut = load_checkpoint(tmp_path / "cut" / "checkpoint.pt")
    assert cut["step"] == 3 and cut["history"] == []
    monkeypatch.undo()
    resumed = load_checkpoint(train(SMALL, tmp_path / "cut", resume=True))
    names = ("step", "psnr_0.1")
    assert [[row[n] for n in names] for row in resumed["history"]] == [
        [row[n] for n in names] for row in whole["history"]
    ]
    assert resumed["best"]["step"] == whole["best"]["step"] and same(
        resumed["best"]["weights"], whole["best"]["weights"]
    )


def pairs_of_a_round(_self, denoiser, round_):
    """Pairs that depend on round and network, as those of runs do."""
    generator = torch.Generator().manual_seed(round_)
    target = torch.rand(5, 6, 7, 8, generator=generator)
    sigma = torch.linspace(0.05, 0.2, 5)
    return Pair(denoiser(target, sigma) + 0.1, target, sigma)


@pytest.mark.parametrize("key", ["objective", "lesson"])  # the second in checkpoints of earlier versions
def test_learning_from_runs_resumes_exactly(tmp_path, monkeypatch, key):
    """The pairs of a round are kept with the weights: cut in the middle of a round, the run goes on as if it was not."""
    monkeypatch.setattr(OnPolicyPairs, "collect", pairs_of_a_round)
    config = replace(SMALL, runs=RunsConfig(share=0.5, after=1, steps=3))
    whole = load_checkpoint(train(config, tmp_path / "whole"))
    plain = load_checkpoint(train(SMALL, tmp_path / "plain"))
    assert not same(whole["model"], plain["model"])

    def stop(line):
        if line.startswith("step      3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut", report=stop)
    path = tmp_path / "cut" / "checkpoint.pt"
    cut = load_checkpoint(path)
    save_checkpoint(path, {key if name == "objective" else name: value for name, value in cut.items()})
    resumed = load_checkpoint(train(config, tmp_path / "cut", resume=True))
    assert same(resumed["model"], whole["model"])


def test_overfits_two_volumes(tmp_path):
    lines = []
    config = DenoiserConfig.from_dict(
        {
            "network": {"width": 8, "levels": 2},
            "data": {"corruption": "white", "shapes": [[8, 9, 10]], "pool": 2, "refresh": 0},
            "optimizer": {"batch": 2, "n_step": 120, "warmup": 5, "learning_rate": 3e-3, "ema": 0.9},
            "output": {"log_every": 4, "validate_every": 60, "n_validation": 4},
        }
    )
    path = train(config, tmp_path, scenes=ScenesInMemory([box(1)]), report=lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines if "loss" in line]
    assert np.mean(losses[-5:]) < 0.25 * losses[0]
    start = float(lines[0].split("input psnr_0.2 ")[1].split()[0])
    assert load_checkpoint(path)["history"][-1]["psnr_0.2"] > start + 6


def test_global_random_states_are_untouched(tmp_path):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    train(SMALL, tmp_path)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002


def test_export(tmp_path):
    path = train(SMALL, tmp_path)
    export_weights(path, tmp_path / "w.safetensors", command="python app.py train denoiser")
    denoiser = Denoiser.load(tmp_path / "w.safetensors")
    trained = load_checkpoint(path)["ema"]
    for name, value in denoiser.network.state_dict().items():  # stored in float16
        torch.testing.assert_close(value, trained[name], rtol=1e-3, atol=1e-6)
    assert denoiser.info["samples"] == 12 and denoiser.corruption == "speckle"
    card = (tmp_path / "w.md").read_text()
    for words in (
        "# w\n",
        "scenes: 20 of one's own",
        "seed 0",
        "12 in 6 steps",
        "python app.py train denoiser",
        "licence MIT",
        "| 12 |",
    ):
        assert words in card


def test_time_limit_ends_the_run(tmp_path):
    path = train(SMALL, tmp_path, time_limit=1e-9)
    assert load_checkpoint(path)["step"] == 1


def test_does_not_overwrite_and_needs_the_same_network(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        train(SMALL, tmp_path, resume=True)
    path = train(SMALL, tmp_path)
    with pytest.raises(FileExistsError, match="resume it"):
        train(SMALL, tmp_path)
    other = replace(SMALL, network=replace(SMALL.network, width=16))
    with pytest.raises(ValueError, match="not that of the configuration"):
        train(other, tmp_path, resume=True)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        train(SMALL, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"netwrk": {}}, "unknown key 'netwrk': did you mean 'network'"),
        ({"optimizer": {"bach": 2}}, "'optimizer.bach': did you mean 'optimizer.batch'"),
        ({"optimizer": {"batch": 2.5}}, "optimizer.batch is 2.5: expected a whole number"),
        ({"optimizer": {"schedule": "linear"}}, "expected one of cosine, rsqrt"),
        ({"data": {"corruption": "grey"}}, "expected one of white, speckle"),
        ({"data": {"shapes": [[5, 7]]}}, "expected a list of"),
        ({"data": {"shapes": 5}}, "expected a list of lists"),
        ({"data": 5}, "data is 5: expected a table"),
    ],
)
def test_wrong_configuration(table, message):
    with pytest.raises(ValueError, match=message):
        DenoiserConfig.from_dict(table)


def test_configurations_that_ship():
    for path in CONFIGS.glob("*.toml"):
        config = load_config(path.stem)
        assert config == load_config(path) == type(config).from_dict(config.to_dict())
    assert load_config("denoiser").network == load_config("denoiser-white").network
    assert load_config("denoiser-white").data.corruption == "white"
    assert (
        load_config("denoiser-fast").data.corruption == "speckle" and load_config("denoiser-fast").network.subpixel == 2
    )
    with pytest.raises(FileNotFoundError, match="denoiser-fast"):
        load_config("nothing")


def test_broken_configuration_names_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[network\n")
    with pytest.raises(ValueError, match=r"mine\.toml"):
        load_config(path)


def test_configuration_upon_another(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "deep2s-2d"\n[data]\nsnr_db = [10, 20]\n')
    mine, base, first = load_config(path), load_config("deep2s-2d"), load_config("deep2s")
    assert mine == replace(base, data=replace(base.data, snr_db=(10.0, 20.0)))
    assert base.network == replace(first.network, planar=True) and base.data == first.data
    path.write_text('base = "depe2s"\n')
    with pytest.raises(ValueError, match=r"mine\.toml: base is 'depe2s', expected one of .*deep2s"):
        load_config(path)
    path.write_text('network = 3\nbase = "deep2s"\n')
    with pytest.raises(ValueError, match=r"mine\.toml: network is 3: expected a table"):
        load_config(path)


def test_single_values_take_the_place_of_the_file_s():
    base = load_config("deep2s")
    mine = load_config(
        "deep2s", ["optimizer.batch=3", "data.n_freq=[15,10]", "data.snr_db=5, 20", "network.planar=true"]
    )
    assert mine.optimizer == replace(base.optimizer, batch=3)
    assert (mine.data.n_freq, mine.data.snr_db, mine.network.planar) == ((15, 10), (5.0, 20.0), True)
    assert load_config("denoiser", ["data.shapes=[[5,7,11]]"]).data.shapes == ((5, 7, 11),)
    for setting, message in [
        ("optimizer.batch=2.5", "optimizer.batch is '2.5': expected a whole number"),
        ("optimizer.bach=2", "unknown key 'optimizer.bach': did you mean 'optimizer.batch'?"),
        ("bach=2", "unknown key 'bach'"),
        ("optimizer.batch.size=2", "unknown key 'optimizer.batch.size': did you mean 'optimizer.batch'?"),
        ("optimizer=2", "optimizer is '2': expected one of its keys, optimizer.batch"),
        ("optimizer.schedule=linear", "optimizer.schedule is 'linear', expected one of cosine, rsqrt"),
        ("data.n_freq=[15,many]", "data.n_freq is '[15,many]': expected a list of whole numbers"),
        ("optimizer.batch", "setting 'optimizer.batch': expected KEY=VALUE"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            load_config("deep2s", [setting])


@pytest.mark.parametrize("shape", [(5, 7, 11), (12, 3, 9)])
def test_scene_is_cut_or_padded(shape):
    scene = np.arange(1, 6 * 7 * 8 + 1, dtype=np.float32).reshape(6, 7, 8)
    result = fit_scene(scene, shape, np.random.default_rng(0))
    assert result.shape == shape
    values = result[result > 0]
    assert len(np.unique(values)) == len(values) and np.isin(values, scene).all()


def test_loss_does_not_charge_what_is_clipped():
    pair = Pair(torch.zeros(1, 1, 1, 3), torch.tensor([[[[0.0, 0.0, 1.0]]]]), torch.tensor([0.15]))
    out = torch.tensor([[[[-2.0, 0.5, -1.0]]]], requires_grad=True)
    loss = loss_of(out, pair, "mse")
    torch.testing.assert_close(loss, torch.tensor((0.25 + 4) / 3))
    torch.testing.assert_close(loss_of(out, pair, "relative"), loss / 0.2)
    loss.backward()
    assert out.grad[0, 0, 0, 0] == 0 and out.grad[0, 0, 0, 2] < 0


def test_learning_rate_warms_up_and_falls():
    config = replace(SMALL, optimizer=replace(SMALL.optimizer, warmup=10, n_step=100))
    rates = [learning_rate(config.optimizer, step, step / 100) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4, rel=0.01) and max(rates) == rates[9]
    assert rates[-1] < 0.02e-3
