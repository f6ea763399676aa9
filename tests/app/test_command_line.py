"""The command line: every example in the help runs, results agree with the Python surface, bad input gets one line."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import h5py
import numpy as np
import pytest
import torch

from mimo import VoxelGrid, data
from mimo.commands import command_line as app
from mimo.commands import shared
from mimo.recon import METHODS, reconstruct
from mimo.recon.metrics import peak_to_mean_db, psnr, ssim

pytestmark = pytest.mark.filterwarnings("ignore:.* is used far from its training:RuntimeWarning")

GENERAL = [name for name, method in METHODS.items() if method.general]
ROOT = Path(__file__).parents[2]
SMALL = ["--n-freq", "4", "--grid", "x=-0.1:0.1:5,y=-0.1:0.1:7,z=0.4:0.6:11"]


def mimo(*arguments: object) -> tuple[int, str, str]:
    """Exit code and output of a command run in this process."""
    capture = pytest.MonkeyPatch()
    out: list[str] = []
    err: list[str] = []
    capture.setattr(click, "echo", lambda text="", err=False, **_: (err_ if err else out_).append(f"{text}\n"))
    out_, err_ = out, err
    try:
        app.main([str(a) for a in arguments])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        capture.undo()
    return code, "".join(out), "".join(err)


def good(*arguments: object) -> str:
    code, out, err = mimo(*arguments)
    assert code == 0, err
    return out


def bad(*arguments: object, parts: tuple[str, ...]) -> None:
    """Exit code 2 and one line on stderr that holds every part."""
    code, out, err = mimo(*arguments)
    assert code == 2, f"exit code {code}, {out}, {err}"
    assert err.startswith("mimo: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err, f"{part!r} not in {err!r}"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scenes") / "scenes.h5"
    good("synth", path, "--n", 3, "--seed", 5, *SMALL, "--quiet")
    return path


@pytest.fixture(scope="module")
def images(scenes) -> Path:
    path = scenes.with_name("images.h5")
    good("reconstruct", scenes, path, *[part for name in GENERAL for part in ("--method", name)], "--quiet")
    return path


@pytest.mark.parametrize("command", sorted(app.cli.commands))
def test_help_shows_an_example_of_the_command_itself(command):
    text = app.cli.commands[command].help
    example = re.search(r"Example:\n\s+mimo (\S+)", text)
    assert example is not None
    assert example[1] == command


def test_the_examples_of_the_help_work(tmp_path, measured, monkeypatch):
    """In the order in which a person would type them, in a folder of their own."""
    (tmp_path / "work").mkdir()
    (tmp_path / "shared").symlink_to(measured.parent)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("mimo.viewer.server.serve", lambda files, **options: [data.load(file) for file in files])
    order = [
        "demo",
        "synth",
        "array",
        "import",
        "prepare",
        "autofocus",
        "info",
        "reconstruct",
        "evaluate",
        "figure",
        "view",
        "export",
        "completion",
    ]
    assert set(order) | {"bench", "train"} == set(app.cli.commands)
    for command in order:
        text = app.cli.commands[command].help
        example = re.search(r"Example:\n\s+(.*)", text)[1]
        good(*shlex.split(example)[1:])
    assert (tmp_path / "work/out/figure.png").stat().st_size > 10_000


def test_reconstruct_writes_what_the_python_surface_gives(scenes, images):
    measurement = data.load(scenes)
    stored = data.load_reconstructions(images)
    assert list(stored) == sorted(GENERAL)
    for name, image in stored.items():
        again = reconstruct(name, measurement)
        assert image.image.shape == (3, 5, 7, 11)
        loose = 2e-2 if name == "tv" else 1e-4  # an inner solver that stops by a tolerance; threads' rounding
        np.testing.assert_allclose(image.image, again.image, rtol=0, atol=loose * np.abs(again.image).max())
        assert image.source_sha256 == data.file_sha256(scenes)
        assert image.seconds.shape == (3,)
    np.testing.assert_array_equal(data.load(images).values, measurement.values)
    np.testing.assert_array_equal(data.load(images).truth, measurement.truth)


def test_options_reach_the_method(scenes, tmp_path):
    good(
        "reconstruct",
        scenes,
        tmp_path / "a.h5",
        "--method",
        "kirchhoff",
        "--set",
        "compensate_aperture=true",
        "--quiet",
    )
    good("reconstruct", scenes, tmp_path / "b.h5", "--method", "tikhonov", "--set", "weight=3", "--quiet")
    measurement = data.load(scenes)
    a = data.load_reconstructions(tmp_path / "a.h5")["kirchhoff"]
    expected = reconstruct("kirchhoff", measurement, compensate_aperture=True)
    np.testing.assert_allclose(a.image, expected.image, rtol=1e-5, atol=1e-5 * np.abs(expected.image).max())
    assert not np.allclose(a.image, reconstruct("kirchhoff", measurement).image, rtol=0.1)
    b = data.load_reconstructions(tmp_path / "b.h5")["tikhonov"]
    assert b.parameters["weight"] == 3
    assert b.parameters["weight_used"] == [3.0] * 3


def test_images_are_added_to_a_file_in_place(scenes, tmp_path):
    path = tmp_path / "one.h5"
    shutil.copy(scenes, path)
    for name in ("tikhonov", "backprojection"):
        good("reconstruct", path, path, "--method", name, "--quiet")
    assert set(data.load_reconstructions(path)) == {"tikhonov", "backprojection"}
    np.testing.assert_array_equal(data.load(path).truth, data.load(scenes).truth)


def test_another_grid(images, tmp_path):
    path = tmp_path / "other.h5"
    code, _, err = mimo("reconstruct", images, path, "--method", "kirchhoff", "--grid", "x=0:0.1:3,y=0:0:1,z=0.4:0.5:4")
    assert code == 0
    assert "not carried over" in err
    made = data.load_reconstructions(path)
    assert set(made) == {"kirchhoff"}
    assert made["kirchhoff"].image.shape == (3, 3, 1, 4)
    assert data.load(path).truth is None


def test_evaluate_gives_the_metrics(images):
    rows = {row["method"]: row for row in json.loads(good("evaluate", images, "--json"))}
    truth = data.load(images).truth
    for name, image in data.load_reconstructions(images).items():
        scores = [psnr(m, t) for m, t in zip(image.magnitude, truth, strict=True)]
        assert rows[name]["psnr_db"] == pytest.approx(np.mean(scores))
        assert rows[name]["ssim"] == pytest.approx(
            np.mean([ssim(m, t) for m, t in zip(image.magnitude, truth, strict=True)])
        )
        assert rows[name]["n_scene"] == 3
    assert "tikhonov" in good("evaluate", images)


def test_json_holds_no_infinity():
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click, "echo", lines.append)
        shared.print_json({"psnr_db": [np.float32(np.inf), np.nan, 2.0], "n": np.arange(2)})
    assert json.loads(lines[0], parse_constant=pytest.fail) == {"psnr_db": [None, None, 2.0], "n": [0, 1]}


def test_info_tells_and_counts(images, scenes):
    facts = json.loads(good("info", images, "--json"))
    assert facts["measurement"] == "3 x 4 x 12 x 13"
    assert facts["images"] == sorted(GENERAL)
    assert facts["truth"] == "known"
    assert facts["snr"] == "30 dB"
    assert "3 x 4 x 12 x 13" in good("info", scenes)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_figure_writes_every_format(images, tmp_path, suffix):
    out = tmp_path / f"picture.{suffix}"
    good("figure", images, out, "--scene", 2, "--method", "kirchhoff", "--quiet")
    assert out.stat().st_size > 5_000


def test_figure_of_papers_and_of_a_history(images, tmp_path):
    some = [part for name in GENERAL[:4] for part in ("--method", name)]
    good("figure", images, tmp_path / "a.pdf", *some, "--layout", "columns", "--width-mm", 90, "--dpi", 300, "--quiet")
    good("figure", images, tmp_path / "h.svg", "--history", "--scene", 1, "--quiet")
    text = (tmp_path / "h.svg").read_text()
    assert "l1" in text
    assert "pnp" in text
    bad("figure", images, tmp_path / "h.png", "--history", "--method", "kirchhoff", parts=("images.h5", "kirchhoff"))
    bad("figure", images, tmp_path / "h.png", "--layout", "row", parts=("'row'", "rows, columns"))
    bad("figure", images, tmp_path / "h.png", "--cmap", "vridis", parts=("'vridis'", "'viridis'"))


def test_export_by_suffix(images, tmp_path):
    magnitude = data.load_reconstructions(images)["kirchhoff"].magnitude[2]
    good("export", images, tmp_path / "a.npy", "--scene", 2, "--method", "kirchhoff", "--quiet")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), magnitude)
    good(
        "export",
        images,
        tmp_path / "b.npy",
        "--scene",
        2,
        "--method",
        "kirchhoff",
        "--db",
        "--floor-db",
        -30,
        "--quiet",
    )
    decibels = 20 * np.log10(magnitude / magnitude.max())
    np.testing.assert_allclose(np.load(tmp_path / "b.npy"), np.maximum(decibels, -30), rtol=1e-4, atol=1e-4)
    good("export", images, tmp_path / "new/a.gif", "--method", "truth", "--frames", 3, "--size", 96, "--quiet")
    assert (tmp_path / "new/a.gif").read_bytes().startswith(b"GIF89a")
    bad("export", images, tmp_path / "no/a.bmp", parts=("a.bmp", ".vti", ".nii.gz", ".html"))
    bad("export", images, tmp_path / "no/a.ply", parts=("images.h5", "--method"))
    bad("export", images, tmp_path / "no/a.vti", "--method", "truht", parts=("'truht'", "'truth'"))
    bad("export", tmp_path / "none.h5", tmp_path / "a.vti", parts=("none.h5", "no such file"))
    assert not (tmp_path / "no").exists()


def test_synth_takes_the_geometry_of_a_file(tmp_path, measured):
    source, out = tmp_path / "scan.h5", tmp_path / "like.h5"
    good("import", measured / "merit", source, "--scan", "B0_P3_p000", "--permittivity", 8, "--quiet")
    good("synth", out, "--like", source, "--grid", "x=-0.05:0.05:5,y=-0.05:0.05:7,z=0.01:0.06:6", "--n", 2, "--quiet")
    scan, made = data.load(source), data.load(out)
    assert made.values.shape == (2, 76, 96)
    assert made.array == scan.array
    assert made.permittivity == 8


def test_the_real_scan_peaks_at_its_tumour(tmp_path, measured):
    """The commands of the README, as written there."""
    scan, image = tmp_path / "b0.h5", tmp_path / "b0-image.h5"
    good("import", measured / "merit", scan, "--scan", "B0_P3_p000", "--background", "B0_P3_p036", "--permittivity", 8)
    good(
        "reconstruct",
        scan,
        image,
        "--method",
        "backprojection",
        "--grid",
        "x=-0.07:0.07:57,y=-0.07:0.07:57,z=0:0.07:29",
    )
    made = data.load_reconstructions(image)["backprojection"]
    peak = 1e3 * made.grid.centers()[made.magnitude[0].argmax()]
    assert (np.abs(peak - (15.0, 2.5, 27.5)) <= 2.5 + 1e-6).all()
    assert peak_to_mean_db(made.magnitude[0], made.inside) == pytest.approx(17.0, abs=0.1)


def test_train_resumes_and_exports(tmp_path):
    """A tiny network for a few steps, then a few more from its checkpoint; its weights load."""
    from mimo.models import Denoiser

    config = tmp_path / "tiny.toml"
    text = """
    [network]
    width = 4
    levels = 2
    subpixel = 2
    [data]
    shapes = [[9, 11, 13]]
    pool = 4
    refresh = 1
    [optimizer]
    batch = 2
    n_step = {n}
    warmup = 1
    [output]
    n_validation = 2
    validate_every = 2
    """
    config.write_text(text.format(n=2))
    common = (
        "train",
        "tiny",
        "--config",
        config,
        "--out",
        tmp_path / "run",
        "--device",
        "cpu",
        "--quiet",
        "--nice",
        "0",
    )
    good(*common)
    bad(*common, "--set", "data.pool=5", parts=("checkpoint", "resume"))
    bad(*common, "--set", "data.seed=3", parts=("none of the 2 scenes", "9 x 11 x 13", "data.shapes"))
    assert "resumed at step 2" in good(*(word for word in common if word != "--quiet")), "the same command goes on"
    more = (*common, "--resume", "--export", tmp_path / "tiny.safetensors")
    bad(*more, "--set", "optimizer.n_step=4.5", parts=("optimizer.n_step is '4.5'", "a whole number"))
    bad(*more, "--set", "optimizer.n_stp=4", parts=("'optimizer.n_stp'", "'optimizer.n_step'"))
    good(*more, "--set", "optimizer.n_step=4")
    assert (tmp_path / "tiny.md").read_text().count("|") > 5
    denoised = Denoiser.load(tmp_path / "tiny.safetensors")(torch.rand(5, 7, 11), 0.1)
    assert denoised.shape == (5, 7, 11)
    bad("train", "denoser", "--out", tmp_path / "none", parts=("denoser", "denoiser"))


@pytest.mark.filterwarnings("ignore:bfloat16 is emulated:RuntimeWarning")
def test_precision_of_networks(scenes, tmp_path):
    """What is asked is what an image and its network's training are computed and recorded in."""
    out = tmp_path / "images.h5"
    image = {}
    for asked, recorded in (("bfloat16", "bfloat16"), ("float32", "float32"), ("auto", "float32")):
        common = ("reconstruct", scenes, out, "--method", "two-stage", "--overwrite", "--precision", asked, "--json")
        (row,) = json.loads(good(*common))
        assert row["parameters"]["precision"] == recorded
        image[asked] = data.load_reconstructions(out)["two-stage"].magnitude
    assert (image["auto"] == image["float32"]).all()
    largest = image["float32"].max()
    assert 0 < np.abs(image["bfloat16"] - image["float32"]).max() < 0.2 * largest
    bad("reconstruct", scenes, out, "--method", "tikhonov", "--precision", "float32", parts=("--precision", "network"))
    few = [f"--set={part}" for part in ("network.width=4", "network.levels=2", "data.pool=2", "output.n_validation=2")]
    for asked in ("bfloat16", "float32"):
        folder, weights = tmp_path / asked, tmp_path / f"{asked}.safetensors"
        good("train", "deep2s", "--data", scenes, *few, "--set", "optimizer.n_step=1", "--set", "optimizer.batch=2",
             "--out", folder, "--precision", asked, "--export", weights, "--nice", 0, "--quiet")  # fmt: skip
        assert f"trained in {asked}" in weights.with_suffix(".md").read_text()
        assert json.loads(good("info", weights, "--json"))["precision"] == asked
    trained = [
        torch.load(tmp_path / asked / "checkpoint.pt", weights_only=True)["model"] for asked in image if asked != "auto"
    ]
    assert any((trained[0][name] != trained[1][name]).any() for name in trained[0]), "another arithmetic"


