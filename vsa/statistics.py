"""What random vectors do by chance: crosstalk of a codebook, and how many items a bundle holds.

Reference:
    Frady, Kleyko, Sommer, "A theory of sequence indexing and working memory in recurrent neural networks", Neural
    Computation 2018 (accuracy of retrieval from a superposition).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .algebra import Algebra
from .codebook import Codebook
from .errors import UnsupportedError
from .validation import check_count, check_kind

__all__ = [
    "BundleScores",
    "Crosstalk",
    "bundle_scores",
    "bundling_accuracy",
    "crosstalk",
    "retrieval_accuracy",
    "wilson",
]


@dataclass(frozen=True)
class Crosstalk:
    """Similarities of different atoms of a codebook.

    Args:
        mean: measured over all pairs.
        std: measured over all pairs.
        largest: the most that two different atoms are alike.
        expected_mean: of random atoms of this algebra.
        expected_std: of random atoms of this algebra.
        pairs: how many were measured.
    """

    mean: float
    std: float
    largest: float
    expected_mean: float
    expected_std: float
    pairs: int


@dataclass(frozen=True)
class BundleScores:
    """Similarity of a bundle to an atom that is in it (hit) and to one that is not (miss).

    Both are normal for large D; for block codes, for many blocks.

    Args:
        hit_mean: mean, for what is in the bundle.
        hit_std: standard deviation, for what is in the bundle.
        miss_mean: mean, for what is not.
        miss_std: standard deviation, for what is not.
    """

    hit_mean: float
    hit_std: float
    miss_mean: float
    miss_std: float


def crosstalk(book: Codebook) -> Crosstalk:
    """Measure how alike different atoms are, beside what chance gives.

    Args:
        book: (N, D), N at least 3.

    Returns:
        Mean, standard deviation and maximum over the N (N - 1) / 2 pairs.
    """
    check_kind("crosstalk", book, Codebook, "a Codebook")
    check_count("crosstalk", "atoms", len(book), least=3)
    laws = book.algebra.laws
    rows, columns = torch.triu_indices(len(book), len(book), 1)
    values = book.similarity(_canonical(book))[..., rows, columns].double()
    return Crosstalk(
        float(values.mean()),
        float(values.std()),
        float(values.max()),
        laws.crosstalk_mean,
        laws.crosstalk_std,
        values.numel(),
    )


def bundle_scores(algebra: Algebra, items: int) -> BundleScores:
    """What similarities to expect of a bundle of random atoms.

    Where bundling is a sum, a hit is 1 plus the crosstalk of the others; where it is a vote, see the algebra's
    ``vote_similarity``.

    Args:
        algebra: of the vectors.
        items: n, the number of atoms in the bundle.

    Returns:
        Means and standard deviations.
    """
    check_kind("bundle_scores", algebra, Algebra, "an algebra", "see vsa.get")
    check_count("bundle_scores", "items", items)
    laws = algebra.laws
    mean, std = laws.crosstalk_mean, laws.crosstalk_std
    if not laws.linear:
        return BundleScores(*algebra.vote_similarity(items), mean, std)
    others = items - 1
    return BundleScores(1 + others * mean, math.sqrt(others) * std, items * mean, math.sqrt(items) * std)


def retrieval_accuracy(scores: BundleScores, atoms: int) -> float:
    """How often an atom that is in the bundle beats all that are not.

    Args:
        scores: of the bundle.
        atoms: N, the codebook's size: one hit against N - 1 misses.

    Returns:
        The integral of phi(h) Phi((h - miss_mean) / miss_std)^(N - 1) over the similarity h of the hit.
    """
    check_kind("retrieval_accuracy", scores, BundleScores, "the scores of a bundle", "see bundle_scores")
    check_count("retrieval_accuracy", "atoms", atoms)
    if scores.hit_std == 0.0:
        return _normal_cdf(torch.tensor((scores.hit_mean - scores.miss_mean) / scores.miss_std)).item() ** (atoms - 1)
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    margin = (scores.hit_mean + z * scores.hit_std - scores.miss_mean) / scores.miss_std
    return float(torch.trapezoid(density * _normal_cdf(margin) ** (atoms - 1), z))


def bundling_accuracy(algebra: Algebra, items: int, atoms: int) -> float:
    """How often the atom at one place of a record of random atoms is read back right.

    n items are bound with n random keys and bundled; one key is unbound, and the most similar of N atoms is taken.

    Args:
        algebra: of the vectors, with exact unbinding (``laws.exact_keys`` not "none").
        items: n.
        atoms: N.

    Returns:
        From 1 / N to 1.
    """
    check_kind("bundling_accuracy", algebra, Algebra, "an algebra", "see vsa.get")
    if algebra.laws.exact_keys == "none":
        raise UnsupportedError(
            f"{algebra.name} bundling_accuracy",
            received="an algebra whose unbinding is approximate",
            expected="one with exact keys",
            hint="use retrieval_accuracy(bundle_scores(algebra, items), atoms): a bundle without keys",
        )
    return retrieval_accuracy(bundle_scores(algebra, items), atoms)


def _normal_cdf(z: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(z.double() / math.sqrt(2)))


def _canonical(book: Codebook) -> Tensor:
    return book.algebra.unembed(book.algebra.embed(book.atoms))


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share, which also makes sense at 0 and 1.

    Args:
        right: successes.
        total: trials, at least 1.
        z: 1.96 is 95 %.

    Returns:
        Lower and upper end.
    """
    share, scale = right / total, 1 + z * z / total
    center = (share + z * z / (2 * total)) / scale
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale
    return max(0.0, center - half), min(1.0, center + half)
