"""Measure the speed of operators, solvers and jobs against the published way and the machine's bound."""

__all__ = []
