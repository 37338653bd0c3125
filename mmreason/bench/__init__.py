"""Benchmarks that `mmreason bench NAME` runs: each makes its own data and compares in one run.

`decode_*` is the one of reading frames.
"""
