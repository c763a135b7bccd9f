"""Whether a puzzle is sound, and whether its answer set gives itself away."""
