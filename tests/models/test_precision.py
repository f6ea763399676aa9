"""The precision of networks: what a processor's flags say, what is asked and recorded, how little images change."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid, operator_of
from mimo.data import FileError, Measurement, save
from mimo.models import Denoiser, MethodConfig, NetworkConfig, Reconstructor, load_weights, precision
from mimo.models.precision import has_bfloat16_flags, resolve_precision
from mimo.models.reconstructor import build_network
from mimo.models.weight_files import WEIGHTS
from mimo.options import build_table
from mimo.recon import reconstruct
from mimo.recon.files import reconstruct_file
from mimo.recon.metrics import psnr
from mimo.recon.shards import Order, Source
from mimo.synth import draw, random_phase

CPU = torch.device("cpu")
SHIPPED = sorted(WEIGHTS.glob("*.safetensors"))
KIND = {path.stem: load_weights(path)[1]["kind"] for path in SHIPPED}
# One processor each, lines abridged to what tells them apart.
TEXTS = {
    "AMD Zen 3": ("flags : fpu sse4_2 avx avx2 fma bmi2 vaes", False),
    "Intel Skylake": ("flags : fpu avx2 avx512f avx512dq avx512bw avx512vl", False),
    "Intel Ice Lake": ("flags : fpu avx2 avx512f avx512_vnni avx512_bitalg", False),
    "Intel Cooper Lake": ("flags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16", True),
    "Intel Sapphire Rapids": ("flags : avx512f avx512_bf16 amx_bf16 amx_tile amx_int8", True),
    "AMD Zen 4": ("flags : fpu avx2 avx512f avx512_bf16", True),
    "AMX without AVX512-BF16": ("flags : fpu avx2 amx_tile amx_bf16", True),
    "AMX of integers alone": ("flags : fpu avx2 amx_tile amx_int8", False),
    "ARM Neoverse V1": ("Features\t: fp asimd sve i8mm bf16 dgh", True),
    "ARM Neoverse N1": ("Features\t: fp asimd evtstrm aes crc32 atomics", False),
    "ARM with the flag of SVE alone": ("Features : fp asimd sve svebf16", False),
    "a mixture": ("flags : avx512_bf16\n\nflags : avx2\n", False),
    "the flag elsewhere": ("model name : avx512_bf16\nflags : avx2\n", False),
    "nothing": ("", False),
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MIMO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def emulated(monkeypatch):
    """A processor without bfloat16, on which nobody has been warned yet."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: False)
    precision._warn_emulated.cache_clear()
    yield
    precision._warn_emulated.cache_clear()


@pytest.mark.parametrize("name", TEXTS)
def test_flags_of_processors(name):
    text, there = TEXTS[name]
    assert has_bfloat16_flags(text) is there


def test_what_is_asked(monkeypatch, emulated):
    assert resolve_precision("auto", CPU) == resolve_precision("float32", CPU) == "float32"
    with pytest.warns(RuntimeWarning, match="bfloat16 is emulated on this cpu device"):
        assert resolve_precision("bfloat16", CPU) == "bfloat16"
    assert resolve_precision("bfloat16", "cpu") == "bfloat16"  # said once
    with pytest.raises(ValueError, match="precision is 'half': expected one of auto, float32, bfloat16"):
        resolve_precision("half", CPU)
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: True)
    assert resolve_precision("auto", CPU) == "bfloat16"


def test_this_machine_is_asked(has_bfloat16):
    """The flags of this machine decide, whatever oneDNN says."""
    if Path("/proc/cpuinfo").exists():
        assert has_bfloat16(CPU) is has_bfloat16_flags(Path("/proc/cpuinfo").read_text())


def test_other_tests_do_not_depend_on_the_machine(has_bfloat16):
    """See conftest.py: what a network computes where a test names no precision is float32."""
    assert precision.has_bfloat16 is not has_bfloat16
    assert resolve_precision("auto", CPU) == "float32"


GRID = VoxelGrid.from_extent(x=(-0.08, 0.08, 13), y=(-0.08, 0.08, 14), z=(0.42, 0.58, 17))
SETTING = Acquisition(ArrayGeometry.mills_cross(n_tx=8, n_rx=9, width=0.3), FrequencySweep.linear(4e9, 16e9, 8), GRID)
ORDER = dict.fromkeys(("grid", "pattern", "layers", "region"))
ORDER |= {"subtract_background": False, "device": "cpu", "memory": 2**28}
LIMIT = 0.05
"""dB."""


