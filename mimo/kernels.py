"""Load and run the compiled sums of the Born operator on the processor, or say why torch does them instead.

``kernels.c`` is built with the package where a C compiler is at hand. It computes what the torch path of
`mimo.full_array` computes, forward ``(G * x) @ H.T`` and its transpose, in one pass over each block of voxels. The
factors of a uniform sweep are advanced from frequency to frequency in cache instead of being read from memory.

Where a library cannot be loaded, or was compiled from another version of the sources, there is one warning and torch
does the sums. The environment variable ``MIMO_KERNELS`` names another library file, or is ``off`` for the torch path.

Tasks run on torch's own team of OpenMP threads where it can be reached: a second team would compete for the cores with
torch's, whose threads keep spinning for a while after each parallel operation. Elsewhere a thread pool does.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import sys
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

__all__ = [
    "ChannelTask",
    "Problem",
    "Task",
    "available",
    "describe",
    "expected_layout",
    "instruction_set",
    "lanes",
    "library_path",
    "make_task",
    "run",
    "run_channels",
    "warn_if_slow",
]

ENVIRONMENT = "MIMO_KERNELS"
"""The environment variable that names another library file, or is ``off``."""

BLOCK = 240
"""Voxels in a block: both sides' factors fit the first-level cache, and an odd number of vectors in a row keeps rows of
different antennas out of the same cache sets."""

MAX_LANES = 16
"""Real numbers in the widest vector: a sum over voxels is spread over as many."""

CONSTANTS = {
    "BLOCK": BLOCK,
    "MATRIX_ROWS": 192,
    "PAIRS": 256,
    "ROWS": 192,
    "TAPS": 4,
    "PARTS": 512,
    "MAX_BYTES": 4 * MAX_LANES,
}
"""Constants of kernels.c, which explains them, under its names. The library must have been compiled with the same."""

TORCH_RATE = {"every pair": 1e9, "listed": 1e8}
"""Terms (scene, frequency, channel, voxel) that torch sums in a second on one thread, by kind of sum; measured."""

SLOW_SECONDS = 5.0
"""Total seconds of a process's sums through torch after which it is warned that compiled kernels would be quicker."""

_VECTOR_BYTES = {"avx512": 64, "avx2": 32, "base": 16}
_SUFFIX = {torch.float32: "f32", torch.float64: "f64"}
_KERNELS = (
    *("forward_blocks", "spread_blocks", "forward_batches", "spread_batches"),
    *("channel_space", "channel_forward", "channel_spread", "channel_compressed", "channel_scattered"),
)


class Problem(ctypes.Structure):
    """Holds the sizes of a sum; mirrors ``Problem`` in kernels.c."""

    _fields_ = [
        (name, ctypes.c_ssize_t)
        for name in ("n_freq", "n_tx", "n_rx", "n_scene", "block", "stride", "x_plane", "first")
    ]


class Task(ctypes.Structure):
    """Holds the arguments of one kernel call; mirrors ``Task`` in kernels.c. `make_task` fills it."""

    _fields_ = [
        ("problem", Problem),
        *((name, ctypes.c_void_p) for name in ("g_anchor", "g_ratio", "h_anchor", "h_ratio", "source", "target")),
        ("n_block", ctypes.c_ssize_t),
    ]


class ChannelTask(ctypes.Structure):
    """Holds the arguments of one kernel call over listed channels; mirrors ``ChannelTask`` in kernels.c."""

    _fields_ = [
        *((name, ctypes.c_ssize_t) for name in ("n_freq", "n_channel", "n_scene", "n_moment", "first", "last")),
        *((name, ctypes.c_ssize_t) for name in ("n_voxel", "n_y", "n_z", "listed", "plane")),
        *((name, ctypes.c_void_p) for name in ("x", "y", "z", "positions", "channels")),
        ("n_row", ctypes.c_ssize_t),
        *((name, ctypes.c_void_p) for name in ("reference", "turns")),
        *((name, ctypes.c_double) for name in ("step", "carrier")),
        *((name, ctypes.c_ssize_t) for name in ("spreading", "table")),
        *((name, ctypes.c_void_p) for name in ("path", "amplitude", "weights")),
        ("n_profile", ctypes.c_ssize_t),
        *((name, ctypes.c_void_p) for name in ("data", "image")),
    ]


