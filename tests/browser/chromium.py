"""Start Debian's Chromium without a window, with WebGL2 in software; no request leaves the machine."""

import base64
import io
import os
import shutil
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
SIZE = {"width": 1440, "height": 900}


def find_chromium() -> str | None:
    """Path of the browser: MIMO_CHROMIUM, or what Debian installs."""
    return os.environ.get("MIMO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browser(*, webgl: bool = True):
    """Yield a headless browser; without `webgl` it has no WebGL at all."""
    from playwright.sync_api import sync_playwright

    flags = FLAGS if webgl else (*FLAGS[:6], "--disable-gpu", "--disable-3d-apis")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=list(flags))
        try:
            yield started
        finally:
            started.close()


def watched_page(context):
    """A new page, with lists of the requests that were not for loopback (blocked) and of the errors it met."""
    page = context.new_page()
    page.foreign, page.errors = [], []

    def route(route):
        address = urlsplit(route.request.url)
        if address.hostname == "127.0.0.1" or address.scheme in ("file", "data", "blob"):
            route.continue_()
        else:
            page.foreign.append(route.request.url)
            route.abort()

    page.route("**/*", route)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    return page


def wait_until(page, condition: str, timeout: float = 30.0):
    """Ask until a JavaScript expression is true; Playwright's own wait needs `eval`, which the page's policy refuses."""
    end = time.monotonic() + timeout
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"not within {timeout} s: {condition}; errors {page.errors}"
        time.sleep(0.03)
    return page


def ready(page, timeout: float = 30.0):
    """Wait until the first picture stands."""
    return wait_until(page, "Boolean(window.mimoViewer?.status?.ready)", timeout)


def settled(page, timeout: float = 60.0):
    """Wait until the fine pictures stand and nothing is left to load."""
    ready(page)
    return wait_until(page, "mimoViewer.settled()", timeout)


def visit(page, address):
    page.goto(address)
    settled(page)


def show(page, site, **wanted):
    """Show the state of an address, on the page where it stands already, else on a new one."""
    address = "&".join(f"{name}={value}" for name, value in wanted.items())
    if page.url.startswith(site):
        page.evaluate("text => { location.hash = text; mimoViewer.followAddress(); }", address)
    else:
        page.goto(f"{site}#{address}")
    settled(page)


def state(page):
    return page.evaluate("mimoViewer.store.state")


def texts(page, selector):
    return page.eval_on_selector_all(selector, "all => all.filter(e => e.offsetParent).map(e => e.textContent)")


def pixels(page, selector):
    """What a canvas shows, (height, width, 4)."""
    address = page.eval_on_selector(selector, "c => c.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA"))
