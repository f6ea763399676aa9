"""Packages that only some exports need: found when asked for, named when absent."""

from __future__ import annotations

import importlib
from typing import Any


def needed(module: str, package: str) -> Any:
    """Import a module of the extra ``export``.

    Raises
    ------
    ValueError
        When it is not installed; the message names the package and the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"the package {package} is not installed: expected the extra export, pip install 'mimo-imaging[export]'"
        ) from error
