"""Write HDF5 files safely: a write that fails is raised later, in Python, not in the middle of HDF5's C code."""

from __future__ import annotations

import io
from pathlib import Path

__all__ = ["SafeFile"]


class SafeFile(io.RawIOBase):
    """Opens an empty file for HDF5 to write to; it keeps the first error for `check` and tells HDF5 that all went well.

    HDF5 cannot close a file whose writes fail: it prints a page of errors, or ends the process. Once a write has failed
    nothing more is written; `check` raises the error, and the caller deletes the file.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file = path.open("r+b", buffering=0)

    def check(self) -> None:
        """Raise the error that was kept, if any."""
        if self.error is not None:
            raise self.error

    def write(self, data: object) -> int:
        """Write all of `data`, or keep the error."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type] # whatever buffer h5py hands over
        done = 0
        try:
            while self.error is None and done < len(view):
                done += self._file.write(view[done:]) or 0
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, or keep the error."""
        try:
            if self.error is None:
                return self._file.truncate(size)
        except OSError as error:
            self.error = error
        return size or 0

    def readinto(self, buffer: object) -> int:
        """Fill `buffer` from the file; bytes that a failed write left out read as zeros."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        done = self._file.readinto(view) or 0
        view[done:] = bytes(len(view) - done)
        return len(view)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Close the file; an error of the last flush is kept for `check`."""
        if not self.closed:
            try:
                self._file.close()
            except OSError as error:
                self.error = self.error or error
        super().close()
