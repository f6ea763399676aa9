"""Read, write, check and join the program's HDF5 files."""

__all__ = []
