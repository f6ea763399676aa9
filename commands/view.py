"""Show files in the browser: the command view."""

from __future__ import annotations

from pathlib import Path

import click

from mimo.commands.shared import INPUT, example, quiet, say

__all__ = ["view"]


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=INPUT)
@click.option("--watch", is_flag=True, help="Follow the files: show what is written into them meanwhile.")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: a free one.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Another interface: whoever has the link can look."
)
@quiet
@example("mimo view out/demo.h5")
def view(files: tuple[Path, ...], watch: bool, no_browser: bool, port: int, host: str, quiet: bool) -> None:
    """Look at the images of one or more files in the browser, side by side. Ctrl-C ends it."""
    import webbrowser

    from mimo.data import FileError
    from mimo.viewer.server import serve

    for file in files:
        if not file.is_file() and not (watch and not file.exists()):
            raise FileError(file, "no such file: expected an HDF5 file")

    def opened(address: str) -> None:
        say(address if quiet else f"{address}\nCtrl-C ends the viewer.")
        if not no_browser:
            webbrowser.open(address)

    try:
        serve(files, host=host, port=port, watch=watch, opened=opened)
    except KeyboardInterrupt:
        say("", hidden=quiet)
