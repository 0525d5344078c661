"""Benchmarks: commands that measure, with the peers where there are any."""
