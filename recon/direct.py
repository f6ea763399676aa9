"""Reconstruct without iterations: image formers and the regularised inverse."""

from __future__ import annotations

from mimo import GramFactor
from mimo import backproject as _backproject
from mimo import backproject_factorised as _backproject_factorised
from mimo import backproject_fast as _backproject_fast
from mimo import kirchhoff as _kirchhoff
from mimo import range_migration as _range_migration
from mimo.propagation import BACKPROJECTION, KIRCHHOFF, KIRCHHOFF_COMPENSATED
from mimo.recon.costs import predict, quickest
from mimo.recon.registry import METHODS, Images, Problem, reconstructor

__all__ = [
    "auto_physics",
    "backprojection",
    "backprojection_factorised",
    "backprojection_fast",
    "kirchhoff",
    "range_migration",
    "tikhonov",
]


@reconstructor("backprojection", "coherent back-projection: phases alone, no spreading", scale="relative")
def backprojection(problem: Problem) -> Images:
    """Sum the data with the phase of each path removed; see `mimo.backproject`."""
    problem.shared("backprojection factors", lambda A: A.prepare(BACKPROJECTION))
    return problem.form(_backproject)


@reconstructor("backprojection-fast", "back-projection through range profiles: for many frequencies", scale="relative")
def backprojection_fast(problem: Problem, *, padding: float = 2.0) -> Images:
    """Make the image of `backprojection` through range profiles, at a cost that hardly grows with the frequencies.

    The error is -57 dB of the maximum or less. `padding` is the number of samples in a range profile over the number
    of frequencies; see `mimo.backproject_fast`.
    """
    return problem.form(_backproject_fast, padding=padding)


@reconstructor(
    "backprojection-factorised",
    "back-projection through sub-apertures: for many antennas",
    general=False,
    scale="relative",
)
def backprojection_factorised(problem: Problem, *, tolerance: float = 1e-2) -> Images:
    """Make the image of `backprojection` to within a tolerance, for full arrays of many antennas.

    `tolerance` is the largest error of an interpolated phasor; see `mimo.backproject_factorised`.
    """
    return problem.form(_backproject_factorised, tolerance=tolerance)


@reconstructor(
    "range-migration", "planar scans and arrays: back-projection through plane waves", general=False, scale="relative"
)
def range_migration(
    problem: Problem, *, padding: float = 1.0, aperture_taper: float = 0.0, band_taper: float = 0.0
) -> Images:
    """Make the image of `backprojection` through plane waves, for planar monostatic scans and planar full arrays.

    `padding` is the period of the transforms as a multiple of that which the scene's angles need. The tapers are the
    shares of the aperture and of the band, 0 to 1, that a cosine taper covers. See `mimo.range_migration`; full arrays
    need the extra ``nufft``.
    """
    return problem.form(_range_migration, padding=padding, aperture_taper=aperture_taper, band_taper=band_taper)


@reconstructor("kirchhoff", "Kirchhoff migration: obliquity and near-field terms", scale="relative")
def kirchhoff(problem: Problem, *, compensate_aperture: bool = False) -> Images:
    """Apply Kirchhoff migration; `compensate_aperture` leaves out the division by distances; see `mimo.kirchhoff`."""
    model = KIRCHHOFF_COMPENSATED if compensate_aperture else KIRCHHOFF
    problem.shared(f"{model.name} factors", lambda A: A.prepare(model))
    return problem.form(_kirchhoff, compensate_aperture=compensate_aperture)


@reconstructor("tikhonov", "regularised inverse A^H (A A^H + weight I)^-1 y, weight chosen from the data")
def tikhonov(problem: Problem, *, weight: float | str = "gcv", cache: bool = True) -> Images:
    """Apply the regularised inverse through the factorised Gram matrix; see `mimo.GramFactor.tikhonov`.

    `weight` is a positive number, ``gcv`` (generalised cross-validation) or ``discrepancy`` (the discrepancy principle,
    which needs the file's SNR). `cache` keeps the factorisation on disk for the next run.
    """
    problem.shared("born factors", lambda A: A.prepare())
    factor = problem.data_step(cache=cache).factor or GramFactor.of(problem.operator)  # which says what is too many
    image, used = factor.tikhonov(problem.measurement, weight=weight, noise_std=problem.noise_std)
    return Images(image, {"weight_used": [float(w) for w in used.reshape(-1)]})


@reconstructor(
    "auto-physics", "back-projection by the way that is quickest for the geometry", general=False, scale="relative"
)
def auto_physics(problem: Problem) -> Images:
    """Make the image of `backprojection`, exactly or by a fast method, whichever is predicted to be the quickest.

    The choice and the seconds predicted for one scene on one core are recorded with the image.
    """
    seconds = problem.shared("auto-physics", predict)
    chosen = quickest(seconds)
    made = METHODS[chosen].run(problem)
    rounded = {name: float(f"{value:.3g}") for name, value in seconds.items()}
    return Images(made.image, {**made.found, "chosen": chosen, "predicted_seconds": rounded})
