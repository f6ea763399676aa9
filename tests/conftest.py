"""Shared fixtures: the cases and helpers importable, caches in a folder of the test run, a browser for the session."""

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "browser")]


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker(pytest.mark.browser)


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
