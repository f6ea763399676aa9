"""Run resumable jobs that produce files, shared among processes and machines."""

__all__ = []
