"""The measures of an image: hand-computed values, naive loops, invariances, and errors that say what came."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from mimo import VoxelGrid
from mimo.recon import metrics

SHAPE = (5, 7, 11)


def volume(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def pair(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    truth = gaussian_filter(np.random.default_rng(3).random(shape), 1.0)
    return truth + 0.05 * np.random.default_rng(4).random(shape), truth


def test_psnr_by_hand() -> None:
    truth = np.array([2.0, 1.0, 0.0, 0.0]).reshape(1, 2, 2)
    image = np.array([10.0, 0.0, 0.0, 5.0]).reshape(1, 2, 2)
    assert metrics.psnr(image, truth) == pytest.approx(10 * math.log10(1 / ((0.25 + 0.25) / 4)))


def test_psnr_is_the_naive_loop() -> None:
    image, truth = volume(1), volume(2)
    total = 0.0
    for index in np.ndindex(SHAPE):
        total += (abs(image[index]) / np.abs(image).max() - abs(truth[index]) / np.abs(truth).max()) ** 2
    assert metrics.psnr(image, truth) == pytest.approx(-10 * math.log10(total / image.size), rel=1e-12)


def test_perfect_images() -> None:
    truth = volume(1)
    assert metrics.psnr(truth, truth) == math.inf
    assert metrics.ssim(truth, truth) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_only_the_shape_of_the_magnitude_counts(measure) -> None:
    image, truth = volume(1), volume(2)
    value = measure(image, truth)
    assert isinstance(value, float)
    assert measure(1e-6 * image, 1e3 * truth) == pytest.approx(value, rel=1e-9)
    assert measure(image * np.exp(1j * volume(5).real), np.abs(truth)) == pytest.approx(value, rel=1e-9)
    assert measure(image[::-1, :, ::-1], truth[::-1, :, ::-1]) == pytest.approx(value, rel=1e-9)
    assert measure(image.transpose(2, 0, 1), truth.transpose(2, 0, 1)) == pytest.approx(value, rel=1e-9)
    assert measure(image[::-1], truth) != pytest.approx(value, rel=1e-6)
    assert measure(image.astype(np.complex64), truth.astype(np.complex64)) == pytest.approx(value, rel=1e-5)


def test_ssim_is_scikit_image_s_where_it_has_a_result() -> None:
    image, truth = pair((12, 11, 15))
    expected = structural_similarity(
        image / image.max(),
        truth / truth.max(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
    )
    assert metrics.ssim(image, truth) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(5, 7, 11), (1, 7, 30), (13, 1, 1), (10, 11, 12), (2, 3, 4)])
def test_ssim_of_short_axes_is_the_naive_index(shape: tuple[int, int, int]) -> None:
    image, truth = pair(shape)
    a, b = image / image.max(), truth / truth.max()

    def mean(v: np.ndarray) -> np.ndarray:
        return gaussian_filter(v, 1.5, truncate=3.5, mode="reflect")

    m_a, m_b = mean(a), mean(b)
    s_a, s_b, s_ab = mean(a * a) - m_a**2, mean(b * b) - m_b**2, mean(a * b) - m_a * m_b
    index = (2 * m_a * m_b + 1e-4) * (2 * s_ab + 9e-4) / ((m_a**2 + m_b**2 + 1e-4) * (s_a + s_b + 9e-4))
    inner = tuple(slice(5, n - 5) if n >= 11 else slice(None) for n in shape)
    assert metrics.ssim(image, truth) == pytest.approx(index[inner].mean(), rel=1e-10)


def test_peak_to_mean() -> None:
    image = np.ones(SHAPE)
    image[1, 2, 3] = 10
    where = np.ones(SHAPE, bool)
    where[1, 2, 3] = False
    assert metrics.peak_to_mean_db(image, where) == pytest.approx(20.0)
    assert metrics.peak_to_mean_db(image) == pytest.approx(20 * math.log10(10 / ((384 + 10) / 385)))
    assert metrics.peak_to_mean_db(image - 1, where) == math.inf
    with pytest.raises(ValueError, match=r"where is float64 \(5, 7, 11\): expected bool"):
        metrics.peak_to_mean_db(image, np.ones(SHAPE))
    with pytest.raises(ValueError, match="selects no voxel"):
        metrics.peak_to_mean_db(image, np.zeros(SHAPE, bool))


def test_entropy() -> None:
    assert metrics.entropy(np.ones(SHAPE)) == pytest.approx(math.log(5 * 7 * 11))
    one = np.zeros(SHAPE)
    one[4, 0, 2] = -3
    assert metrics.entropy(one) == 0
    one[0, 0, 0] = 3j.imag * math.sqrt(3)  # intensities 1 to 3
    assert metrics.entropy(one) == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))
    assert metrics.entropy(1e-30 * volume(1)) == pytest.approx(metrics.entropy(volume(1)))


def sinc(u: np.ndarray) -> np.ndarray:
    return np.sinc(u)


def gauss(u: np.ndarray) -> np.ndarray:
    return np.exp(-(u**2) / 2)


@pytest.mark.parametrize(("response", "width"), [(sinc, 0.8859), (gauss, 2 * math.sqrt(math.log(2)))])
def test_point_widths_are_the_analytic_ones(response, width: float) -> None:
    scales, center = (0.010, 0.020, 0.035), (0.01, -0.02, 0.5)
    axes = [c + np.linspace(-3, 3, n) * s for c, s, n in zip(center, scales, (61, 81, 101), strict=True)]
    axes[2] = axes[2] + 0.1 * (axes[2] - 0.5) ** 2  # spacing varies along z
    grid = VoxelGrid(*axes)
    x, y, z = (response((a - c) / s) for a, c, s in zip(axes, center, scales, strict=True))
    image = np.einsum("i,j,k->ijk", x, y, z) * 7j
    assert metrics.point_widths(image, grid) == pytest.approx([width * s for s in scales], rel=0.02)
    assert metrics.peak_position(image, grid) == pytest.approx(center, abs=1e-12)


def test_point_widths_where_there_is_none() -> None:
    grid = VoxelGrid.from_extent(x=(0, 0, 1), y=(-1, 1, 7), z=(1, 2, 11))
    image = np.zeros(grid.shape)
    image[0, 0, 5] = 1  # at the border of y; a lone voxel along z
    x, y, z = metrics.point_widths(image, grid)
    assert math.isnan(x)
    assert math.isnan(y)
    assert z == pytest.approx(2 * 0.1 * (1 - 1 / math.sqrt(2)))


@pytest.mark.parametrize("bad", ["zero", "nan", "shape", "axes"])
def test_errors_say_what_came(bad: str) -> None:
    truth = np.abs(volume(1))
    image, message = {
        "zero": (np.zeros(SHAPE), "image is all zero"),
        "nan": (np.where(truth == truth.max(), np.nan, truth), "image has 1 NaN or infinite of 385 voxels"),
        "shape": (np.ones((7, 5, 11)), r"image has shape \(7, 5, 11\), truth has shape \(5, 7, 11\)"),
        "axes": (np.ones((1, *SHAPE)), r"\(1, 5, 7, 11\)"),
    }[bad]
    for measure in (metrics.psnr, metrics.ssim):
        with pytest.raises(ValueError, match=message):
            measure(image, truth)
    grid = VoxelGrid.from_extent(x=(0, 1, 5), y=(0, 1, 7), z=(0, 1, 11))
    for alone in (metrics.point_widths, metrics.peak_position):
        with pytest.raises(ValueError, match=message.split(",")[0]):
            alone(image, grid)
    if bad in ("zero", "nan"):
        for alone in (metrics.entropy, metrics.peak_to_mean_db):
            with pytest.raises(ValueError, match=message):
                alone(image)
        with pytest.raises(ValueError, match=message.replace("image", "truth")):
            metrics.psnr(truth, image)
