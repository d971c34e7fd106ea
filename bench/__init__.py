"""Benchmarks: what we do against the physical limit, as ratios within one run. `make bench`."""