# -- bad input ---------------------------------------------------------------------------------------------------


def test_names_that_are_not_known_get_the_nearest(scenes, tmp_path):
    out = tmp_path / "out.h5"
    bad("reconstruct", scenes, out, "--method", "tikonov", parts=("'tikonov'", "'tikhonov'"))
    bad("reconstruct", scenes, out, "--method", "kirchhoff", "--set", "compensate=true", parts=("compensate_aperture",))
    bad("reconstruct", scenes, out, "--method", "tikhonov", "--set", "weight=heavy", parts=("'heavy'", "gcv"))
    bad("reconstruct", scenes, out, "--method", "kirchhoff", "--set", "compensate_aperture=7", parts=("true or false",))
    bad("reconstruct", scenes, out, "--set", "weight", parts=("KEY=VALUE",))
    whole = "option max_iterations of l1 is '2.5': expected a whole number"
    bad("reconstruct", scenes, out, "--method", "l1", "--set", "max_iterations=2.5", parts=(whole,))
    bad("reconstruct", scenes, out, "--metod", "tikhonov", parts=("--metod", "--method"))
    bad("synth", out, "--preset", "papper", parts=("'papper'", "'paper'"))
    bad("reconstruct", scenes, out, "--device", "gpu", parts=("'gpu'", "cuda"))
    bad("reconstruct", scenes, out, "--grid", "x=0:1", parts=("x=0:1", "START:STOP:COUNT"))
    bad("figure", scenes, tmp_path / "a.png", "--scene", 3, parts=("scenes.h5", "scenes 0 to 2"))
    bad("synth", out, "--snr-db", "loud", parts=("'loud'", "LOW:HIGH"))
    assert not out.exists()