class _Job(ctypes.Structure):
    """Holds a list of tasks that threads share; mirrors ``Job`` in kernels.c."""

    _fields_ = [
        ("kernel", ctypes.c_void_p),
        ("tasks", ctypes.c_void_p),
        ("task_bytes", ctypes.c_ssize_t),
        ("n_task", ctypes.c_ssize_t),
        ("scratch", ctypes.c_void_p),
        ("scratch_bytes", ctypes.c_ssize_t),
        ("next", ctypes.c_ssize_t),
        ("n_thread", ctypes.c_ssize_t),
    ]


class _Fact(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_ssize_t)]


def library_path() -> Path | None:
    """Return where the library is or would be, or ``None`` where the environment says ``off``."""
    named = os.environ.get(ENVIRONMENT, "")
    if named.lower() == "off":
        return None
    if named:
        return Path(named).absolute()  # the loader searches the system's folders for a bare name
    return Path(__file__).with_name("_kernels.dll" if sys.platform == "win32" else "_kernels.so")


def expected_layout() -> dict[str, int]:
    """Return the sizes, field offsets and constants that a library must have, by the names of ``layout()``."""
    facts = dict(CONSTANTS)
    for shared in (Problem, Task, ChannelTask, _Job):
        name = shared.__name__.lstrip("_")
        facts[name] = ctypes.sizeof(shared)
        facts |= {f"{name}.{field[0]}": getattr(shared, field[0]).offset for field in shared._fields_}
    return facts


def _library() -> ctypes.CDLL | None:
    path = library_path()
    return None if path is None else _load(path)


@functools.cache
def _load(path: Path) -> ctypes.CDLL | None:
    """Open a library once in a process; ``None`` when it is missing or, with a warning, when it cannot be used."""
    if not path.exists() and not os.environ.get(ENVIRONMENT):
        return None
    try:
        _check_length(path)
        library = ctypes.CDLL(str(path))
        _check(library)
    except (OSError, AttributeError, ValueError) as error:
        reason = str(error).replace(f"{path}: ", "")
        warnings.warn(
            f"the compiled kernels {path} cannot be used, so sums take the slower way through torch: {reason}; "
            "expected a library built from this version of mimo for this machine: install mimo again with a C compiler "
            f"at hand, or set {ENVIRONMENT}=off to do without and hear no more of it",
            RuntimeWarning,
            stacklevel=4,
        )
        return None
    return library


def _check_length(path: Path) -> None:
    """Raise ValueError for a Linux library that was cut short: reading past the end of the mapped file would crash."""
    with path.open("rb") as file:
        header = file.read(64)
    if len(header) == 64 and header[:6] == b"\x7fELF\x02\x01":  # 64 bits, little-endian: its table of sections is last
        start, (size, count) = struct.unpack_from("<Q", header, 0x28)[0], struct.unpack_from("<HH", header, 0x3A)
        if path.stat().st_size < start + size * count:
            raise ValueError(f"the file was cut short, it has {path.stat().st_size} bytes of {start + size * count}")


def _check(library: ctypes.CDLL) -> None:
    """Raise AttributeError where a function is missing, ValueError where it was compiled from other sources."""
    library.instruction_set.restype = ctypes.c_char_p
    library.layout.restype = ctypes.POINTER(_Fact)
    found, facts, i = {}, library.layout(), 0
    while (name := facts[i].name) is not None:
        found[name.decode()] = facts[i].value
        i += 1
    expected = expected_layout()
    differing = [name for name in expected | found if expected.get(name) != found.get(name)]
    if differing:
        shown = ", ".join(
            f"{name} is {found.get(name, 'missing')} in it and {expected.get(name, 'missing')} in kernels.py"
            for name in differing[:3]
        )
        raise ValueError(f"it was compiled from other sources ({shown})")
    best = library.instruction_set().decode()
    for function in ("run_tasks", *(f"{name}_{suffix}_{best}" for name in _KERNELS for suffix in _SUFFIX.values())):
        library[function]


def instruction_set() -> str:
    """Return the instruction set in use, ``"avx512"``, ``"avx2"`` or ``"base"``; ``""`` without a library."""
    library = _library()
    return library.instruction_set().decode() if library else ""


def describe() -> str:
    """Say what does the sums on the processor: an instruction set of the compiled kernels, or torch."""
    return instruction_set() or "none, torch instead"


_spent = [0.0]  # predicted seconds so far of sums that torch does because no library was built


