"""Find packages that only a part of the program needs, and name the extra that brings one that is absent."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["MissingExtraError", "missing", "needed"]

PROJECT = "mimo-imaging"

PACKAGES = {"cv2": "opencv-python-headless", "skrf": "scikit-rf"}
"""Names under which modules are installed, where these differ from the names of the modules."""


class MissingExtraError(ImportError, ValueError):
    """Raised when an optional package is not installed; one line says what needs it and which extra installs it.

    It is an `ImportError`, and a `ValueError` too because the user can mend it: the command line prints such errors as
    one line, without the name of a class.
    """


def missing(purpose: str, *modules: str, extra: str, error: ImportError | None = None) -> MissingExtraError:
    """Make the error that names what is absent.

    Parameters
    ----------
    purpose
        What needs the modules, the subject of the sentence.
    modules
        Modules, with or without what they are inside their package.
    extra
        The extra of this project that installs them.
    error
        Why the import failed. It is quoted where something else than an absent module stopped it, a library of the
        system for instance, which installing the extra again would not mend.

    >>> str(missing("mimo view", "starlette", "uvicorn", extra="view"))
    "mimo view needs starlette and uvicorn: pip install 'mimo-imaging[view]'"
    """
    tops = dict.fromkeys(module.split(".")[0] for module in modules)
    names = " and ".join(PACKAGES.get(top, top) for top in tops)
    why = "" if error is None or isinstance(error, ModuleNotFoundError) else f" (import failed: {error})"
    return MissingExtraError(f"{purpose} needs {names}: pip install '{PROJECT}[{extra}]'{why}", name=next(iter(tops)))


def needed(module: str, *more: str, purpose: str, extra: str) -> Any:
    """Import a module of an extra and return it, when `more` modules of the same extra are there, too.

    Raises
    ------
    MissingExtraError
        When one of them cannot be imported; the message names the packages and the extra, as `missing` does.
    """
    try:
        for other in more:
            importlib.import_module(other)
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(purpose, module, *more, extra=extra, error=error) from error
