"""The compiled sums of the Born operator on the processor, and whether they are there.

``kernels.c`` is built with the package where a C compiler is at hand. It serves the same two lines as the torch path in
`mimo.factorised`, forward ``(G * x) @ H.T`` and its counterpart, in one pass over each block of voxels, with the
factors of a uniform sweep advanced from frequency to frequency in cache instead of read from memory.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

BLOCK = 176
"""Voxels in a block: both sides' factors fit the first-level cache, and an odd count of vectors avoids conflicts."""

_SUFFIX = {torch.float32: "f32", torch.float64: "f64"}


class Problem(ctypes.Structure):
    """The sizes that every call states; mirrors ``Problem`` in kernels.c."""

    _fields_ = [(name, ctypes.c_long) for name in ("n_freq", "n_tx", "n_rx", "n_scene", "block", "stride", "x_plane")]


@functools.cache
def _library() -> ctypes.CDLL | None:
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_kernels{suffix}")
        if path.exists():
            library = ctypes.CDLL(str(path))
            library.instruction_set.restype = ctypes.c_char_p
            return library
    return None


def instruction_set() -> str:
    """``"avx512"``, ``"avx2"`` or ``"base"``, as this processor runs it; ``""`` when the library is not built."""
    library = _library()
    return library.instruction_set().decode() if library else ""


def available() -> bool:
    """Whether the compiled sums can be used."""
    return _library() is not None


@functools.cache
def _function(name: str, dtype: torch.dtype) -> Callable[..., None]:
    library = _library()
    if library is None:
        raise RuntimeError("mimo's compiled kernels are not built: reinstall with a C compiler, or use the torch path")
    function: Any = getattr(library, f"{name}_blocks_{_SUFFIX[dtype]}_{instruction_set()}")
    function.argtypes = [ctypes.POINTER(Problem)] + [ctypes.c_void_p] * 7 + [ctypes.c_long]
    function.restype = None
    return function


def scratch_size(problem: Problem) -> int:
    """How many real numbers of working space one call needs: factors under way, and sums spread over 16 lanes."""
    factors = 2 * problem.block * (2 * problem.n_tx + problem.n_rx)
    return int(factors + 2 * 16 * problem.n_scene * problem.n_freq * problem.n_tx * problem.n_rx)


def forward(problem: Problem, tables: tuple[torch.Tensor, ...], x: torch.Tensor, y: torch.Tensor) -> None:
    """``y = sum x G H`` over the voxels of `tables`; `x` planar, from the tables' first voxel on, `y` interleaved."""
    _run("forward", problem, tables, x, y)


def spread(problem: Problem, tables: tuple[torch.Tensor, ...], y: torch.Tensor, x: torch.Tensor) -> None:
    """``x += sum y G H``: sum over channels of y G H for the voxels of `tables`; no conjugates."""
    _run("spread", problem, tables, y, x)


def _run(
    name: str, problem: Problem, tables: tuple[torch.Tensor, ...], source: torch.Tensor, target: torch.Tensor
) -> None:
    scratch = torch.empty(scratch_size(problem), dtype=tables[0].dtype)
    pointers = [t.data_ptr() for t in (*tables, source, target, scratch)]
    _function(name, scratch.dtype)(ctypes.byref(problem), *pointers, len(tables[0]))
