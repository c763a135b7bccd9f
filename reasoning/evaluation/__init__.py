"""Benchmarks: one model, one seed, one puzzle set at a time."""
