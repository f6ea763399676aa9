"""Choose the magnitude that 0 dB stands for, where images of several methods are shown side by side."""

from __future__ import annotations

from collections.abc import Sequence

from mimo.recon import METHODS

__all__ = ["is_relative", "references"]


def is_relative(method: str, scale: str) -> bool:
    """Say whether an image's values are known only up to a factor, from the scale that is stored with it.

    An image of an earlier version of the program has no scale and is judged by its method; if the method is unknown,
    such as a network in a file, it counts as relative.
    """
    known = scale or (METHODS[method].scale if method in METHODS else "relative")
    return known == "relative"


def references(relative: Sequence[bool], peaks: Sequence[float], *, common: bool) -> list[float]:
    """Return the magnitude that is 0 dB for each image.

    Parameters
    ----------
    relative, peaks
        For each image, whether it is known only up to a factor (`is_relative`), and its largest magnitude.
    common
        Take the largest of all peaks for all images but relative ones, which keep their own. Otherwise every image
        keeps its own.

    Returns
    -------
    list
        Positive magnitudes; 1 for an image of zeros.

    >>> references([False, False, True], [2.0, 1.5, 1e8], common=True)
    [2.0, 2.0, 100000000.0]
    """
    most = max((peak for peak, alone in zip(peaks, relative, strict=True) if not alone), default=0.0)
    return [(peak if alone or not common else most) or 1.0 for peak, alone in zip(peaks, relative, strict=True)]
