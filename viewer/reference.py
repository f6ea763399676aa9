"""What 0 dB is, where images of several methods stand side by side."""

from __future__ import annotations

from collections.abc import Sequence

UNITLESS = frozenset(
    {
        "auto-physics",
        "backprojection",
        "backprojection-factorised",
        "backprojection-fast",
        "kirchhoff",
        "range-migration",
    }
)
"""Methods that sum what was measured: their images are proportional to reflectivity, by a factor that nobody knows."""


def references(names: Sequence[str], peaks: Sequence[float], *, common: bool) -> list[float]:
    """Return the magnitude of 0 dB of each image.

    Parameters
    ----------
    names, peaks
        Method and largest magnitude of each image.
    common
        The largest of all; images of `UNITLESS` methods are brought to that scale by their own maximum. Else every
        image is.

    Returns
    -------
    list
        Positive: 1 where there is nothing but zeros.

    >>> references(["truth", "l1", "kirchhoff"], [2.0, 1.5, 1e8], common=True)
    [2.0, 2.0, 100000000.0]
    """
    with_unit = [peak for name, peak in zip(names, peaks, strict=True) if name not in UNITLESS]
    most = max(with_unit, default=0.0)
    return [(most if common and n not in UNITLESS else peak) or 1.0 for n, peak in zip(names, peaks, strict=True)]
