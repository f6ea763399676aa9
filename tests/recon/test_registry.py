"""From a measurement to an image by name: calibration, noise level, options, batches, timing."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import ARRAY, GRID, MASKED, PAIRED, POINT, SCAN, SWEEP
from helper import fails

from mimo import ArrayGeometry, CosinePattern, LayeredMedium, TablePattern, VoxelGrid, born_operator, compiled_channels
from mimo.data import Measurement
from mimo.recon import METHODS, make_problem, reconstruct, run_method
from mimo.recon.learned import LEARNED
from mimo.recon.registry import DEFAULT_METHOD, find_method
from mimo.recon.run import BATCH, pick_device


def measured(array=ARRAY, grid=GRID, n_scene: int = 2, **more) -> Measurement:
    rng = torch.Generator().manual_seed(0)
    A = born_operator(array, SWEEP, grid)
    x = torch.randn(n_scene, *grid.shape, dtype=torch.complex64, generator=rng)
    return Measurement(A.forward(x).numpy(), array, SWEEP, grid, **more)


pytestmark = pytest.mark.filterwarnings("ignore:.* is used far from its training:RuntimeWarning")

every_method = pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.general])


LOOSE = {"tv": 0.06, "pnp": 1e-3, "two-stage": 0.01, "two-stage-any": 0.01, "unrolled": 0.01}
"""tv's inner solver stops by a tolerance: another rounding may cost it an iteration, which random data amplify; the
regularised inverse of data without noise amplifies rounding itself."""


def brief(method, measurement, **options):
    """Five iterations of a method that iterates: what these laws compare is the same after any number."""
    few = {"max_iterations": 5} if "max_iterations" in METHODS[method].options else {}
    return reconstruct(method, measurement, **few, **options)


def same(a, b, tolerance: float = 1e-5) -> None:
    tolerance = max(tolerance, LOOSE.get(b.method, 0.0))
    np.testing.assert_allclose(a.image, b.image, rtol=0, atol=tolerance * np.abs(b.image).max())


@every_method
@pytest.mark.parametrize(
    ("array", "grid"), [(ARRAY, GRID), (MASKED, GRID), (PAIRED, GRID), (SCAN, GRID), (ARRAY, POINT)], ids=str
)
def test_every_method_images_every_geometry(method, array, grid):
    # random images are noise to a denoiser: at a low level it leaves some of them
    low = {"sigma_end": 0.001} if method == "pnp" else {}
    made = brief(method, measured(array, grid), **low)
    assert made.image.shape == (2, *grid.shape)
    assert made.method == method
    assert np.abs(made.image).max() > 0


def test_range_migration_is_back_projection_of_a_scan():
    scan = ArrayGeometry.planar_scan(shape=(19, 23), width=0.2, height=0.25)
    made, exact = (reconstruct(m, measured(scan)).image for m in ("range-migration", "backprojection"))
    np.testing.assert_allclose(made, exact, rtol=0, atol=0.03 * np.abs(exact).max())
    assert not METHODS["range-migration"].general
    directed = {"pattern": CosinePattern(1)}
    fails(("a pattern", "isotropic"), lambda: reconstruct("range-migration", measured(scan), **directed))


@every_method
def test_the_channel_gain_is_divided_out(method):
    clean = measured()
    rng = np.random.default_rng(1)
    gain = np.exp(rng.normal(size=(4, 2, 3)) + 1j * rng.uniform(0, 6, (4, 2, 3))).astype(np.complex64)
    spoiled = replace(clean, values=clean.values * gain, gain=gain)
    same(brief(method, spoiled), brief(method, clean), 1e-4)


@every_method
def test_a_removed_path_length_is_put_back(method):
    clean = measured()
    path = np.random.default_rng(2).uniform(0.5, 2000.0, (2, 3))
    phase = np.exp(1j * SWEEP.wavenumber()[:, None, None] * path)  # what removing a path leaves
    spoiled = replace(clean, values=(clean.values * phase).astype(np.complex64), reference_path=path)
    # range profiles are interpolated at other places then, each to -57 dB
    tolerance = 3e-3 if method == "backprojection-fast" else 1e-4
    same(brief(method, spoiled), brief(method, clean), tolerance)


@every_method
def test_layers_reach_the_operator(method):
    """Layers of one permittivity are that medium, whatever the file says of its own."""
    clean = replace(measured(), permittivity=2.0)
    layered = brief(method, replace(clean, permittivity=9.0), layers=LayeredMedium([0.5], [2.0, 2.0]))
    same(layered, brief(method, clean), 3e-3 if method == "backprojection-fast" else 1e-4)


@every_method
def test_a_pattern_reaches_the_operator(method):
    """A gain of 2 both ways is a measurement four times as strong."""
    clean = measured()
    double = TablePattern(angle=[0, 3.1], freq=[9e9], values=[[2.0], [2.0]])
    seen = brief(method, replace(clean, values=4 * clean.values), pattern=double)
    expected = brief(method, clean)
    power = 16 if method in ("backprojection", "backprojection-fast", "kirchhoff") else 1  # matched, not inverted
    np.testing.assert_allclose(seen.image, power * expected.image, atol=1e-3 * power * np.abs(expected.image).max())


@pytest.mark.parametrize("array", [ARRAY, MASKED], ids=["full", "masked"])
def test_the_noise_level_follows_from_the_snr(array):
    """SNR is mean power of the noiseless data over that of the noise, over the channels that carry data."""
    clean = measured(array, n_scene=3)
    live = np.ones((2, 3), bool) if array.mask is None else array.mask
    rng = np.random.default_rng(3)
    snr_db = np.array([0.0, 10.0, 30.0], np.float32)
    std = np.sqrt((np.abs(clean.values[:, :, live]) ** 2).mean((1, 2))) * 10 ** (-snr_db / 20)
    noise = rng.normal(size=(*clean.values.shape, 2)) @ [1, 1j] / math.sqrt(2)
    # noise that is orthogonal to the data in the mean: what is estimated is then exact but for the sample
    noisy = clean.values + std[:, None, None, None] * noise * live
    problem = make_problem(replace(clean, values=noisy.astype(np.complex64), snr_db=snr_db))
    np.testing.assert_allclose(problem.noise_std, std, rtol=0.35)  # 24 numbers a scene
    assert make_problem(clean).noise_std is None


def test_discrepancy_uses_the_stated_noise_level():
    clean = measured(n_scene=2)
    made = reconstruct("tikhonov", replace(clean, snr_db=np.array([0.0, 40.0], np.float32)), weight="discrepancy")
    noisy, quiet = made.parameters["weight_used"]
    assert noisy > 10 * quiet
    fails(("noise_std",), lambda: reconstruct("tikhonov", clean, weight="discrepancy"))


def test_what_one_batch_alone_finds_has_gaps_for_the_others():
    from mimo.recon.registry import Images
    from mimo.recon.run import _joined

    one = Images(torch.zeros(2, 1, 1, 1), {"x_step": "cg", "weight": [1.0, 2.0]})
    two = Images(torch.zeros(1, 1, 1, 1), {"x_step": "cg", "weight": [3.0], "share": [0.1]})
    joined = {"x_step": "cg", "weight": [1.0, 2.0, 3.0]}
    assert _joined([one, two]) == joined | {"share": [None, None, 0.1]}
    assert _joined([two, one])["share"] == [0.1, None, None]
    assert _joined([]) == {}


@every_method
def test_scenes_do_not_depend_on_their_neighbours(method):
    """More scenes than one batch, each as if it were alone."""
    many = measured(n_scene=BATCH + 3)
    together = brief(method, many)
    for scene in (0, BATCH - 1, BATCH, BATCH + 2):
        same(brief(method, many.scenes([scene])), replace_image(together, scene), 1e-4)
    if "weight_used" in together.parameters:
        assert len(together.parameters["weight_used"]) == BATCH + 3


def replace_image(made, scene):
    return made.scenes([scene])


@pytest.mark.parametrize("scale", [1e-9, 1e9])
@every_method
def test_the_unit_of_the_measurement_scales_the_image(method, scale):
    clean = measured()
    scaled = brief(method, replace(clean, values=clean.values * np.float32(scale)))
    expected = brief(method, clean)
    unit = 1 if method in LEARNED else scale  # a network's image is in [0, 1] whatever the unit
    same(replace(scaled, image=scaled.image / unit), expected, 1e-4)


def test_progress_and_what_is_recorded():
    seen = []
    many = measured(n_scene=BATCH + 1)
    made = reconstruct("tikhonov", many, progress=lambda *a: seen.append(a), source_sha256="ab", cache=False)
    assert seen == [(BATCH, BATCH + 1), (BATCH + 1, BATCH + 1)]
    assert made.source_sha256 == "ab"
    assert made.parameters["cache"] is False
    assert made.parameters["setup_seconds"] > 0
    assert (made.seconds > 0).all()


@pytest.mark.parametrize("method", ["backprojection", "kirchhoff", "backprojection-fast", "auto-physics"])
def test_an_image_made_in_one_go_tells_its_share(method, monkeypatch):
    """One scene too large to keep factors for, as if its partitions took long: a bar moves before the end."""
    monkeypatch.setattr(compiled_channels, "PART_PAIRS", 2**8)
    wide = VoxelGrid.from_extent(x=(-0.1, 0.1, 23), y=(-0.1, 0.1, 21), z=(0.3, 0.4, 19))
    seen = []
    problem = make_problem(measured(grid=wide, n_scene=1), memory=0)
    run_method(method, problem, progress=lambda done, of: seen.append((done, of)))
    shares = [done for done, _ in seen]
    assert shares == sorted(shares) and shares[-1] == 1
    assert len({share for share in shares if 0 < share < 1}) > 1
    assert {of for _, of in seen} == {1}


def test_work_for_a_geometry_is_done_once():
    problem = make_problem(measured())
    first = run_method("tikhonov", problem)
    again = run_method("tikhonov", problem)
    assert first.parameters["setup_seconds"] > 0
    assert again.parameters["setup_seconds"] == 0
    same(again, first)


def test_options_are_read_by_kind():
    tikhonov, kirchhoff = find_method("tikhonov"), find_method("kirchhoff")
    assert tikhonov.options == {"weight": "auto", "cache": True, "solver": "auto", "sensitivity": "auto"}
    assert tikhonov.parse_option("weight", "0.5") == 0.5
    assert tikhonov.parse_option("weight", "discrepancy") == "discrepancy"
    assert kirchhoff.parse_option("compensate_aperture", "true") is True
    fails(("'compensate'", "'compensate_aperture'"), lambda: kirchhoff.parse_option("compensate", "true"))
    fails(("compensate_aperture", "'1'", "true or false"), lambda: kirchhoff.parse_option("compensate_aperture", "1"))
    for text in ("null", "[1]", '{"a": 1}'):
        fails(("weight", repr(text)), lambda text=text: tikhonov.parse_option("weight", text))


def test_options_of_another_kind_are_refused():
    clean, l1 = measured(), find_method("l1")
    words = "option max_iterations of l1 is {}: expected a whole number"
    fails((words.format("'2.5'"),), lambda: l1.parse_option("max_iterations", "2.5"))
    fails((words.format("2.5"),), lambda: reconstruct("l1", clean, max_iterations=2.5))
    fails((words.format("'9'"),), lambda: reconstruct("l1", clean, max_iterations="9"))
    fails((words.format("True"),), lambda: reconstruct("l1", clean, max_iterations=True))
    fails(("balance", "is 1", "true or false"), lambda: reconstruct("l1", clean, balance=1))
    fails(("tolerance", "'small'", "a number"), lambda: l1.parse_option("tolerance", "small"))
    assert l1.parse_option("max_iterations", "2.0") == 2
    assert (l1.parse_option("eps", "auto"), l1.parse_option("eps", "0.1")) == ("auto", 0.1)
    assert l1.parse_option("start", '"kirchhoff"') == "kirchhoff"


def test_functions_and_tensors_are_left_to_the_method():
    clean = measured()
    start = torch.ones(2, *GRID.shape, dtype=torch.complex64)
    more = {"max_iterations": np.int64(2), "tolerance": 0, "start": start}
    assert reconstruct("l1", clean, **more).parameters["max_iterations"] == 2
    made = reconstruct("pnp", clean, denoiser=lambda magnitude, sigma: magnitude, **more)
    assert made.parameters["start"] == "given"
    assert type(made.parameters["tolerance"]) is float


def test_what_is_not_known_is_named():
    clean = measured()
    fails(("'kirchof'", "'kirchhoff'"), lambda: reconstruct("kirchof", clean))
    fails(("'wieght'", "'weight'"), lambda: reconstruct("tikhonov", clean, wieght=1))
    fails(("weight", "is True"), lambda: reconstruct("tikhonov", clean, weight=True))
    fails(("no grid",), lambda: make_problem(replace(clean, grid=None)))
    for device in ("gpu", "meta", "cuda:99"):
        fails((repr(device), "expected"), lambda device=device: pick_device(device))
    assert DEFAULT_METHOD in METHODS
