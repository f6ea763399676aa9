"""The compiled kernels as a product: loaded guarded, compared with the sources, built, packed and named."""

import functools
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from helper import relative_gap

from mimo import ArrayGeometry, BornOperator, FrequencySweep, VoxelGrid, born_operator, compiled_channels, kernels
from mimo.commands import command_line
from mimo.fast import range_profiles

ROOT = Path(__file__).parents[2]
COMPILER = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
needs_a_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
needs_the_library = pytest.mark.skipif(not kernels.available(), reason="the compiled kernels are not built here")

TX, RX = [[-0.1, 0.0, 0.0], [0.1, 0.02, 0.0]], [[0.0, -0.1, 0.0], [0.0, 0.1, 0.0], [0.05, 0.05, 0.0]]
SWEEP = FrequencySweep.linear(4e9, 6e9, 4)
GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 7), z=(0.4, 0.6, 11))


def compiled(folder: Path, source: str) -> Path:
    """A library of the given C."""
    (folder / "source.c").write_text(source)
    out = folder / "library.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O0", "-w", "-o", out, folder / "source.c"], check=True)
    return out


def stub(**changed: int) -> str:
    """The C of a library that says the layout of this version, but for some facts, and can do nothing else."""
    facts = ",".join(f'{{"{name}", {value}}}' for name, value in (kernels.expected_layout() | changed).items())
    return f"""
        typedef struct {{ const char *name; long value; }} Fact;
        static const Fact facts[] = {{ {facts}, {{0, 0}} }};
        const Fact *layout(void) {{ return facts; }}
        const char *instruction_set(void) {{ return "base"; }}
    """


def refused(monkeypatch, path: Path, reason: str) -> None:
    """The file is refused with one warning, and the operator goes on as torch computes it."""
    monkeypatch.setenv(kernels.ENVIRONMENT, "off")
    A = BornOperator(ArrayGeometry(TX, RX), SWEEP, GRID)
    x = torch.randn(*A.volume_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(0))
    expected = A.forward(x)
    monkeypatch.setenv(kernels.ENVIRONMENT, str(path))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        A = BornOperator(ArrayGeometry(TX, RX), SWEEP, GRID)
        assert torch.equal(A.forward(x), expected)
        assert not kernels.available()
        assert kernels.describe() == "none, torch instead"
    (one,) = caught
    assert one.category is RuntimeWarning
    text = str(one.message)
    assert re.search(reason, text), text
    assert str(path) in text
    assert "install mimo again with a C compiler" in text
    assert "MIMO_KERNELS=off" in text


def test_a_file_that_is_no_library_is_a_warning(monkeypatch, tmp_path):
    path = tmp_path / "garbage.so"
    path.write_bytes(bytes(range(256)) * 40)
    refused(monkeypatch, path, "header|format|image|slice")


def test_a_named_file_that_is_missing_is_a_warning(monkeypatch, tmp_path):
    refused(monkeypatch, tmp_path / "none.so", "No such file")


@needs_the_library
@pytest.mark.skipif(sys.platform != "linux", reason="the header of ELF")
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_a_warning(monkeypatch, tmp_path, kept):
    whole = kernels.library_path().read_bytes()
    path = tmp_path / "short.so"
    path.write_bytes(whole[: int(kept * len(whole))])
    refused(monkeypatch, path, "cut short")


@needs_the_library
@pytest.mark.skipif(sys.platform != "linux", reason="the header of ELF")
def test_a_library_of_another_machine_is_a_warning(monkeypatch, tmp_path):
    other = bytearray(kernels.library_path().read_bytes())
    other[18:20] = (8).to_bytes(2, "little")  # MIPS
    path = tmp_path / "other.so"
    path.write_bytes(other)
    refused(monkeypatch, path, "other.so cannot be used")


@needs_a_compiler
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"ChannelTask": 8}, r"ChannelTask is 8 in it and \d+ in kernels.py"),
        ({"Task.target": 4}, r"Task.target is 4 in it"),
        ({"PAIRS": 128}, "PAIRS is 128 in it and 256 in kernels.py"),
        ({"NEW": 1}, "NEW is 1 in it and missing in kernels.py"),
        ({}, "run_tasks"),
    ],
    ids=["struct", "place", "constant", "more", "functions"],
)
def test_a_library_of_other_sources_is_a_warning(monkeypatch, tmp_path, changed, reason):
    refused(monkeypatch, compiled(tmp_path, stub(**changed)), reason)


@needs_a_compiler
def test_a_library_from_before_there_was_a_layout_is_a_warning(monkeypatch, tmp_path):
    refused(monkeypatch, compiled(tmp_path, 'const char *instruction_set(void) { return "base"; }'), "layout")


