"""Hand operators, denoisers and files to other people's tools: deepinv, napari."""

__all__ = []
