"""The compiled sums of the Born operator on the processor, and whether they are there.

``kernels.c`` is built with the package where a C compiler is at hand. It serves the same two lines as the torch path in
`mimo.full_array`, forward ``(G * x) @ H.T`` and its counterpart, in one pass over each block of voxels, with the
factors of a uniform sweep advanced from frequency to frequency in cache instead of read from memory.

Tasks run on torch's own team of OpenMP threads where it can be reached: a second team would compete for the cores with
torch's, whose threads keep spinning for a while after each parallel operation. Elsewhere a thread pool does.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

BLOCK = 240
"""Voxels in a block: both sides' factors fit the first-level cache, and an odd count of vectors avoids conflicts."""

MAX_LANES = 16
"""Real numbers in the widest vector: a sum over voxels is spread over as many."""

_MATRIX_ROWS = 192  # as in kernels.c
_SUFFIX = {torch.float32: "f32", torch.float64: "f64"}


class Problem(ctypes.Structure):
    """The sizes that every task states; mirrors ``Problem`` in kernels.c."""

    _fields_ = [
        (name, ctypes.c_long) for name in ("n_freq", "n_tx", "n_rx", "n_scene", "block", "stride", "x_plane", "first")
    ]


class Task(ctypes.Structure):
    """One call of a kernel; mirrors ``Task`` in kernels.c. `make_task` fills it."""

    _fields_ = [
        ("problem", Problem),
        *((name, ctypes.c_void_p) for name in ("g_anchor", "g_ratio", "h_anchor", "h_ratio", "source", "target")),
        ("n_block", ctypes.c_long),
    ]


class ChannelTask(ctypes.Structure):
    """One call of a kernel over listed channels; mirrors ``ChannelTask`` in kernels.c."""

    _fields_ = [
        *((name, ctypes.c_long) for name in ("n_freq", "n_channel", "n_scene", "n_moment", "first", "last")),
        *((name, ctypes.c_long) for name in ("n_voxel", "n_y", "n_z", "plane")),
        *((name, ctypes.c_void_p) for name in ("x", "y", "z", "positions", "channels")),
        ("n_row", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("reference", "turns")),
        *((name, ctypes.c_double) for name in ("step", "carrier")),
        *((name, ctypes.c_long) for name in ("spreading", "table")),
        *((name, ctypes.c_void_p) for name in ("path", "amplitude", "weights")),
        ("n_profile", ctypes.c_long),
        *((name, ctypes.c_void_p) for name in ("data", "image")),
    ]


class _Job(ctypes.Structure):
    _fields_ = [
        ("kernel", ctypes.c_void_p),
        ("tasks", ctypes.c_void_p),
        ("task_bytes", ctypes.c_long),
        ("n_task", ctypes.c_long),
        ("scratch", ctypes.c_void_p),
        ("scratch_bytes", ctypes.c_long),
        ("next", ctypes.c_long),
        ("n_thread", ctypes.c_long),
    ]


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


def make_task(problem: Problem, tables: tuple[torch.Tensor, ...], source: torch.Tensor, target: torch.Tensor) -> Task:
    """Return a task on the tables of a partition.

    For "forward" `source` is planar voxels from the partition's first on and `target` interleaved measurements, which
    are overwritten; for "spread" it is the other way round and `target` is added to. The tensors must outlive the task.
    """
    return Task(problem, *(t.data_ptr() for t in (*tables, source, target)), len(tables[0]))


def lanes(dtype: torch.dtype) -> int:
    """How many real numbers of `dtype` a vector of this processor holds: the width of `run_batches`."""
    return {"avx512": 64, "avx2": 32}.get(instruction_set(), 16) // dtype.itemsize


def run(name: str, dtype: torch.dtype, tasks: Sequence[Task]) -> None:
    """Run tasks on real numbers of `dtype`, on as many threads as torch uses.

    The kernels are "forward_blocks", "spread_blocks" and, for many scenes that lie side by side as `mimo.scene_packing`
    lays them, "forward_batches" and "spread_batches".
    """
    space = _matrix_size if name.endswith("batches") else _scratch_size
    _run(name, dtype, (Task * len(tasks))(*tasks), max(space(task.problem) for task in tasks) * dtype.itemsize)


def run_channels(name: str, dtype: torch.dtype, tasks: Sequence[ChannelTask]) -> None:
    """Run "forward", "spread" or "compressed" tasks over listed channels, likewise."""
    space = _loaded()[f"channel_space_{_SUFFIX[dtype]}_{instruction_set()}"]
    space.restype = ctypes.c_long
    _run(f"channel_{name}", dtype, (ChannelTask * len(tasks))(*tasks), -(-space() // 64) * 64)


def _loaded() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise RuntimeError("mimo's compiled kernels are not built: reinstall with a C compiler, or use the torch path")
    return library


def _run(name: str, dtype: torch.dtype, tasks: ctypes.Array[Any], scratch_bytes: int) -> None:
    library = _loaded()
    threads = min(torch.get_num_threads(), len(tasks))
    scratch = _scratch(threads * scratch_bytes)
    kernel = ctypes.cast(library[f"{name}_{_SUFFIX[dtype]}_{instruction_set()}"], ctypes.c_void_p)
    one = ctypes.sizeof(tasks) // len(tasks)
    job = _Job(kernel, ctypes.addressof(tasks), one, len(tasks), scratch.data_ptr(), scratch_bytes, 0, 0)
    team = _openmp_team()
    if threads == 1:
        library.run_tasks(ctypes.byref(job))
    elif team is not None:
        team(ctypes.cast(library.run_tasks, ctypes.c_void_p), ctypes.byref(job), threads, 0)
    else:
        for future in [_pool(threads).submit(library.run_tasks, ctypes.byref(job)) for _ in range(threads)]:
            future.result()


def _scratch_size(problem: Problem) -> int:
    """How many real numbers of working space a task needs: factors under way, and sums spread over the lanes."""
    factors = 2 * problem.block * (2 * problem.n_tx + problem.n_rx)
    return int(factors + 2 * MAX_LANES * problem.n_scene * problem.n_freq * problem.n_tx * problem.n_rx)


def _matrix_size(problem: Problem) -> int:
    """The same for many scenes: factors under way, and the part of the matrix that is made at once."""
    rows = max(_MATRIX_ROWS // problem.n_rx, 1) * problem.n_rx
    return int(2 * problem.block * (problem.n_tx + problem.n_rx + rows))


_local = threading.local()


def _scratch(n_bytes: int) -> torch.Tensor:
    """Working space of the calling thread, kept between calls."""
    kept: torch.Tensor | None = getattr(_local, "scratch", None)
    if kept is None or kept.nbytes < n_bytes:
        kept = _local.scratch = torch.empty(n_bytes, dtype=torch.uint8)
    return kept


@functools.cache
def _openmp_team() -> Any:
    """``GOMP_parallel(function, data, n_threads, flags)`` of the OpenMP library that torch loaded, or ``None``."""
    try:
        function = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="mimo-kernels")