def test_bad_files(tmp_path, scenes):
    out = tmp_path / "out.h5"
    bad("info", tmp_path / "none.h5", parts=("none.h5", "no such file"))
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    bad("info", text, parts=("text.h5", "HDF5"))
    cut = tmp_path / "cut.h5"
    cut.write_bytes(scenes.read_bytes()[:3000])
    bad("reconstruct", cut, out, parts=("cut.h5",))
    newer = tmp_path / "newer.h5"
    shutil.copy(scenes, newer)
    with h5py.File(newer, "r+") as file:
        file.attrs["schema_version"] = 3
    bad("info", newer, parts=("newer.h5", "3"))
    broken = tmp_path / "broken.h5"
    shutil.copy(scenes, broken)
    with h5py.File(broken, "r+") as file:
        file["measurement/values"][1, 2, 3, 4] = np.nan
    bad("reconstruct", broken, out, parts=("measurement/values", "(1, 2, 3, 4)"))
    assert not out.exists()


def test_a_voxel_on_an_antenna(scenes, tmp_path):
    where = "x=-0.15:0.15:3,y=-0.15:0.15:3,z=0:0.1:3"
    every = ("--grid", where, "--region", "all")
    bad("reconstruct", scenes, tmp_path / "o.h5", *every, parts=("voxel (0, 0, 0)", "tx antenna 0"))
    assert not (tmp_path / "o.h5").exists()


