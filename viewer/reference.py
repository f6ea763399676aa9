"""Choose the magnitude that 0 dB stands for, where images of several methods are shown side by side."""

from __future__ import annotations

from collections.abc import Sequence

from mimo.recon import METHODS

__all__ = ["is_relative", "references"]


def is_relative(method: str, scale: str) -> bool:
    """Whether an image's numbers are known up to a factor only, by what is stored with it.

    An image that says nothing, of an earlier version of the program, is judged by its method; of a method that nobody
    knows, such as a network in a file, it counts as relative.
    """
    known = scale or (METHODS[method].scale if method in METHODS else "relative")
    return known == "relative"


def references(relative: Sequence[bool], peaks: Sequence[float], *, common: bool) -> list[float]:
    """Return the magnitude of 0 dB of each image.

    Parameters
    ----------
    relative, peaks
        Whether each image is known up to a factor only (`is_relative`), and its largest magnitude.
    common
        The largest of all; relative images are brought to that scale by their own maximum. Else every image is.

    Returns
    -------
    list
        Positive: 1 where there is nothing but zeros.

    >>> references([False, False, True], [2.0, 1.5, 1e8], common=True)
    [2.0, 2.0, 100000000.0]
    """
    most = max((peak for peak, alone in zip(peaks, relative, strict=True) if not alone), default=0.0)
    return [(peak if alone or not common else most) or 1.0 for peak, alone in zip(peaks, relative, strict=True)]
