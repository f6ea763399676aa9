"""Reconstruct by a physics stage and a trained network (arXiv 2312.16959, and further networks)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from mimo.models.reconstructor import Reconstructor
from mimo.models.weight_files import WEIGHTS, find_weights, load_description
from mimo.recon.physics import make_physics, noise_of
from mimo.recon.registry import ABSENT, FILES, METHODS, Images, Method, Problem

__all__ = ["LEARNED", "run_learned", "scale_of"]

LEARNED = {
    "deep2s": "adjoint, then a 3D U-Net",
    "deep2s-2d": "adjoint, then a U-Net with kernels of one voxel along z",
    "deep2s-resnet": "adjoint, then a residual network",
    "cv-deep2s": "complex adjoint as two channels, then a 3D U-Net",
    "deepdi": "fully connected from the measurements to the image",
    "deep2s-plus": "fully connected layers, then a 3D U-Net",
    "complex-unet": "complex adjoint, then a 3D U-Net with complex weights",
    "phc-unet": "complex adjoint, then a 3D U-Net with hypercomplex weights, n = 2",
    "phc-unet-4": "complex adjoint, then a 3D U-Net with hypercomplex weights, n = 4",
    "two-stage": "regularised inverse and adjoint, then a fast U-Net",
    "two-stage-any": "the same, trained on arrays, bands and grids of many kinds",
    "unrolled": "exact data steps and small networks in turn",
}
"""Learned methods and their descriptions; each has a configuration of its name in ``train/configs``."""


def run_learned(problem: Problem, path: Path, precision: str = "auto") -> Images:
    """Reconstruct with the network in a file of weights; warn where it is used far from its training."""
    trained = problem.shared(
        f"network {path} in {precision}", lambda A: Reconstructor.load(path, device=A.device, precision=precision)
    )
    physics = make_physics(problem)
    far = trained.check(physics)
    if far:
        warnings.warn(f"{path.stem} is used far from its training: {'; '.join(far)}", RuntimeWarning, stacklevel=2)
    image, std = trained.image_and_std(physics, problem.measurement, noise_of(problem))
    found: dict[str, Any] = {"weights": path.stem, "precision": trained.precision}
    if std is not None and trained.intervals is not None:
        found["intervals"] = trained.intervals.to_dict()
        std = problem.restrict(std)
    return Images(problem.restrict(image), found, std=std)


def scale_of(path: Path) -> str:
    """Return what the numbers of a network's images are, from its file: see `mimo.recon.registry.Method`.

    A network answers in units of the brightest voxel; an unrolled one ends in the unit of reflectivity.
    """
    try:
        kind = load_description(path).get("method", {}).get("kind")
    except (OSError, ValueError):  # said when the network is loaded
        kind = None
    return "reflectivity" if kind == "unrolled" else "relative"


def _method(name: str, path: Path, summary: str) -> Method:
    def run(problem: Problem, *, precision: str = "auto") -> Images:
        return run_learned(problem, path, precision)

    run.__doc__ = (
        f"{summary[0].upper()}{summary[1:]}; trained weights.\n\n"
        "`precision` is that of the network, ``float32``, ``bfloat16`` or ``auto`` for the latter where the device has "
        "it in hardware."
    )
    scale = scale_of(path)
    return Method(name, summary, run, scale=scale, homogeneous=scale == "reflectivity")


def _from_file(text: str) -> Method:
    path = find_weights(text)
    return _method(path.stem, path, f"the network in {path}")


FILES[".safetensors"] = _from_file
for _name, _summary in LEARNED.items():
    _path = WEIGHTS / f"{_name}.safetensors"
    if _path.is_file():
        METHODS[_name] = _method(_name, _path, _summary)
    else:
        ABSENT[_name] = (
            f"no weights ship for {_name}: train them with `mimo train {_name} --export FILE.safetensors`, "
            "then name the file as the method"
        )
