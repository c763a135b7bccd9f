"""Puzzles as pixels and as pictures; needs OpenCV."""
