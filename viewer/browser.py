"""Show files in the browser from Python; the server's packages are imported only when it is started."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["view"]


def view(paths: Sequence[str | Path], *, port: int = 0, watch: bool = False) -> None:
    """Serve the interactive page of files on this machine until it is interrupted, and print its address.

    Parameters
    ----------
    paths
        Measurement files with images or a truth.
    port
        Port of the address; 0 takes a free one.
    watch
        Show changes of the files, such as those that ``mimo reconstruct --live`` writes.

    Raises
    ------
    mimo.extras.MissingExtraError
        When the extra ``view`` is not installed.
    """
    from mimo.viewer.server import serve

    serve([Path(path) for path in paths], port=port, watch=watch, opened=lambda address: print(address, flush=True))
