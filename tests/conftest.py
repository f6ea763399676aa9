"""Shared fixtures: the cases and helpers importable, caches in a folder of the test run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """No test reads or writes the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MIMO_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture
def measured() -> Path:
    """The folder of real measurements; tests that need it skip, visibly, where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "measured"
    if not folder.is_dir():
        pytest.skip("real measurements are not at hand (../shared/measured)")
    return folder
