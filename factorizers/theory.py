"""Formulas beside which measurements are put: crosstalk, false certificates, the ceiling of block codes."""

from __future__ import annotations

import math
from statistics import NormalDist

import vsa

from .in_memory import chance_threshold

__all__ = [
    "ceiling",
    "chance_threshold",
    "crosstalk_std",
    "exhaustive_macs",
    "false_certificates",
    "false_factorizations",
    "wilson",
]

wilson = vsa.statistics.wilson


def crosstalk_std(width: int) -> float:
    """Standard deviation of the similarity of two unrelated products of bipolar vectors.

    Args:
        width: D.

    Returns:
        1 / sqrt(D): a mean of D independent signs.

    Reference:
        Kanerva, "Hyperdimensional computing", Cognitive Computation 2009.
    """
    return 1 / math.sqrt(width)


def false_certificates(combinations: int, width: int, tau: float) -> float:
    """Expected number of wrong products whose cosine with a query reaches tau.

    Args:
        combinations: size of the search space.
        width: D.
        tau: the bar.

    Returns:
        combinations * P(N(0, 1/D) >= tau).
    """
    return combinations * (1 - NormalDist().cdf(tau * math.sqrt(width)))


def false_factorizations(combinations: int, blocks: int, length: int) -> float:
    """lambda: wrong products that equal a query of block codes by chance.

    Args:
        combinations: size of the search space.
        blocks: K.
        length: L.

    Returns:
        combinations / L^K: each block agrees with probability 1 / L.
    """
    return float(combinations / float(length) ** blocks)


def ceiling(expected: float) -> float:
    """The best accuracy where lambda wrong answers are as good as the right one.

    Args:
        expected: lambda.

    Returns:
        (1 - exp(-lambda)) / lambda: the mean of 1 / (1 + n) for n from Poisson(lambda), a blind choice among them.
    """
    return -math.expm1(-expected) / expected if expected > 0 else 1.0


def exhaustive_macs(sizes: tuple[int, ...], width: int) -> int:
    """Multiply-accumulates of a comparison of a query with every product.

    Args:
        sizes: N of each factor.
        width: D.

    Returns:
        The product of all.
    """
    return math.prod(sizes) * width
