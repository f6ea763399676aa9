"""Write frames as a film, GIF or MP4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mimo.extras import needed

__all__ = ["write_gif", "write_mp4"]

Frame = npt.NDArray[np.uint8]


def write_gif(path: Path, frames: Iterable[Frame], fps: float) -> None:
    """Write frames, uint8 ``(height, width, 3)``, as an endlessly repeated GIF with one palette for all frames.

    The palette is that of the first frame, which is quick, and enough where the colours are the same from all sides.
    GIF counts time in hundredths of a second: the time of a frame is rounded to such, and is at least two.
    """
    iterator = iter(frames)
    first = Image.fromarray(next(iterator))
    palette = first.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    rest = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in iterator)
    duration = 10 * max(2, round(100 / fps))
    palette.save(path, format="GIF", save_all=True, append_images=rest, duration=duration, loop=0, optimize=False)


def write_mp4(path: Path, frames: Iterable[Frame], fps: float) -> None:
    """Write frames, uint8 ``(height, width, 3)`` of even height and width, as MP4 with the VP9 codec.

    VP9 has an encoder with a permissive licence; browsers, VLC and mpv play it.

    Raises
    ------
    ValueError
        When the extra is not installed, its build has no VP9 encoder, or the frames cannot be read back.
    """
    cv2 = needed("cv2", purpose="a film as MP4", extra="export")
    iterator: Iterator[Frame] = iter(frames)
    first = next(iterator)
    height, width = first.shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"vp09"), fps, (width, height))
    try:
        if not writer.isOpened():
            raise ValueError("this build of OpenCV has no VP9 encoder: expected one, or .gif")
        n_frame = 0
        for frame in chain([first], iterator):
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
            n_frame += 1
    finally:
        writer.release()
    found = _readable_frames(cv2, path)
    if found != n_frame:  # OpenCV says nothing of a full disk
        raise ValueError(f"{found} of {n_frame} frames can be read back: expected room on the disk")


def _readable_frames(cv2: Any, path: Path) -> int:
    reader = cv2.VideoCapture(str(path))
    try:
        n = 0
        while reader.grab():
            n += 1
        return n
    finally:
        reader.release()
