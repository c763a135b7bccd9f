"""How puzzles are made: matrices by rules, answer sets, whole data sets."""
