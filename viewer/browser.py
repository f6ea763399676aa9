"""Show files in the browser from Python; the server is looked for when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["view"]


def view(paths: Sequence[str | Path], *, port: int = 0, watch: bool = False) -> None:
    """Serve the interactive page of files on this machine until it is interrupted, and print its address.

    Parameters
    ----------
    paths
        Files of the schema.
    port
        Of the address; 0 for any that is free.
    watch
        Follow files that change, as a run with ``--live`` does.

    Raises
    ------
    mimo.extras.MissingExtraError
        Without the extra ``view``.
    """
    from mimo.viewer.server import serve

    serve([Path(path) for path in paths], port=port, watch=watch, opened=lambda address: print(address, flush=True))
