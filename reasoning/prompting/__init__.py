"""Puzzles as text for language models, and their answers."""
