"""Shared fixtures: the cases and helpers importable, caches in a folder of the test run, a browser for the session."""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

# One thread a process, also in those that tests start: `make test` runs as many processes as there are cores, and at
# these sizes waking a second thread costs more than it saves. Where a test asks for more, those that wait sleep rather
# than spin on the other process's core. Set before torch and numpy are imported.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

# No test and no notebook reads or writes the user's cache; the processes of a run share one, so that the factorisation
# of the papers' geometry is made once. The first process makes it, the others inherit the name.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["MIMO_CACHE_DIR"] = tempfile.mkdtemp(prefix="mimo-tests-")
    atexit.register(shutil.rmtree, os.environ["MIMO_CACHE_DIR"], ignore_errors=True)

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "browser")]


STARTS_FIRST = (
    "test_command_line.py",
    "test_processes.py",
    "02_measured.ipynb",
    "test_figure.py",
    "test_memory.py",
    "test_synth_generate.py",
    "test_reconstructor.py",
    "test_recon_batches.py",
    "03_iterative.ipynb",
    "05_measured_scan.ipynb",
    "test_operators.py",
    "04_training.ipynb",
)
"""Files that take longest: begun last, one of them would leave the other process of `make test` with nothing to do."""

NEED_MEASURED = ("05_measured_scan.ipynb",)
"""Notebooks that cannot run without the real measurements."""

MEASURED = Path(__file__).parents[2] / "shared" / "measured"
ABSENT = "real measurements are not at hand (../shared/measured)"


def pytest_collection_modifyitems(items):
    rank = {name: i for i, name in enumerate(STARTS_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker(pytest.mark.browser)
        if item.path.name in NEED_MEASURED and not MEASURED.is_dir():
            item.add_marker(pytest.mark.skip(reason=ABSENT))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Whatever the machine's own settings are; tests about threads ask for as many as they need and give them back."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _networks_in_float32():
    """The same figures on every machine: ``auto`` means float32, also where the processor multiplies bfloat16.

    Processes that tests start ask the processor themselves.
    """
    from mimo.models import precision

    real = precision.has_bfloat16
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "has_bfloat16", lambda device: False)
        yield real


@pytest.fixture
def has_bfloat16(_networks_in_float32):
    """The function that asks this machine's processor, for tests about it."""
    return _networks_in_float32


@pytest.fixture
def measured() -> Path:
    """The folder of real measurements; tests that need it skip, visibly, where it is absent."""
    if not MEASURED.is_dir():
        pytest.skip(ABSENT)
    return MEASURED


@pytest.fixture(scope="session")
def needs_browser():
    """Skip, visibly, where there is no browser to drive."""
    from chromium import find_chromium

    if importlib.util.find_spec("playwright") is None:
        pytest.skip("the Python package playwright is not installed")
    if find_chromium() is None:
        pytest.skip("no chromium: tests/browser/install_chromium.sh installs Debian's")


@pytest.fixture(scope="session")
def chromium(needs_browser):
    """One browser for all tests."""
    from chromium import browser

    with browser() as started:
        yield started


@pytest.fixture
def page(chromium):
    """A new page; whatever the test does, it asks nothing of other machines and meets no error."""
    from chromium import SIZE, watched_page

    context = chromium.new_context(viewport=SIZE, accept_downloads=True)
    made = watched_page(context)
    yield made
    foreign, errors = made.foreign, made.errors
    context.close()
    assert foreign == []
    assert errors == []
