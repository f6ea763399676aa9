"""A browser for the session, and pages that let nothing out of the machine."""

import importlib.util

import pytest
from chromium import SIZE, browser, find_chromium, watched_page


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def needs_browser():
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("the Python package playwright is not installed")
    if find_chromium() is None:
        pytest.skip("no chromium: tests/browser/install_chromium.sh installs Debian's")


@pytest.fixture(scope="session")
def chromium(needs_browser):
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium):
    """A new page; whatever the test does, it asks nothing of other machines and meets no error."""
    context = chromium.new_context(viewport=SIZE, accept_downloads=True)
    made = watched_page(context)
    yield made
    foreign, errors = made.foreign, made.errors
    context.close()
    assert foreign == []
    assert errors == []