@needs_a_compiler
@pytest.mark.slow
def test_a_stale_library_of_the_real_sources_is_a_warning(monkeypatch, tmp_path):
    for header in (ROOT / "mimo").glob("*.h"):
        shutil.copy(header, tmp_path)
    source = (ROOT / "mimo" / "kernels.c").read_text().replace("    Index first;   /*", "    Index more, first; /*")
    refused(monkeypatch, compiled(tmp_path, source), r"Problem.first is 64 in it and 56 in kernels.py")


@needs_the_library
def test_the_layout_is_that_of_the_sources():
    """Every field and every constant that is defined for both sides is compared."""
    expected = kernels.expected_layout()
    source = (ROOT / "mimo" / "kernels.c").read_text()
    assert {name for name in expected if "." not in name and name not in kernels.CONSTANTS} == {
        name for name in re.findall(r"^} (\w+);", source, re.MULTILINE) if name != "Fact"
    }
    for name, value in kernels.CONSTANTS.items():
        assert re.search(rf"#define {name} +{value}\b", source), name
    assert kernels.CONSTANTS["PAIRS"] == compiled_channels.CHANNEL_BLOCK
    assert kernels.CONSTANTS["ROWS"] == compiled_channels.MAX_ROWS
    assert kernels.CONSTANTS["TAPS"] == range_profiles.TAPS
    assert kernels.CONSTANTS["PARTS"] == range_profiles.FRACTIONS
    assert kernels.BLOCK % kernels.MAX_LANES == 0
    assert kernels.lanes(torch.float32) <= kernels.MAX_LANES


@pytest.fixture
def not_built(monkeypatch, tmp_path):
    """A process in which the library was not built, and nothing has been summed."""
    monkeypatch.delenv(kernels.ENVIRONMENT, raising=False)
    monkeypatch.setattr(kernels, "library_path", lambda: tmp_path / "_kernels.so")
    monkeypatch.setattr(kernels, "_spent", [0.0])
    monkeypatch.setattr(kernels, "_warn_of_torch", functools.cache(kernels._warn_of_torch.__wrapped__))


def operators() -> list[BornOperator]:
    listed = ArrayGeometry(TX, TX, channels=[[0, 0], [1, 1]])
    scan = ArrayGeometry(*2 * [[[0.01 * i, 0, 0] for i in range(40)]], channels=[[i, i] for i in range(40)])
    return [born_operator(array, SWEEP, GRID) for array in (ArrayGeometry(TX, RX), listed, scan)]


def test_a_library_that_was_not_built_is_silence_while_it_costs_little(not_built):
    assert kernels.describe() == "none, torch instead"
    for A in operators():
        A.adjoint(A.forward(torch.ones(A.volume_shape, dtype=A.dtype)))


@pytest.mark.parametrize("which", range(3), ids=["every pair", "picked", "listed"])
@pytest.mark.parametrize("direction", ["forward", "adjoint"])
def test_a_library_that_was_not_built_is_one_warning_once_it_costs_seconds(not_built, monkeypatch, which, direction):
    A = operators()[which]
    monkeypatch.setattr(kernels, "SLOW_SECONDS", 1e-9)
    given = torch.ones(A.volume_shape if direction == "forward" else A.measurement_shape, dtype=A.dtype)
    with pytest.warns(RuntimeWarning, match="not built .*_kernels.so is missing.* install mimo again") as caught:
        getattr(A, direction)(given)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(A, direction)(given)


def test_costs_of_calls_add_up_to_a_few_seconds(not_built):
    cpu, terms = torch.device("cpu"), kernels.TORCH_RATE["listed"] * torch.get_num_threads()
    for _ in range(4):
        kernels.warn_if_slow(int(terms), cpu, "listed")
    kernels.warn_if_slow(int(100 * terms), torch.device("meta"), "listed")
    with pytest.warns(RuntimeWarning, match="MIMO_KERNELS=off"):
        kernels.warn_if_slow(int(1.5 * terms), cpu, "listed")


def test_off_is_silence(monkeypatch):
    monkeypatch.setenv(kernels.ENVIRONMENT, "off")
    monkeypatch.setattr(kernels, "SLOW_SECONDS", 0.0)
    for A in operators():
        A.forward(torch.ones(A.volume_shape, dtype=A.dtype))
    assert kernels.instruction_set() == ""


