"""Sizes are checked before memory is taken: one line with the size, the limit and what lifts it."""

import json
import resource
import time

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from viewer_samples import make_file

from mimo import VoxelGrid
from mimo.commands.command_line import main
from mimo.data import FileError, load
from mimo.data.files import limits
from mimo.data.importers.containers import load_npy, named_arrays
from mimo.data.importers.tables import read_table
from mimo.memory import check_memory, check_voxels
from mimo.models import Denoiser
from mimo.models.reconstructor import Reconstructor
from mimo.models.weight_files import WEIGHTS, load_weights
from mimo.recon import METHODS
from mimo.train import load_config

THOUSAND = "x=-0.1:0.1:1000,y=-0.1:0.1:1000,z=0.4:0.6:1000"


@pytest.fixture(autouse=True)
def little(monkeypatch):
    """What is refused here is refused on any machine, and takes neither much memory nor much time."""
    for place in ("mimo.memory", "mimo.data.files.limits"):
        monkeypatch.setattr(f"{place}.machine_memory", lambda: 8 * 2**30)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB
    assert time.process_time() - started < 30


def refused(capsys, *words):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    assert said.count("\n") == 1
    return said


@pytest.fixture
def bomb(tmp_path):
    """A measurement whose 1.5 GB of zeros take some megabytes in the file."""
    path = make_file(tmp_path / "bomb.h5", images={}, truth=False)
    shape = (8 * 2**20, 4, 2, 3)
    with h5py.File(path, "r+") as file:
        old = file["measurement/values"]
        facts = dict(old.attrs)
        del file["measurement/values"]
        made = file.create_dataset("measurement/values", shape, "c8", chunks=(2**18, 4, 2, 3), compression=9)
        made.attrs.update(facts)
        raw = None
        for start in range(0, shape[0], 2**18):  # one chunk is packed, the others are its copies
            if raw is None:
                made[: 2**18] = 0
                raw = made.id.read_direct_chunk((0, 0, 0, 0))[1]
            else:
                made.id.write_direct_chunk((start, 0, 0, 0), raw)
        if "measurement/snr_db" in file:
            del file["measurement/snr_db"]
    assert path.stat().st_size < 4e6
    return path


def test_a_file_that_expands_is_refused_by_prepare_and_others(bomb, tmp_path, capsys):
    for words in (["prepare", bomb], ["autofocus", bomb, tmp_path / "o.h5"]):
        said = refused(capsys, *words)
        assert f"{bomb}: measurement/values takes 1.5 GiB" in said
        assert "at most 256 MiB; MIMO_READ_MEMORY=1536M lifts the limit" in said
    assert len(load(bomb, scenes=[5]).values) == 1  # one of its scenes is no trouble


def test_the_option_that_is_named_lifts_the_limit(bomb, monkeypatch):
    monkeypatch.setattr(limits, "FREE", 2**20)
    monkeypatch.setattr(limits, "EXPANSION", 10)
    with pytest.raises(FileError, match="MIMO_READ_MEMORY"):
        load(bomb, scenes=slice(0, 200_000))
    monkeypatch.setenv("MIMO_READ_MEMORY", "40M")
    assert load(bomb, scenes=slice(0, 200_000)).values.nbytes == 200_000 * 24 * 8


def test_an_npz_and_an_npy_that_expand_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(limits, "FREE", 2**20)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, values=np.zeros(2**22), freq=[1e9], tx_pos=np.eye(3), rx_pos=np.eye(3))
    assert path.stat().st_size < 2**20
    said = refused(capsys, "import", path, tmp_path / "o.h5")
    assert "values takes 32 MiB" in said and "MIMO_READ_MEMORY=32M lifts" in said
    with named_arrays(path) as (get, _):
        assert get("freq") == [1e9]
    with (tmp_path / "b.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<c16", "fortran_order": False, "shape": (2**40,)})
    with pytest.raises(FileError, match=r"its array takes 1.64e\+04 GiB.*MIMO_READ_MEMORY"):
        load_npy(tmp_path / "b.npy")


def test_a_text_without_end_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.truncate(2**33)  # a hole, which takes no room on the disk
    with pytest.raises(FileError, match="has 8 GiB of text: expected at most 256 MiB; MIMO_READ_MEMORY=131072M lifts"):
        read_table(path, float, 3, "x, y, z")
    (tmp_path / "b.csv").write_text("1,2,3\n" * 100)
    assert len(read_table(tmp_path / "b.csv", float, 3, "x, y, z")) == 100
    monkeypatch.setenv("MIMO_READ_MEMORY", "1K")
    with pytest.raises(FileError, match="at most 64 bytes"):
        read_table(tmp_path / "b.csv", float, 3, "x, y, z")


@pytest.mark.parametrize("name", METHODS)
def test_a_thousand_million_voxels_are_refused_by_every_method(name, tmp_path, capsys):
    path = make_file(tmp_path / "a.h5", images={})
    for options in ([], ["--workers", "1"]):
        said = refused(capsys, "reconstruct", path, tmp_path / "o.h5", "--method", name, "--grid", THOUSAND, *options)
        assert "on 1000 x 1000 x 1000 voxels take at least" in said
        assert "expected at most 6 GiB; a smaller --grid, or MIMO_MEMORY=" in said
    assert not (tmp_path / "o.h5").exists()


