"""Name the images of a scene, for figures, exports and the page; without what draws, so that it loads at once."""

from __future__ import annotations

__all__ = ["STD", "TRUTH"]

TRUTH = "truth"
"""Name of the true reflectivity among the images."""

STD = ":std"
"""After a method's name, the standard deviation of its image, where the file has it: ``two-stage:std``."""
