"""Puzzles from pictures: files that people have, made into panels as the front-ends take them. No label is read."""
