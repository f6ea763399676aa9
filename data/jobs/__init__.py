"""Resumable jobs that produce files, shared among processes and machines."""
