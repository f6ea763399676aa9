"""Import deepinv, also beside a torchvision whose compiled part does not fit the installed torch."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch

from mimo.extras import needed

__all__ = ["import_deepinv"]

NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
DECLARED: list[Any] = []
"""Keeps the declarations alive: torch forgets the operators of a library that is collected."""


def import_deepinv() -> Any:
    """Import deepinv and return it.

    deepinv uses the Python part of torchvision alone. The wheel of torchvision on PyPI is compiled against torch with
    CUDA; beside a torch for the processor its compiled part does not load, and then neither does its Python part,
    which describes two operators that are not there. They are declared here, without being implemented, with a warning.

    Raises
    ------
    MissingExtraError
        When deepinv is not installed.
    """
    try:
        return _needed()
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        warnings.warn(
            f"torchvision does not fit torch {torch.__version__} ({error}): deepinv gets its Python part alone. The "
            "torchvision that fits comes from where torch came from, such as https://download.pytorch.org/whl/cpu",
            RuntimeWarning,
            stacklevel=3,
        )
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(name + NMS)
    DECLARED.append(library)
    for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "deepinv")]:
        del sys.modules[name]  # half imported
    return _needed()


def _needed() -> Any:
    return needed("deepinv", purpose="mimo.interop.deepinv", extra="deepinv")
