"""Draw pictures in which no bright voxel is lost: where voxels outnumber pixels, a pixel shows the largest under it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from matplotlib.artist import allow_rasterization
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

__all__ = ["LargestMesh", "draw_largest", "largest_under_pixels"]

Floats = npt.NDArray[np.float64]


class LargestMesh(QuadMesh):
    """Draws a rectilinear mesh whose cells may be smaller than pixels: each pixel shows the largest cell under it.

    The pixels are those of the file that is written, whose resolution is known only while it is drawn. A mesh whose
    cells are larger than pixels is drawn as it is.
    """

    @allow_rasterization
    def draw(self, renderer: Any) -> None:
        """Draw the cells, or the largest under each pixel of the axes where these are fewer along an axis."""
        axes = cast(Axes, self.axes)
        across, up = self._edges()
        values = np.ma.reshape(np.ma.asarray(self.get_array()), (len(up) - 1, len(across) - 1))
        columns, rows = (max(1, int(side)) for side in axes.bbox.size)
        if values.shape[1] <= columns and values.shape[0] <= rows:
            super().draw(renderer)
            return
        largest, fewer_across, fewer_up = largest_under_pixels(values, across, up, columns, rows)
        mesh = QuadMesh(
            np.stack(np.meshgrid(fewer_across, fewer_up), axis=-1), antialiased=False, cmap=self.cmap, norm=self.norm
        )
        mesh.set(array=largest, transform=axes.transData, figure=self.get_figure(root=False))
        mesh.set_clip_path(axes.patch)
        mesh.draw(renderer)

    def _edges(self) -> tuple[Floats, Floats]:
        corners = np.asarray(self.get_coordinates(), np.float64)
        return corners[0, :, 0], corners[:, 0, 1]


def draw_largest(
    axes: Axes, across: npt.ArrayLike, up: npt.ArrayLike, values: npt.ArrayLike, **options: Any
) -> LargestMesh:
    """Draw values ``(n_up, n_across)``, masked where nothing is to be drawn, between edges, as a `LargestMesh`.

    `options` are those of a matplotlib collection, such as ``norm``, ``cmap`` and ``rasterized``. The limits of the
    axes become the outer edges.
    """
    across, up = np.asarray(across, np.float64), np.asarray(up, np.float64)
    mesh = LargestMesh(np.stack(np.meshgrid(across, up), axis=-1), antialiased=False, array=values, **options)
    mesh.set_clip_path(axes.patch)
    axes.add_collection(mesh, autolim=False)
    axes.set(xlim=across[[0, -1]], ylim=up[[0, -1]])
    return mesh


def largest_under_pixels(
    values: npt.ArrayLike, across: Floats, up: Floats, columns: int, rows: int
) -> tuple[np.ma.MaskedArray[Any, Any], Floats, Floats]:
    """Reduce values between edges to at most `columns` times `rows` equal pixels, each with the largest under it.

    Parameters
    ----------
    values
        ``(n_up, n_across)``; masked values count only where nothing else lies under a pixel.
    across, up
        Edges along the two axes, ascending or descending, ``(n_across + 1,)`` and ``(n_up + 1,)``.
    columns, rows
        Number of pixels along the two axes; an axis with fewer values stays as it is.

    Returns
    -------
    largest, across, up
        The pixels' values, masked where only masked values lie under one, and their edges.
    """
    held: np.ma.MaskedArray[Any, Any] = np.ma.asarray(values)
    data = np.where(np.ma.getmaskarray(held), -np.inf, np.ma.getdata(held)).astype(np.float64)
    data, across = _reduced(data, across, columns, 1)
    data, up = _reduced(data, up, rows, 0)
    return np.ma.masked_equal(data, -np.inf), across, up


def _reduced(values: Floats, edges: Floats, n_pixel: int, axis: int) -> tuple[Floats, Floats]:
    """Take, along an axis, the largest of the value at each pixel's middle and those whose middle is in the pixel."""
    n = values.shape[axis]
    if n <= n_pixel:
        return values, edges
    pixels = np.linspace(edges[0], edges[-1], n_pixel + 1)
    sign = 1.0 if edges[-1] > edges[0] else -1.0
    nearest = np.clip(np.searchsorted(sign * edges, sign * (pixels[1:] + pixels[:-1]) / 2, side="right") - 1, 0, n - 1)
    middles = sign * (edges[1:] + edges[:-1]) / 2
    bounds = np.searchsorted(middles, sign * pixels)
    bounds[0], bounds[-1] = 0, n
    first, last = np.minimum(nearest, bounds[:-1]), np.maximum(nearest + 1, bounds[1:])
    ends = np.stack([first, last], axis=1).ravel()
    padded = np.concatenate([values, np.take(values, [-1], axis)], axis)  # an end may be one beyond the last
    return np.take(np.maximum.reduceat(padded, ends, axis=axis), np.arange(0, len(ends), 2), axis), pixels
