"""Random subsets and thresholds of the block-code factorizer: as published for single sizes, and by a rule for all."""

from __future__ import annotations

import math
from functools import cache

__all__ = ["PUBLISHED", "subset_rule", "threshold_rule"]

# Hersche et al. 2024: (D, K, F, N) -> (A, T), tuned for each size.
PUBLISHED = {
    (512, 4, 2, 105): (0, 0.0),
    (512, 4, 2, 1155): (238, 0.0076),
    (512, 4, 2, 3014): (67, 0.0115),
    (512, 4, 3, 22): (15, 0.0034),
    (512, 4, 3, 49): (16, 0.0063),
    (512, 4, 3, 94): (15, 0.0066),
    (512, 4, 3, 209): (49, 0.0084),
    (512, 8, 2, 348): (123, 0.0056),
    (512, 8, 3, 94): (33, 0.0127),
    (1024, 4, 2, 1155): (199, 0.0031),
    (1024, 4, 3, 94): (16, 0.003),
}


@cache
def subset_rule(size: int, factors: int, blocks: int, length: int) -> tuple[int, float]:
    """A and T: the subset that finds the right atom most often, with a threshold that narrows the search.

    With A atoms of equal weight in each of the F - 1 other estimates, A^(F-1) products fall on the L positions of a
    block, Poisson with mean A^(F-1) / L. Where the right ones are among them, probability (A / N)^(F-1), the right
    atom has one more in all K blocks. An atom survives that is hit t times in every block. A and t are those for which
    the right atom survives most often, provided that those that survive by chance are fewer than half a subset, else
    the search does not narrow, and fewer than .8 L, else their superposition fills the blocks. A is at most N / 5 for
    two factors, N / 2 for more.

    Args:
        size: N.
        factors: F.
        blocks: K.
        length: L.

    Returns:
        A, and T, which lies half a hit below t.

    Reference:
        Hersche et al. 2024 tuned A and T for each size; the rule is ours.
    """
    if factors == 1 or size < 4:
        return 0, 0.0
    best = (0.0, 1, 0.5)
    for sample in sorted({max(1, round(1.05**power)) for power in range(200)}):
        products = sample ** (factors - 1)
        if sample > max(2, size // (5 if factors == 2 else 2)) or products / length > 60:
            break
        threshold = threshold_rule(size, sample, products, blocks, length)
        right = _at_least(round(threshold * products - 0.5), (products - 1) / length) ** blocks
        rate = (sample / size) ** (factors - 1) * right
        if threshold < 1 and rate > best[0]:
            best = (rate, sample, threshold)
    return best[1], best[2]


@cache
def threshold_rule(size: int, sample: int, products: int, blocks: int, length: int) -> float:
    """T: half a hit below the least t for which few enough atoms are hit t times in every block by chance.

    Args:
        size: N.
        sample: A of this factor.
        products: that the subsets of the other factors make.
        blocks: K.
        length: L.

    Returns:
        (t - 1/2) / products; 0 where no subsets are drawn.
    """
    if not sample:
        return 0.0
    for hits in range(1, min(products, 400) + 1):
        if size * _at_least(hits, products / length) ** blocks <= min(sample / 2, 0.8 * length):
            return (hits - 0.5) / products
    return 1.0


def _at_least(hits: int, mean: float) -> float:
    """P(Poisson(mean) >= hits)."""
    below, term = 0.0, math.exp(-mean)
    for k in range(hits):
        below += term
        term *= mean / (k + 1)
    return max(0.0, 1 - below)
