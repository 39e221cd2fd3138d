"""Measurements, as ratios against a bare limit, interleaved in one run: `python -m benchmarks`."""
