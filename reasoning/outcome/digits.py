"""Numbers for people."""

from __future__ import annotations

__all__ = ["two_digits"]


def two_digits(value: float) -> str:
    """Two digits behind the point, and no minus before a zero."""
    return f"{value:.2f}".replace("-0.00", "0.00")
