"""FORA: formulas over roles, abduced. Our own learner; see :mod:`reasoning.learners.fora.model`."""
