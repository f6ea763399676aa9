"""Reconstruct images from measurements, by methods with names, and measure their quality."""

from mimo.recon import direct as _direct  # noqa: F401 - registers its methods
from mimo.recon import pnp as _pnp  # noqa: F401

from mimo.recon import sparse as _sparse  # noqa: F401, isort: skip
from mimo.recon import learned as _learned  # noqa: F401, isort: skip
from mimo.recon.depth_maps import DepthMap, depth_map
from mimo.recon.evaluate import score_file
from mimo.recon.files import reconstruct_file, reconstruct_files
from mimo.recon.isosurface import surface_mesh
from mimo.recon.metrics import psnr, ssim
from mimo.recon.posterior import Posterior, sample
from mimo.recon.registry import DEFAULT_METHOD, METHODS, Images, Problem, reconstructor
from mimo.recon.run import Live, make_problem, reconstruct, run_method
from mimo.recon.shape_evaluation import Extraction, compare_with_image, compare_with_mesh

__all__ = [
    "DEFAULT_METHOD",
    "METHODS",
    "DepthMap",
    "Extraction",
    "Images",
    "Live",
    "Posterior",
    "Problem",
    "compare_with_image",
    "compare_with_mesh",
    "depth_map",
    "make_problem",
    "psnr",
    "reconstruct",
    "reconstruct_file",
    "reconstruct_files",
    "reconstructor",
    "run_method",
    "sample",
    "score_file",
    "ssim",
    "surface_mesh",
]
