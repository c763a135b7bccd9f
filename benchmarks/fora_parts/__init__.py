"""The parts of ``benchmarks/fora.py``."""
