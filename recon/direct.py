"""Reconstructors without iterations: image formers and the regularised inverse."""

from __future__ import annotations

from mimo import GramFactor
from mimo import backproject as _backproject
from mimo import backproject_fast as _backproject_fast
from mimo import kirchhoff as _kirchhoff
from mimo.propagation import BACKPROJECTION, KIRCHHOFF, KIRCHHOFF_COMPENSATED
from recon.registry import Images, Problem, reconstructor


@reconstructor("backprojection", "coherent back-projection: phases alone, no spreading")
def backprojection(problem: Problem) -> Images:
    """Sum of the data with the phase of each path removed; see `mimo.backproject`."""
    problem.shared("backprojection factors", lambda A: A.prepare(BACKPROJECTION))
    return Images(_backproject(problem.measurement, problem.operator))


@reconstructor("backprojection-fast", "back-projection through range profiles: for many frequencies")
def backprojection_fast(problem: Problem, *, padding: float = 2.0) -> Images:
    """The image of `backprojection`, to -57 dB of its maximum or better, at a cost without the frequencies.

    `padding` is the number of samples in a range profile over the frequencies; see `mimo.backproject_fast`.
    """
    return Images(_backproject_fast(problem.measurement, problem.operator, padding=padding))


@reconstructor("kirchhoff", "Kirchhoff migration: obliquity and near-field terms")
def kirchhoff(problem: Problem, *, compensate_aperture: bool = False) -> Images:
    """Kirchhoff migration; `compensate_aperture` leaves out the division by the distances; see `mimo.kirchhoff`."""
    model = KIRCHHOFF_COMPENSATED if compensate_aperture else KIRCHHOFF
    problem.shared(f"{model.name} factors", lambda A: A.prepare(model))
    image = _kirchhoff(problem.measurement, problem.operator, compensate_aperture=compensate_aperture)
    return Images(image)


@reconstructor("tikhonov", "regularised inverse A^H (A A^H + weight I)^-1 y, weight chosen from the data")
def tikhonov(problem: Problem, *, weight: float | str = "gcv", cache: bool = True) -> Images:
    """Regularised inverse through the factorised Gram matrix; see `mimo.GramFactor.tikhonov`.

    `weight` is a positive number, ``gcv`` or ``discrepancy`` (which needs the file's SNR); `cache` keeps the
    factorisation on disk for the next run.
    """
    problem.shared("born factors", lambda A: A.prepare())
    factor = problem.shared("gram", lambda A: GramFactor.of(A, cache=cache))
    image, used = factor.tikhonov(problem.measurement, weight=weight, noise_std=problem.noise_std)
    return Images(image, {"weight_used": [float(w) for w in used.reshape(-1)]})
