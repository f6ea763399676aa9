"""Take the documentation's pictures of the viewer with a headless Chromium: ``python docs/screenshots.py``."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs"), str(ROOT / "tests/browser")]

from chromium import browser, settled, watched_page  # noqa: E402
from fresh import stamp  # noqa: E402

from mimo.commands import command_line as app  # noqa: E402
from mimo.viewer.server import listen  # noqa: E402

PICTURES = ROOT / "docs/pictures"
MEASURED = ROOT.parent / "shared" / "measured" / "merit"
WIDE, LOW = {"width": 1440, "height": 1120}, {"width": 1440, "height": 820}
DEMO_VIEWS = {
    "viewer-demo": ("threshold=-12&hidden=&theme=light", WIDE),
    "viewer-dark": ("mode=surface&threshold=-9&antennas=1&sections=maxima&colors=inferno&theme=dark&hidden=", WIDE),
    "viewer-history": ("tab=history&theme=light", LOW),
    "viewer-measurement": ("tab=measurement&channel=40&theme=light", LOW),
}
SCAN_VIEWS = {"viewer-b0": ("floor=-20&threshold=-6&opacity=0.6&theme=light", LOW)}


def draw_screenshots() -> None:
    """Take pictures of the synthetic demo scene with all methods, and of the scan B0_P3 where its data are present."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder, "demo.h5")
        run("demo", "--out", str(demo), "--quiet")
        take(demo, DEMO_VIEWS)
        if MEASURED.is_dir():
            draw_scan(folder)


def draw_scan(folder: str) -> None:
    """Take the picture of the measured scan, imaged by two image formers."""
    scan, image = str(Path(folder, "b0.h5")), Path(folder, "b0-image.h5")
    names = ("--scan", "B0_P3_p000", "--background", "B0_P3_p036")
    run("import", str(MEASURED), scan, *names, "--permittivity", "8", "--quiet")
    voxels = "x=-0.07:0.07:57,y=-0.07:0.07:57,z=0:0.07:29"
    run(
        "reconstruct",
        scan,
        str(image),
        "--method",
        "backprojection",
        "--method",
        "kirchhoff",
        "--grid",
        voxels,
        "--quiet",
    )
    take(image, SCAN_VIEWS)


def take(file: Path, views: dict[str, tuple[str, dict[str, int]]]) -> None:
    """Take one picture for each view of a file."""
    with served(file) as address, browser() as started:
        for name, (state, size) in views.items():
            context = started.new_context(viewport=size)
            page: Any = watched_page(context)
            page.goto(f"{address}#{state}")
            settled(page, 120)
            page.screenshot(path=PICTURES / f"{name}.png")
            if page.errors or page.foreign:
                raise RuntimeError(f"{name}: {page.errors}, {page.foreign}")
            stamp([f"{name}.png"])
            context.close()


@contextmanager
def served(file: Path) -> Iterator[str]:
    """Serve one file in the viewer, and yield the address."""
    server, listener, address = listen([file])
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def run(*arguments: str) -> None:
    """Run a command of the program, and exit as it does if it fails."""
    try:
        app.main(arguments)
    except SystemExit as end:
        if end.code:
            raise


if __name__ == "__main__":
    draw_screenshots()
