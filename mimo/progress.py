"""Tell how far a long computation has come."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Report", "silent"]

Report = Callable[[float], None]
"""A function that is called with the share done, from 0 to 1, every now and then and at the end."""


def silent(share: float) -> None:
    """Ignore the share done: the default where nobody watches."""