def test_no_grid_and_no_truth(tmp_path, measured):
    scan = tmp_path / "scan.h5"
    good("import", measured / "merit", scan, "--scan", "B0_P3_p000", "--quiet")
    bad("evaluate", scan, parts=("scan.h5", "truth"))
    bad("figure", scan, tmp_path / "o.png", parts=("scan.h5", "no image"))
    bad("import", measured / "merit", tmp_path / "o.h5", parts=("B0_P3_p000",))
    bad("import", tmp_path, tmp_path / "o.h5", parts=("merit", "touchstone"))
    assert not (tmp_path / "o.h5").exists()


def test_an_output_that_cannot_be_written(scenes, tmp_path):
    (tmp_path / "file").write_text("")
    bad("reconstruct", scenes, tmp_path / "file" / "o.h5", "--method", "backprojection", "--quiet", parts=("file",))
    bad("synth", tmp_path / "file" / "o.h5", "--quiet", *SMALL, parts=("file",))
    bad("figure", scenes, tmp_path / "file" / "o.png", parts=("file",))
    bad("figure", scenes, tmp_path / "o.bmp", parts=(".png",))


def test_a_full_disk(scenes, tmp_path):
    """On a file system of 16 kB, in a mount namespace of its own; nothing half-written stays."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces are not permitted here")
    (tmp_path / "small").mkdir()
    command = f"mount -t tmpfs -o size=16k tmpfs {tmp_path}/small && {sys.executable} {ROOT}/app.py reconstruct {scenes} {tmp_path}/small/o.h5 --method backprojection --quiet; code=$?; ls -A {tmp_path}/small; exit $code"
    done = subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, text=True)
    if "permission denied" in done.stderr:
        pytest.skip("mounting is not permitted here")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("mimo: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_no_command_and_unknown_command():
    bad("reconstrut", parts=("reconstrut", "reconstruct"))
    code, _, _ = mimo()
    assert code == 2
    done = subprocess.run([sys.executable, ROOT / "app.py", "info", "none.h5"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_grid_of_the_readme_parses():
    assert VoxelGrid.parse(shared.PAPER_GRID).shape == (25, 25, 49)


def test_a_configuration_that_is_not_there_is_no_matter_of_places():
    code, _, err = mimo("train", "deep2")
    assert code == 2 and "no configuration 'deep2'" in err and "deep2s" in err
    assert "place" not in err and err.count("\n") == 1