@needs_the_library
def test_both_paths_agree_and_the_environment_chooses(monkeypatch):
    known = str(kernels.library_path())
    for with_library in operators():
        x = torch.ones(with_library.volume_shape, dtype=with_library.dtype)
        with monkeypatch.context() as patch:
            patch.setenv(kernels.ENVIRONMENT, "off")
            y = born_operator(with_library.array, SWEEP, GRID).forward(x)
        with monkeypatch.context() as patch:
            patch.setenv(kernels.ENVIRONMENT, known)
            assert kernels.available()
            assert relative_gap(with_library.forward(x), y) < 1e-5


@pytest.mark.parametrize("path", ["", "off"])
def test_the_version_says_which_path_runs(monkeypatch, capsys, path):
    monkeypatch.setenv(kernels.ENVIRONMENT, path)
    with pytest.raises(SystemExit) as end:
        command_line.main(["--version"])
    assert not end.value.code
    shown = capsys.readouterr().out.strip()
    expected = rf"mimo, version \d+\.\d+\.\d+\S* \(kernels: {kernels.describe()}; networks: (float32|bfloat16); "
    assert re.fullmatch(expected + rf"torch {re.escape(torch.__version__)}; CUDA: .+\)", shown), shown
    assert ("none, torch instead" in shown) == (path == "off" or not kernels.available())


def test_info_says_which_path_runs(monkeypatch, capsys, tmp_path):
    from mimo.data import Measurement, save

    array = ArrayGeometry(TX, RX)
    save(tmp_path / "a.h5", Measurement(torch.ones(1, 4, 2, 3, dtype=torch.complex64).numpy(), array, SWEEP))
    with pytest.raises(SystemExit):
        command_line.main(["info", str(tmp_path / "a.h5")])
    assert re.search(rf"^kernels +{kernels.describe()}$", capsys.readouterr().out, re.MULTILINE)


# -- how they are built ----------------------------------------------------------------------------------------------


@functools.cache
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def headers() -> set[str]:
    return {f"mimo/{path.name}" for path in (ROOT / "mimo").glob("*.h")}


def test_every_header_is_declared():
    (extension,) = project()["ext-modules"]
    assert set(extension["depends"]) == headers()
    assert extension["optional"] is True
    assert not any("Python.h" in path.read_text() for path in (ROOT / "mimo").glob("*.[ch]"))
    assert "setup.py constraints.txt mimo/kernels.c $(wildcard mimo/*.h)" in (ROOT / "Makefile").read_text()


def built(kind: str, source: Path, out: Path, **environment: str) -> Path:
    """What the build back end makes of a folder."""
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(out)!r}))"
    env = os.environ | environment
    done = subprocess.run([sys.executable, "-c", code], cwd=source, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The source distribution of a copy, so that nothing is written into the checkout."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("sdist")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for folder in set(project()["package-dir"].values()):
        ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.safetensors")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored, dirs_exist_ok=True)
    return built("sdist", copy, out)


def test_the_source_distribution_holds_all_that_the_kernels_are_built_from(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert headers() | {"setup.py", "mimo/kernels.c", "pyproject.toml"} <= names


@needs_a_compiler
@pytest.mark.slow
def test_a_wheel_of_the_source_distribution_holds_kernels_for_any_python(sdist, monkeypatch, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    wheel = built("wheel", source, tmp_path)
    assert re.search(r"-py3-none-(?!any)\w+\.whl$", wheel.name), wheel.name
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if "_kernels" in name)
        assert name in ("mimo/_kernels.so", "mimo/_kernels.dll")
        path = Path(archive.extract(name, tmp_path / "out"))
    monkeypatch.setenv(kernels.ENVIRONMENT, str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernels.available()


@pytest.mark.slow
def test_without_a_compiler_the_wheel_is_for_any_machine(sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    wheel = built("wheel", source, tmp_path, CC="no-such-compiler")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "_kernels" in name]


def test_the_sanitizers_are_a_target():
    done = subprocess.run(
        ["make", "-n", "-W", "mimo/kernels.c", "-o", ".venv/.ready", "sanitize"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for part in ("-fsanitize=address,undefined", "-fno-omit-frame-pointer", "ASAN_OPTIONS=detect_leaks=0", "LD_PRELOAD",
                 "libasan.so", "MIMO_KERNELS=", "tests/mimo/test_operators.py"):  # fmt: skip
        assert part in done.stdout, part


@needs_a_compiler
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the sanitizer's library is loaded as Linux does it")
def test_the_kernels_are_clean_under_the_sanitizers():
    chosen = "SELECT=-k 'naive_loop and compiled'"
    command = ["make", "-o", ".venv/.ready", "sanitize", chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert " passed" in done.stdout
