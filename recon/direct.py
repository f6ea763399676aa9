"""Reconstruct without iterations: image formers and the regularised inverse."""

from __future__ import annotations

from mimo import backproject as _backproject
from mimo import backproject_factorised as _backproject_factorised
from mimo import backproject_fast as _backproject_fast
from mimo import kirchhoff as _kirchhoff
from mimo import kirchhoff_fast as _kirchhoff_fast
from mimo import range_migration as _range_migration
from mimo.propagation import BACKPROJECTION, KIRCHHOFF, KIRCHHOFF_COMPENSATED
from mimo.recon.costs import predict, quickest
from mimo.recon.registry import METHODS, Images, Problem, reconstructor
from mimo.recon.regularised import regularised_inverse
from mimo.recon.scaling import Setup

__all__ = [
    "auto_physics",
    "backprojection",
    "backprojection_factorised",
    "backprojection_fast",
    "kirchhoff",
    "kirchhoff_fast",
    "range_migration",
    "tikhonov",
]


@reconstructor("backprojection", "coherent back-projection: phases alone, no spreading", scale="relative")
def backprojection(problem: Problem, *, window: str = "none") -> Images:
    """Sum the data with the phase of each path removed; see `mimo.backproject`, and for `window` `mimo.windowed`."""
    problem.shared("backprojection factors", lambda A: A.prepare(BACKPROJECTION))
    return problem.form(_backproject, window=window)


@reconstructor("backprojection-fast", "back-projection through range profiles: for many frequencies", scale="relative")
def backprojection_fast(problem: Problem, *, padding: float = 2.0, window: str = "none") -> Images:
    """Make the image of `backprojection` through range profiles, at a cost that hardly grows with the frequencies.

    The error is -57 dB of the maximum or less. `padding` is the number of samples in a range profile over the number
    of frequencies; see `mimo.backproject_fast`, and for `window` `mimo.windowed`.
    """
    return problem.form(_backproject_fast, window=window, padding=padding)


@reconstructor(
    "backprojection-factorised",
    "back-projection through sub-apertures: for many antennas",
    general=False,
    scale="relative",
)
def backprojection_factorised(problem: Problem, *, tolerance: float = 1e-2, window: str = "none") -> Images:
    """Make the image of `backprojection` to within a tolerance, for full arrays of many antennas.

    `tolerance` is the largest error of an interpolated phasor; see `mimo.backproject_factorised`, and for `window`
    `mimo.windowed`.
    """
    return problem.form(_backproject_factorised, window=window, tolerance=tolerance)


@reconstructor(
    "range-migration", "planar scans and arrays: back-projection through plane waves", general=False, scale="relative"
)
def range_migration(
    problem: Problem,
    *,
    padding: float = 1.0,
    aperture_taper: float = 0.0,
    band_taper: float = 0.0,
    tolerance: float = 0.1,
    window: str = "none",
) -> Images:
    """Make the image of `backprojection` through plane waves, for planar scans and planar full arrays.

    A scan is monostatic, or that of a board of transmitters and receivers which moves as a whole. `padding` is the
    period of the transforms as a multiple of that which the scene's angles need. The tapers are the shares of the
    aperture and of the band, 0 to 1, that a cosine taper covers; a `window` (`mimo.windowed`) multiplies them.
    `tolerance` is the largest phase error, in radians, that is left in a channel whose transmitter stands apart from
    its receiver. See `mimo.range_migration`; full arrays need the extra ``nufft``.
    """
    more = {"aperture_taper": aperture_taper, "band_taper": band_taper, "tolerance": tolerance}
    return problem.form(_range_migration, window=window, padding=padding, **more)


@reconstructor("kirchhoff", "Kirchhoff migration: obliquity and near-field terms", scale="relative")
def kirchhoff(problem: Problem, *, compensate_aperture: bool = False, window: str = "none") -> Images:
    """Apply Kirchhoff migration; `compensate_aperture` leaves out the division by distances; see `mimo.kirchhoff`.

    For `window` see `mimo.windowed`.
    """
    model = KIRCHHOFF_COMPENSATED if compensate_aperture else KIRCHHOFF
    problem.shared(f"{model.name} factors", lambda A: A.prepare(model))
    made = problem.form(_kirchhoff, window=window, compensate_aperture=compensate_aperture)
    _check_seen(problem, made)
    return made


@reconstructor(
    "kirchhoff-fast",
    "Kirchhoff migration through range profiles: for many frequencies",
    general=False,
    scale="relative",
)
def kirchhoff_fast(
    problem: Problem, *, compensate_aperture: bool = False, padding: float = 2.0, window: str = "none"
) -> Images:
    """Make the image of `kirchhoff` through range profiles, at a cost that hardly grows with the frequencies.

    The error is -55 dB of the maximum or less. For the options see `kirchhoff`, and for `padding`
    `mimo.kirchhoff_fast`.
    """
    more = {"compensate_aperture": compensate_aperture, "padding": padding}
    made = problem.form(_kirchhoff_fast, window=window, **more)
    _check_seen(problem, made)
    return made


def _check_seen(problem: Problem, made: Images) -> None:
    """Raise `ValueError` where an image is all zero although its measurement is not: no antenna looks at a voxel."""
    blind = problem.measurement.flatten(1).any(1) & ~made.image.flatten(1).any(1)
    if bool(blind.any()):
        array = problem.operator.array
        stated = array.tx_normal is not None and array.rx_normal is not None
        where = "are the file's" if stated else "are +z as the file has none and the antennas do not surround the grid"
        raise ValueError(
            "kirchhoff sees nothing: the image is all zero although the measurement is not, because every voxel lies "
            f"at right angles to the antennas' normals, which {where}: expected array/tx_normal and array/rx_normal "
            "that look towards the grid"
        )


@reconstructor("tikhonov", "regularised inverse A^H (A A^H + weight I)^-1 y, weight chosen from the data")
def tikhonov(
    problem: Problem,
    *,
    weight: float | str = "auto",
    cache: bool = True,
    solver: str = "auto",
    sensitivity: str | float = "auto",
) -> Images:
    """Apply the regularised inverse; see `mimo.GramFactor.tikhonov` and `mimo.least_squares`.

    `weight` is a positive number, ``gcv`` (generalised cross-validation), ``discrepancy`` (the discrepancy principle,
    which needs the file's SNR), ``held-out`` (what predicts channels held out best), or ``auto``: ``gcv``, but
    ``held-out`` where the file states no SNR and the image of ``gcv`` predicts channels held out worse than an empty
    image does. `cache` keeps a factorisation on disk for the next run; `solver` and `sensitivity` are those of l1, and
    with a number ``sensitivity`` weights ``|x|^2``.
    """
    problem.shared("born factors", lambda A: A.prepare())
    return regularised_inverse(
        problem, weight, Setup(solver, sensitivity, one_weight=not isinstance(weight, str)), cache
    )


@reconstructor(
    "auto-physics", "back-projection by the way that is quickest for the geometry", general=False, scale="relative"
)
def auto_physics(problem: Problem, *, window: str = "none") -> Images:
    """Make the image of `backprojection`, exactly or by a fast method, whichever is predicted to be the quickest.

    The choice and the seconds predicted for one scene on one core are recorded with the image. For `window` see
    `mimo.windowed`.
    """
    seconds = problem.shared("auto-physics", predict)
    chosen = quickest(seconds)
    made = METHODS[chosen].run(problem, window=window)
    rounded = {name: float(f"{value:.3g}") for name, value in seconds.items()}
    return Images(made.image, {**made.found, "chosen": chosen, "predicted_seconds": rounded})
