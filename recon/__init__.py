"""Images from measurements: reconstructors by name, and measures of quality."""

from mimo.recon import direct as _direct  # noqa: F401 - registers its methods
from mimo.recon import pnp as _pnp  # noqa: F401

from mimo.recon import sparse as _sparse  # noqa: F401, isort: skip
from mimo.recon import learned as _learned  # noqa: F401, isort: skip
from mimo.recon.registry import METHODS, Problem
from mimo.recon.run import make_problem, reconstruct, run_method

__all__ = ["METHODS", "Problem", "make_problem", "reconstruct", "run_method"]
