"""Run resumable jobs that produce files; several processes and machines can share them."""

__all__ = []
