"""Measure the speed of operators, solvers and jobs, compared with published code and with the machine's limit."""

__all__ = []