def test_large_grids_and_sweeps_are_refused_wherever_they_are_given(tmp_path, capsys):
    path = make_file(tmp_path / "a.h5", images={})
    axis = "x=0:1:1000000000000,y=0:1:2,z=1:2:2"
    for words in (
        ["synth", tmp_path / "s.h5", "--grid", THOUSAND],
        ["synth", tmp_path / "s.h5", "--grid", axis],
        ["synth", tmp_path / "s.h5", "--n-freq", "1000000000000"],
        ["prepare", path, "--check-phase", "--grid", THOUSAND],
        ["autofocus", path, tmp_path / "o.h5", "--grid", THOUSAND],
        [
            "array",
            "mills-cross",
            "--n-tx",
            2,
            "--n-rx",
            2,
            "--width",
            1,
            "-o",
            tmp_path / "g.h5",
            "--freq",
            "1:2:1000000000000",
        ],
    ):
        assert "MIMO_MEMORY" in refused(capsys, *words), words


def test_as_many_scenes_as_no_disk_holds_are_refused(tmp_path, capsys):
    said = refused(capsys, "synth", tmp_path / "s.h5", "--n", "1000000000")
    assert "1000000000 in shards of 100 scenes, 10000000 files: expected at most 100000 files" in said
    assert "--shard-size 10000 lifts the limit" in said
    said = refused(capsys, "synth", tmp_path / "s.h5", "--n", "1000000000", "--shard-size", "10000")
    assert "the scenes take" in said and "are free in its folder" in said
    assert list(tmp_path.iterdir()) == []


def test_the_limit_of_memory_can_be_moved(monkeypatch):
    grid = VoxelGrid.from_extent(x=(0, 1, 100), y=(0, 1, 100), z=(0, 1, 100))
    check_voxels(grid.shape)
    monkeypatch.setenv("MIMO_MEMORY", "10M")
    with pytest.raises(ValueError, match=r"images of 2 scenes on 100 x 100 x 100 voxels take at least 45\.8 MiB"):
        check_voxels(grid.shape, n_scene=2)
    monkeypatch.setenv("MIMO_MEMORY", "46M")
    check_voxels(grid.shape, n_scene=2)
    with pytest.raises(ValueError, match="things take at least"):
        check_memory("things", 1e30)
    assert limits.read_limit(10) == limits.FREE


@pytest.fixture
def described(tmp_path):
    """Write weights that ship with another description."""

    def write(name, table, **changes):
        state, info = load_weights(WEIGHTS / f"{name}.safetensors")
        info[table] = {**info[table], **changes}
        path = tmp_path / "w.safetensors"
        metadata = {"format": "mimo-imaging-weights", "version": "1", "config": json.dumps(info)}
        save_file({key: value.contiguous() for key, value in state.items()}, path, metadata=metadata)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "table", "changes", "said"),
    [
        ("denoiser-fast", "network", {"levels": 1_000_000}, "network.levels is 1000000: expected 1 to 12"),
        ("denoiser-fast", "network", {"width": 10**12}, "network.width is 1000000000000: expected 1 to 4096"),
        ("denoiser-fast", "network", {"width": 4096, "levels": 12}, "network.levels 12 of network.width 4096 take"),
        ("denoiser-fast", "network", {"width": 1024}, "the network that it describes takes .*MIMO_READ_MEMORY"),
        ("deep2s", "method", {"kind": "unrolled", "steps": 10**9}, "method.steps is 1000000000: expected 1 to 1000"),
        ("deep2s", "method", {"kind": "resnet", "blocks": 10**9}, "method.blocks is 1000000000"),
        ("deep2s", "network", {"width": 512, "levels": 4}, "the network that it describes takes .*MIMO_READ_MEMORY"),
    ],
)
def test_weights_that_describe_a_giant_are_refused(described, name, table, changes, said):
    path = described(name, table, **changes)
    read = Denoiser.load if name.startswith("denoiser") else Reconstructor.load
    with pytest.raises(ValueError, match=rf"w\.safetensors: .*{said}"):
        read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[method]\n[network]\nwidth = 1000000000000", "network.width is 1000000000000: expected 1 to 4096"),
        ("[method]\n[data]\npool = 1000000000000", "data.pool is 1000000000000: expected 1 to 1048576"),
        ("[data]\nshapes = [[100000, 100000, 100]]", "data.pool of 512 scenes of 1000000000000 voxels take"),
        ("[optimizer]\nbatch = 1000000000000", "optimizer.batch is 1000000000000"),
        ("[method]\nkind = 'unrolled'\nsteps = 1000000000000", "method.steps"),
        ("[method]\n[data]\nn_freq = [1000000000000]", "data.n_freq"),
        ("[output]\nn_validation = 1000000000000", "output.n_validation"),
    ],
)
def test_configurations_of_giants_are_refused(tmp_path, text, said):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ValueError, match=rf"c\.toml: {said}"):
        load_config(tmp_path / "c.toml")


def test_a_checkpoint_that_expands_is_refused(tmp_path):
    import zipfile

    from mimo.train.checkpoint import load_checkpoint

    torch.save({"model": torch.zeros(2**22)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "c.pt", "w", 8) as packed:
        for part in plain.infolist():
            packed.writestr(part.filename, plain.read(part))
    with pytest.raises(ValueError, match=r"c\.pt: not a readable checkpoint, its .* expand to 16 MiB"):
        load_checkpoint(tmp_path / "c.pt")
