"""Perception front-ends, abductive learners, training, benchmark and explanation."""
