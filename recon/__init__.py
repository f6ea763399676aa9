"""Images from measurements: reconstructors by name, and measures of quality."""

from recon import direct as _direct  # noqa: F401 - registers its methods
from recon import pnp as _pnp  # noqa: F401

from recon import sparse as _sparse  # noqa: F401, isort: skip
from recon import automatic as _automatic  # noqa: F401, isort: skip
from recon import learned as _learned  # noqa: F401, isort: skip
from recon.registry import METHODS, Problem
from recon.run import make_problem, reconstruct, run_method

__all__ = ["METHODS", "Problem", "make_problem", "reconstruct", "run_method"]
