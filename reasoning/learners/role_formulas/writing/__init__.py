"""Values as vectors and back: the alphabet, how it is read, and superpositions of its atoms."""
