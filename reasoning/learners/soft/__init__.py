"""Soft formulas over panels as spectra: what ARLC and Learn-VRF have in common."""
