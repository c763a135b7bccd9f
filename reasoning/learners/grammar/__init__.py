"""Exact inference over the grammar of the matrices: how probable panels are under each rule, drawn as generated.

Everything is a likelihood ratio against entities drawn at random, so the numbers of different rules can be added.
"""
