"""Formulas over roles, and what they say of a scene: the parts of ``reasoning.learners.fora``."""
