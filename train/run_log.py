"""Tell what a training run does: lines for the caller and in a file, and TensorBoard's files where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Log"]


class Log:
    """Lines of text in ``log.txt`` and to the caller, and TensorBoard's files when it is installed; or nothing."""

    def __init__(self, out_dir: Path | None, report: Callable[[str], None]) -> None:
        self.path, self.report = None if out_dir is None else out_dir / "log.txt", report
        self.writer: Any = None
        if out_dir is None:
            return
        out_dir.mkdir(parents=True, exist_ok=True)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return  # the text log says the same
        self.writer = SummaryWriter(str(out_dir / "tensorboard"))

    def line(self, text: str) -> None:
        """Write a line."""
        if self.path is None:
            return
        with self.path.open("a") as file:
            file.write(text + "\n")
        self.report(text)

    def row(self, step: int, samples: int, seconds: float, figures: dict[str, float]) -> None:
        """Write the figures of a step."""
        values = "  ".join(f"{name} {value:.5g}" for name, value in figures.items())
        self.line(f"step {step:6d}  samples {samples:7d}  {seconds:7.0f} s  {values}")
        if self.writer is not None:
            for name, value in figures.items():
                self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush TensorBoard's files."""
        if self.writer is not None:
            self.writer.close()
