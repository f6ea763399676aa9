"""Benchmarks: operators, solvers and jobs against the published way of computing them and the machine's bound."""