@pytest.fixture(scope="module")
def measurement() -> Measurement:
    """Three scenes that no network has seen, at 30 dB."""
    rng = np.random.default_rng(77)
    truth = random_phase(np.stack([draw(preset, GRID, rng) for preset in ("paper", "shapes", "shapes")]), rng)
    y = operator_of(SETTING).forward(torch.from_numpy(truth)).numpy()
    noise = rng.standard_normal((2, *y.shape))
    level = np.sqrt((np.abs(y) ** 2).mean(axis=(1, 2, 3), keepdims=True) / 2e3)
    y = (y + level * (noise[0] + 1j * noise[1])).astype(np.complex64)
    return Measurement(
        y, SETTING.array, SETTING.sweep, grid=GRID, truth=truth, snr_db=np.full(len(truth), 30, np.float32)
    )


def figures(images: np.ndarray, measurement: Measurement) -> np.ndarray:
    """PSNR of each scene, dB."""
    return np.array([psnr(a, b) for a, b in zip(np.abs(images), np.abs(measurement.truth), strict=True)])


def of_denoiser(name: str, measurement: Measurement, chosen: str) -> np.ndarray:
    """What a denoiser makes of true magnitudes with speckle."""
    truth = torch.from_numpy(measurement.truth)
    noise = torch.randn(truth.shape, dtype=truth.dtype, generator=torch.Generator().manual_seed(3))
    return Denoiser.load(name, precision=chosen)((truth + 0.1 * noise).abs(), 0.1).numpy()


def of_method(name: str, measurement: Measurement, chosen: str) -> np.ndarray:
    made = reconstruct(name, measurement, precision=chosen, check="none")
    assert made.parameters["precision"] == chosen
    return made.image


@pytest.mark.filterwarnings("ignore:.*far from its training:RuntimeWarning")
@pytest.mark.parametrize("name", [*KIND, "pnp"])
def test_bfloat16_changes_no_image_by_more_than_rounding(name, measurement, emulated):
    """Every network that ships, and plug-and-play: below 0.05 dB in the mean; but not the same numbers."""
    make = of_denoiser if KIND.get(name) == "denoiser" else of_method
    whole = make(name, measurement, "float32")
    with pytest.warns(RuntimeWarning, match="emulated"):
        half = make(name, measurement, "bfloat16")
    assert np.array_equal(make(name, measurement, "auto") if make is of_denoiser else whole, whole)
    change = figures(half, measurement) - figures(whole, measurement)
    assert np.abs(half - whole).max() > 0
    assert abs(change.mean()) < LIMIT


def test_layers_round_but_not_the_image(measurement, emulated):
    """Convolutions give bfloat16, but the image that a correction was added to is not rounded to it."""
    seen = []

    def look(module, inputs, out):
        seen.append((inputs[0].dtype, out.dtype))

    denoiser = Denoiser.load("denoiser-fast", precision="float32")
    denoiser._asked = "bfloat16"
    denoiser.network.down[0][0].register_forward_hook(look)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = denoiser(torch.from_numpy(np.abs(measurement.truth[:1])), 0.05)
    assert seen and all(dtype[1] == torch.bfloat16 for dtype in seen)
    assert out.dtype == torch.float32 and not torch.equal(out, out.bfloat16().float())


def test_batch_normalisation_is_folded_at_no_change(measurement):
    """The network that is loaded has none, and gives what the evaluated one with it gives."""
    state, info = load_weights(WEIGHTS / "deep2s.safetensors")
    network = build_table(NetworkConfig, info["network"], "network.")
    assert network.norm == "batch"
    with_norm = build_network(build_table(MethodConfig, info["method"], "method."), network, SETTING).eval()
    with_norm.load_state_dict(state)
    trained = Reconstructor.load("deep2s")
    assert not any("running_mean" in name for name in trained.module.state_dict())
    volume = torch.rand(2, 1, 9, 10, 11, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(trained.module(volume), with_norm(volume), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*far from its training:RuntimeWarning")
def test_it_identifies_an_image(tmp_path, measurement, emulated):
    """An image in a file was made in one precision: another one is another image, and auto is what it means here."""
    source, out = tmp_path / "scenes.h5", tmp_path / "images.h5"
    save(source, measurement)
    options = {"two-stage": {"precision": "float32"}}
    first = reconstruct_file(source, out, ["two-stage"], options=options, check="none")
    assert first.made[0].parameters["precision"] == "float32"
    assert reconstruct_file(source, out, ["two-stage"], check="none").skipped == ["two-stage"]
    options = {"two-stage": {"precision": "bfloat16"}}
    with pytest.warns(RuntimeWarning, match="emulated"), pytest.raises(FileError, match="precision 'float32', now 'bf"):
        reconstruct_file(source, out, ["two-stage"], options=options, check="none")
    recipes = set()
    for chosen in ("auto", "float32", "bfloat16"):
        order = Order.of(["two-stage"], {"two-stage": {"precision": chosen}}, **ORDER)
        recipes.add(order.describe(Source.of(source), 0, 1))
    assert len(recipes) == 2
