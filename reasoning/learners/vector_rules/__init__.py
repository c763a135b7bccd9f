"""The rules of NVSA on vectors and on sets of slots."""