def warn_if_slow(n_term: int, device: torch.device, kind: str = "every pair") -> None:
    """Warn once in a process before torch has summed for more than `SLOW_SECONDS` because no library was built.

    `n_term` is the number of terms that the caller is about to sum; their cost adds up over calls, because an iteration
    calls a quick operator hundreds of times. There is no warning on another device, where the library exists (it does
    not serve this sum, or its own warning was given), or where the environment variable is set.
    """
    path = library_path()
    if device.type != "cpu" or path is None or os.environ.get(ENVIRONMENT) or path.exists():
        return
    _spent[0] += n_term / (TORCH_RATE[kind] * torch.get_num_threads())
    if _spent[0] > SLOW_SECONDS:
        _warn_of_torch(path)


@functools.cache
def _warn_of_torch(path: Path) -> None:
    warnings.warn(
        f"mimo's compiled kernels are not built ({path} is missing), so sums take torch up to twenty times as long; "
        f"expected them for work of more than {SLOW_SECONDS:g} seconds: install mimo again with a C compiler at hand, "
        f"or set {ENVIRONMENT}=off to do without and hear no more of it",
        RuntimeWarning,
        stacklevel=5,
    )


def available() -> bool:
    """Whether the compiled sums can be used."""
    return _library() is not None


def make_task(problem: Problem, tables: tuple[torch.Tensor, ...], source: torch.Tensor, target: torch.Tensor) -> Task:
    """Return a task on the tables of a partition (see `mimo.full_array`).

    For "forward" `source` holds planar voxels from the partition's first on (all real parts, then all imaginary parts)
    and `target` interleaved measurements, which are overwritten. For "spread" it is the other way round, and `target`
    is added to. The task holds addresses, so the tensors must outlive it.
    """
    return Task(problem, *(t.data_ptr() for t in (*tables, source, target)), len(tables[0]))


def lanes(dtype: torch.dtype) -> int:
    """Return how many real numbers of `dtype` a vector of this processor holds."""
    return _VECTOR_BYTES.get(instruction_set(), 16) // dtype.itemsize


def run(name: str, dtype: torch.dtype, tasks: Sequence[Task]) -> None:
    """Run tasks of one kernel in the precision `dtype` (float32 or float64), on as many threads as torch uses.

    Kernels are "forward_blocks" and "spread_blocks" (the adjoint's sum without conjugates; kernels.h) and, for many
    scenes packed by `mimo.scene_packing`, "forward_batches" and "spread_batches" (batches.h).
    """
    space = _matrix_size if name.endswith("batches") else _scratch_size
    _run(name, dtype, (Task * len(tasks))(*tasks), max(space(task.problem) for task in tasks) * dtype.itemsize)


def run_channels(name: str, dtype: torch.dtype, tasks: Sequence[ChannelTask]) -> None:
    """Run tasks over listed channels in the same way.

    Kernels are "forward" and "spread" (channels.h), and "compressed" and "scattered" (profiles.h).
    """
    space = _loaded()[f"channel_space_{_SUFFIX[dtype]}_{instruction_set()}"]
    space.restype = ctypes.c_ssize_t
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
    """Return how many real numbers of working space a task needs: current factors, and sums in vector lanes."""
    factors = 2 * problem.block * (2 * problem.n_tx + problem.n_rx)
    return int(factors + 2 * MAX_LANES * problem.n_scene * problem.n_freq * problem.n_tx * problem.n_rx)


def _matrix_size(problem: Problem) -> int:
    """Return the same for many scenes: current factors, and the part of the matrix that is made at once."""
    rows = max(CONSTANTS["MATRIX_ROWS"] // problem.n_rx, 1) * problem.n_rx
    return int(2 * problem.block * (problem.n_tx + problem.n_rx + rows))


_local = threading.local()


def _scratch(n_bytes: int) -> torch.Tensor:
    """Return working space of the calling thread, which is kept between calls."""
    kept: torch.Tensor | None = getattr(_local, "scratch", None)
    if kept is None or kept.nbytes < n_bytes:
        kept = _local.scratch = torch.empty(n_bytes, dtype=torch.uint8)
    return kept


@functools.cache
def _openmp_team() -> Any:
    """Find ``GOMP_parallel(function, data, n_threads, flags)`` in the OpenMP library that torch loaded, or ``None``."""
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
