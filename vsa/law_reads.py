"""Laws of what is made of an algebra: a codebook's reads and a growing bundle say what the algebra itself says."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .accumulator import Accumulator
from .codebook import Codebook
from .law_case import Case, LawError, difference
from .validation import real_dtype

__all__ = ["READ_LAWS"]

# Weights that tie: each beside the integers of which it is a multiple.
_TIES = (
    ((0.25, 0.25, 0.25, 0.25), (1, 1, 1, 1)),
    ((0.1, 0.2, 0.3, 0.6), (1, 2, 3, 6)),
    ((0.2, 0.2, 0.3, 0.7), (2, 2, 3, 7)),
    ((0.5, 0.0, 0.25, 0.25), (2, 0, 1, 1)),
)
_SAME = 0.9  # similarity of a vote to itself, where a rounding decides between two that are equally near
_SIZES = {torch.float16: (1e-2, 1.0, 2e3)}  # of queries; others have a float32's range
_ALL_SIZES = (1e-25, 1.0, 1e25)
_ROUNDINGS = 8.0  # of which a read may be off


def _superposition(c: Case) -> float:
    """Superposing a codebook, bundling with weights, adding one by one, and repeating vectors are the same."""
    a, worst = c.algebra, 0.0
    x = c.vectors(4)
    book = Codebook(a, x, unrelated=False)
    for shares, times in _TIES:
        for weights in (torch.tensor(shares, dtype=c.real), torch.rand(4, generator=c.generator, dtype=c.real)):
            running = Accumulator(a)
            for vector, weight in zip(x, weights.tolist(), strict=True):
                running.add(vector, weight)
            for found in (book.superpose(weights), running.bundle()):
                worst = max(worst, _same(c, found, a.bundle(x, weights)))
            worst = max(worst, _some(c, book, weights))
        if not a.laws.linear:
            repeated = torch.cat([x[i : i + 1].expand(n, -1) for i, n in enumerate(times)])
            worst = max(worst, _same(c, a.bundle(x, torch.tensor(shares, dtype=c.real)), a.bundle(repeated)))
    return worst


def _some(c: Case, book: Codebook, weights: Tensor) -> float:
    """Superposing some atoms is superposing all with weights that are zero elsewhere, in any order."""
    worst = 0.0
    for rows in ([2], [3, 1], [2, 0, 3], [1, 0, 3, 2], [2, 2, 1]):
        some, shares = torch.tensor(rows), weights[: len(rows)]
        whole = torch.zeros_like(weights).index_add(0, some, shares)
        batch = book.superpose_some(torch.stack([some, some.flip(0)]), torch.stack([shares, shares.flip(0)]))
        for found in (book.superpose_some(some, shares), *batch):
            worst = max(worst, _same(c, found, book.superpose(whole)))
    return worst


def _same(c: Case, found: Tensor, expected: Tensor) -> float:
    if c.algebra.laws.linear:
        return c.equal(found, expected)
    alike = float(c.algebra.similarity(found, expected) / c.algebra.similarity(expected, expected))
    if alike < (1.0 if c.algebra.settles else _SAME):
        raise LawError("superpose", received=f"similarity {alike:.3g} to the bundle", expected="the same vector")
    return 0.0


def _reads(c: Case) -> float:
    """A codebook's reads are the algebra's, in every dtype, of queries small and large."""
    a, worst = c.algebra, 0.0
    for form in a.forms:
        for dtype in form.dtypes:
            x = a.random(5, generator=c.generator, dtype=dtype)
            queries = [x[:2]]
            if a.laws.linear and (dtype.is_floating_point or dtype.is_complex):
                queries += [a.bundle(x[:3]).unsqueeze(0) * size for size in _SIZES.get(dtype, _ALL_SIZES)]
            book = Codebook(a, x, unrelated=False)
            eps = torch.finfo(real_dtype(dtype)).eps
            for query in queries:
                what, pairs = f"{dtype} query", query.unsqueeze(-2)
                alike, cosine = a.similarity(pairs, x), a.cosine(pairs, x)
                worst = max(worst, _near(f"similarity of a {what}", book.similarity(query), alike, eps))
                worst = max(worst, _near(f"topk of a {what}", book.topk(query, 2)[0], alike.topk(2).values, eps))
                worst = max(worst, _near(f"cosine of a {what}", book.cosine(query), cosine, eps))
                worst = max(worst, _near(f"similarity_to_set of a {what}", a.similarity_to_set(query, x), alike, eps))
                for measure, expected in (("similarity", alike), ("cosine", cosine)):
                    found = book.cleanup(query, measure=measure).similarities  # type: ignore[arg-type]
                    worst = max(worst, _near(f"cleanup of a {what}", found, expected.amax(-1), eps))
    return worst


def _near(what: str, found: Tensor, expected: Tensor, eps: float) -> float:
    """The largest difference, over the largest value."""
    error = float((difference(found, expected).max() / expected.abs().max().double()).nan_to_num(torch.inf))
    if not error <= max(_ROUNDINGS * eps, 1e-9):
        raise LawError(what, received=f"a relative error of {error:.3g}", expected="what the algebra says")
    return error


READ_LAWS: dict[str, Callable[[Case], float]] = {"superposition": _superposition, "reads": _reads}
