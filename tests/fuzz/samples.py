"""Write one sound file of every format that the program reads, and say with which commands it is read."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fixtures import native_layouts as native
from safetensors.torch import save_file
from viewer_samples import make_file

from mimo.data import Geometry, save, save_geometry
from mimo.models.network_config import NetworkConfig
from mimo.train.config import DenoiserConfig

__all__ = ["Sample", "write_samples"]


@dataclass(frozen=True)
class Sample:
    """A folder with sound files, the one among them that is damaged, and commands to read it with.

    The commands are words in which {file}, {folder} and {out} stand for the damaged file, its folder and an output.
    """

    name: str
    folder: Path
    file: str
    commands: tuple[tuple[str, ...], ...]


IMPORT = (("import", "{file}", "{out}"),)
FOLDER = (("import", "{folder}", "{out}"),)


def write_samples(root: Path) -> list[Sample]:
    """Write the files below a folder."""
    found: list[Sample] = []

    def add(name: str, file: str, *commands: tuple[str, ...]) -> Path:
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        found.append(Sample(name, folder, file, commands))
        return folder

    folder = add(
        "images",
        "a.h5",
        ("info", "{file}", "--json"),
        ("evaluate", "{file}"),
        ("prepare", "{file}", "{out}", "--every", "2"),
        ("reconstruct", "{file}", "{out}", "--method", "kirchhoff", "--check", "none", "--skip-bad", "--quiet"),
        ("export", "{file}", "{out}.npy", "--method", "alpha"),
    )
    make_file(folder / "a.h5")
    folder = add("geometry", "g.h5", ("info", "{file}"), ("synth", "{out}", "--array", "{file}", "--n-freq", "2"))
    scan = native.full_scan()
    save_geometry(folder / "g.h5", Geometry(scan.array, scan.sweep))
    names = ("--set", "values=S", "--set", "freq=f", "--set", "tx_pos=T", "--set", "rx_pos=R")
    arrays = {"S": scan.values[0], "f": native.FREQ, "T": native.TX, "R": native.RX}
    for suffix in ("npz", "h5", "mat"):
        folder = add(f"array-{suffix}", f"a.{suffix}", ("import", "{file}", "{out}", *names), *IMPORT)
        native.write_named(folder / f"a.{suffix}", **arrays)
    for kind, file, commands in (
        ("dataport v5", "Exp_GunData4ImagingFD.mat", IMPORT),
        ("dataport v7.3", "other name.mat", IMPORT),
        ("gotcha", "a.mat", FOLDER),
        ("touchstone", "t0_r0.s2p", FOLDER),
        ("touchstone", "antennas.csv", FOLDER),
        ("touchstone ports", "array.s5p", IMPORT),
        ("qar50", "000000.npy", IMPORT),
        ("qar50", "Rx.dat", FOLDER),
        ("ti lanes 2", "radar.toml", FOLDER),
        ("ti lanes 2", "adc_data.bin", FOLDER),
    ):
        folder = add(f"{kind} {file}".replace(" ", "-"), file, *commands)
        native.write(kind, folder)
    folder = add("merit", "channel_names.csv", *FOLDER)
    _write_merit(folder)
    for file in ("antenna_locations.csv", "frequencies.csv", "scan.csv"):
        shutil.copytree(folder, add(f"merit-{file}", file, *FOLDER), dirs_exist_ok=True)
    folder = add("table", "t.csv", ("array", "from-table", "{file}", "--unit", "m", "-o", "{out}"))
    (folder / "t.csv").write_text("kind,x,y,z\ntx,0,0,0\ntx,0.1,0,0\nrx,0,0.2,0\nrx,0.3,0,0\nboth,0.5,0.5,0\n")
    folder = add("mapping", "m.toml", ("import", "{folder}/a.npz", "{out}", "--mapping", "{file}"))
    native.write_named(folder / "a.npz", **arrays)
    (folder / "m.toml").write_text(
        "values = 'S'\nfreq = 'f'\ntx_pos = 'T'\nrx_pos = 'R'\naxes = ['freq', 'tx', 'rx']\n"
    )
    folder = add("poses", "p.csv", ("import", "{folder}/a.npz", "{out}", "--set", "motion.kind=poses",
                                   "--set", "motion.file={file}", "--set", "axes=frame,freq"))  # fmt: skip
    np.savez(folder / "a.npz", values=np.ones((3, 4), complex), freq=native.FREQ)
    (folder / "p.csv").write_text("x,y,z,qw,qx,qy,qz\n0,0,0,1,0,0,0\n0.1,0,0,1,0,0,0\n0.2,0,0,1,0,0,0\n")
    _add_medium(add, scan)
    _add_weights(add)
    _add_shapes(add)
    return found


def _write_merit(folder: Path) -> None:
    rng = np.random.default_rng(0)
    places, freq = rng.normal(size=(4, 3)), np.linspace(1e9, 2e9, 5)
    np.savetxt(folder / "antenna_locations.csv", places, delimiter=",")
    np.savetxt(folder / "channel_names.csv", [(1, 2), (1, 3), (2, 4)], fmt="%d", delimiter=",")
    np.savetxt(folder / "frequencies.csv", freq)
    rows = (rng.normal(size=(5, 3)) + 1j * rng.normal(size=(5, 3))).tolist()
    text = "\n".join(",".join(f"{v.real:.6g}{v.imag:+.6g}i" for v in row) for row in rows)
    (folder / "scan.csv").write_text(text + "\n")


def _add_medium(add, scan) -> None:
    shown = ("info", "{folder}/a.h5", "--json")
    for name, file, option in (("pattern", "p.npz", "--pattern"), ("layers", "l.toml", "--layers")):
        images = ("reconstruct", "{folder}/a.h5", "{out}", "--method", "kirchhoff", "--check", "none", "--quiet")
        folder = add(name, file, (*images, option, "{file}"), (*shown, option, "{file}"))
        make_file(folder / "a.h5", images={})
    angle = np.linspace(0, np.pi, 9)
    np.savez(folder.parent / "pattern" / "p.npz", angle=angle, values=np.cos(angle / 2))
    (folder / "l.toml").write_text("interfaces = [0.2, 0.3]\npermittivity = [1.0, 4.0, 1.0]\n")
    folder = add("region", "r.npy", ("reconstruct", "{folder}/a.h5", "{out}", "--method", "kirchhoff", "--check", "none",
                                     "--quiet", "--region", "{file}"))  # fmt: skip
    make_file(folder / "a.h5", images={})
    np.save(folder / "r.npy", np.ones((5, 7, 11), bool))
    save(folder / "scan.h5", scan)


def _add_weights(add) -> None:
    reading = ("reconstruct", "{folder}/a.h5", "{out}", "--check", "none", "--quiet")
    network = NetworkConfig(width=8, levels=2)
    folder = add("weights", "w.safetensors", ("info", "{file}"), (*reading, "--method", "{file}"))
    make_file(folder / "a.h5", images={})
    state = {name: value.contiguous() for name, value in network.build().state_dict().items()}
    setting = {
        "tx_pos": [[0, 0, 0]],
        "rx_pos": [[0.1, 0, 0]],
        "freq": [1e9, 2e9],
        "x": [0, 1],
        "y": [0, 1],
        "z": [1, 2],
    }
    config = {
        "kind": "reconstructor",
        "method": {"kind": "unet", "stage": "complex-adjoint"},
        "network": {"width": 8, "levels": 2},
        "setting": setting,
        "data": {},
    }
    metadata = {"format": "mimo-imaging-weights", "version": "1", "config": json.dumps(config)}
    save_file(state, folder / "w.safetensors", metadata=metadata)
    denoiser = {"kind": "denoiser", "network": {"width": 8, "levels": 2}, "data": {"corruption": "speckle"}}
    folder = add("denoiser", "d.safetensors", ("info", "{file}"),
                 (*reading, "--method", "pnp", "--set", "denoiser={file}", "--set", "max_iterations=1"))  # fmt: skip
    make_file(folder / "a.h5", images={})
    save_file(state, folder / "d.safetensors", metadata={**metadata, "config": json.dumps(denoiser)})
    folder = add("checkpoint", "checkpoint.pt", ("train", "--status", "--out", "{folder}"),
                 ("train", "--out", "{folder}", "--export", "{out}.safetensors", "denoiser"))  # fmt: skip
    run = DenoiserConfig(network=network).to_dict() | {"precision": "float32"}
    step = {"step": 3, "seconds": 1.0, "history": [{"loss": 1.0}], "best": {}, "command": "mimo train denoiser"}
    torch.save({"config": run, "model": state, "ema": state, "optimizer": {}, **step}, folder / "checkpoint.pt")
    # --start names nothing, so that a configuration that is accepted trains nothing either
    folder = add("config", "c.toml", ("train", "x", "--config", "{file}", "--out", "{out}-run", "--start", "nothing"))
    (folder / "c.toml").write_text(
        'base = "denoiser"\n[network]\nwidth = 8\nlevels = 2\nnorm = "none"\n[data]\ncorruption = "speckle"\npool = 4\n'
        'shapes = [[8, 8, 8]]\n[optimizer]\nbatch = 2\nn_step = 1\nschedule = "cosine"\n[output]\nn_validation = 2\n'
    )


def _add_shapes(add) -> None:
    mesh = "v 0 0 0.6\nv 0.1 0 0.6\nv 0 0.1 0.7\nv 0.1 0.1 0.8\nf 1 2 3\nf 2 4 3\n"
    compare = ("evaluate", "{folder}/a.h5", "--method", "beta", "--samples", "50")
    folder = add("mesh-obj", "m.obj", (*compare, "--mesh", "{file}"))
    make_file(folder / "a.h5")
    (folder / "m.obj").write_text(mesh)
    folder = add("mesh-ply", "m.ply", (*compare, "--mesh", "{file}"))
    make_file(folder / "a.h5")
    (folder / "m.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0.6\n0.1 0 0.6\n0 0.1 0.7\n3 0 1 2\n"
    )
    folder = add("mesh-stl", "m.stl", (*compare, "--mesh", "{file}"))
    make_file(folder / "a.h5")
    corners = np.array([[0, 0, 1], [0, 0, 0.6], [0.1, 0, 0.6], [0, 0.1, 0.7]], "<f4")
    (folder / "m.stl").write_bytes(b"\0" * 80 + (1).to_bytes(4, "little") + corners.tobytes() + b"\0\0")
    folder = add("transform", "t.json", (*compare, "--mesh", "{folder}/m.obj", "--transform", "{file}"))
    make_file(folder / "a.h5")
    (folder / "m.obj").write_text(mesh)
    (folder / "t.json").write_text('{"rotation": [[1,0,0],[0,1,0],[0,0,1]], "translation": [0, 0, 0.01], "scale": 1}')
