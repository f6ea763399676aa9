"""Measure the speed of the iterative solvers, compared with published code, in one run.

The published code (arXiv 2312.16024) keeps the operator as a dense complex128 matrix. It solves the least squares for
x in every iteration by five conjugate-gradient steps, each a forward and an adjoint by `einsum`; its denoiser is the
U-Net at full resolution. It makes 30 iterations; a few are timed here, since all cost the same.
"""

from __future__ import annotations

import statistics
from typing import Any, cast

import torch

from mimo import BornOperator, GramFactor
from mimo.bench.operators import dense_matrix, ratio, rounds
from mimo.least_squares import GramStep
from mimo.models import Denoiser
from mimo.recon.admm import csalsa
from mimo.recon.pnp import denoiser_prox
from mimo.recon.prox import Prox, magnitude_prox, soft_threshold
from mimo.recon.registry import Problem
from mimo.recon.run import run_method
from mimo.synth.paper import paper_acquisition
from mimo.train.config import DenoiserConfig, load_config

__all__ = ["PublishedIteration", "measure_solvers", "solver_table"]

CG_STEPS = 5
PUBLISHED_ITERATIONS = 30
OURS = 10
"""Iterations of this program that are timed together."""
KAPPA, WEIGHT, SIGMA = 0.01, 0.01, 0.05
TARGETS = {
    "l1 iteration against published": (100.0, "at least"),
    "pnp against published, 30 iterations": (40.0, "at least"),
    "pnp to its stopping rule, s": (2.5, "at most"),
}


class PublishedIteration:
    """Runs C-SALSA with a dense operator and conjugate gradients, one iteration at each call, and keeps its state.

    Parameters
    ----------
    dense
        Operator, complex128 ``(n_freq, n_tx, n_rx, n_x, n_y, n_z)``.
    prox
        Proximal map of the prior.
    weight
        Weight passed to `prox`.
    y
        Measurement, ``(n_freq, n_tx, n_rx)``.
    """

    def __init__(self, dense: torch.Tensor, prox: Prox, weight: float, y: torch.Tensor) -> None:
        self.dense, self.conjugate, self.prox, self.weight, self.y = dense, torch.conj(dense), prox, weight, y
        self.v1 = self.adjoint(y)
        self.v2, self.d1, self.d2 = y.clone(), torch.zeros_like(self.v1), torch.zeros_like(y)
        self.eps = 0.03 * y.norm()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``A x``."""
        return torch.einsum("ktrxyz,xyz->ktr", self.dense, x)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Return ``A^H y``."""
        return torch.einsum("ktrxyz,ktr->xyz", self.conjugate, y)

    def __call__(self) -> None:
        """Make one iteration."""
        wanted = self.adjoint(self.v2 + self.d2) + KAPPA * (self.v1 + self.d1)
        x = self.v1.clone()
        r = wanted - self.adjoint(self.forward(x)) - KAPPA * x
        p, power = r.clone(), r.norm() ** 2
        for _ in range(CG_STEPS):
            q = self.adjoint(self.forward(p)) + KAPPA * p
            step = power / torch.vdot(p.flatten(), q.flatten()).real.clamp_min(1e-30)
            x, r = x + step * p, r - step * q
            after = r.norm() ** 2
            p, power = r + after / power.clamp_min(1e-30) * p, after
        ax = self.forward(x)
        self.v1 = self.prox((x - self.d1)[None], self.weight)[0]
        gap = ax - self.d2 - self.y
        self.v2 = self.y + gap * (self.eps / gap.norm().clamp_min(1e-30)).clamp(max=1)
        self.d1, self.d2 = self.d1 - (x - self.v1), self.d2 - (ax - self.v2)


def measure_solvers(x: torch.Tensor, *, n_rounds: int = 3) -> dict[str, Any]:
    """Measure l1 and pnp on one scene of the papers' geometry.

    Parameters
    ----------
    x
        A scene's reflectivity on the papers' grid, complex64 ``(25, 25, 49)``.
    n_rounds
        Number of rounds; each times everything once.

    Returns
    -------
    dict
        ``seconds`` (medians), ``ratios`` (medians over rounds), ``targets``.
    """
    acquisition = paper_acquisition()
    A = BornOperator.of(acquisition)
    A.prepare()
    y = A.forward(x)
    noise = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(0))
    y = y + noise * y.abs().square().mean().sqrt() * 10 ** (-30 / 20)
    factor = GramFactor.of(A)
    step = GramStep(factor)
    norm, data = step.norm, factor.coefficients(y[None]) / step.norm
    soft = magnitude_prox(soft_threshold)
    image = factor.tikhonov(y[None])[0]

    eps = 0.03 * data.norm(dim=1)

    def l1_iterations() -> None:
        csalsa(step, soft, data, eps, image, weight=WEIGHT, kappa=KAPPA, max_iterations=OURS, tolerance=0.0)

    full = Denoiser(cast(DenoiserConfig, load_config("denoiser")).network.build())
    dense = dense_matrix(acquisition)
    wide = y.to(dense.dtype) / norm
    problem = Problem(A, y[None])
    problem.shared("data step spectrum", lambda A: step)
    run_method("pnp", problem)  # loads the denoiser
    found = {}

    def pnp() -> None:
        found["pnp"] = run_method("pnp", problem, check="none")

    times = rounds(
        {
            "published l1 iteration": PublishedIteration(dense / norm, soft, WEIGHT, wide),
            "published pnp iteration": PublishedIteration(dense / norm, denoiser_prox(full), SIGMA, wide),
            "l1 iterations": l1_iterations,
            "pnp": pnp,
        },
        n=n_rounds,
    )
    seconds = {name: statistics.median(values) for name, values in times.items()}
    seconds["l1 iteration"] = seconds.pop("l1 iterations") / OURS
    published = [PUBLISHED_ITERATIONS * value for value in times["published pnp iteration"]]
    ratios = {
        "l1 iteration against published": OURS * ratio(times["published l1 iteration"], times["l1 iterations"]),
        "pnp against published, 30 iterations": ratio(published, times["pnp"]),
        "pnp to its stopping rule, s": seconds["pnp"],
    }
    return {
        "seconds": seconds,
        "ratios": ratios,
        "pnp iterations": found["pnp"].iterations,
        "targets": [
            {
                "what": what,
                "asked": f"{kind} {bound:g}",
                "measured": ratios[what],
                "met": ratios[what] >= bound if kind == "at least" else ratios[what] <= bound,
            }
            for what, (bound, kind) in TARGETS.items()
        ],
    }


def solver_table(result: dict[str, Any]) -> str:
    """Format the result of `measure_solvers` as a table of text."""
    lines = [f"{'solvers, one scene':<40}{'asked':>16}{'measured':>12}"]
    lines += [
        f"{t['what']:<40}{t['asked']:>16}{t['measured']:>12.2f}{'' if t['met'] else '  not met'}"
        for t in result["targets"]
    ]
    lines += [f"{name:<56}{1e3 * value:>9.1f} ms" for name, value in result["seconds"].items()]
    return "\n".join([*lines, f"pnp stopped after {result['pnp iterations']} iterations"])
