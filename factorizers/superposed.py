"""Several products superposed in one query: find the strongest, explain it away, go on; then look at each again."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

import vsa
from vsa import UnsupportedError

from .base import Factorizer
from .result import Factorization

__all__ = ["explain_away"]


def explain_away(
    factorizer: Factorizer, query: Tensor, products: int, *, rounds: int = 2, generator: torch.Generator | None = None
) -> Factorization:
    """Factorize a query that superposes several products.

    Each product found is taken out of the query with the weight of its projection, of block codes with an n-th of the
    mass. In further rounds every product is looked for again with all others taken out, so that early mistakes are
    mended.

    Args:
        factorizer: of any method that takes queries of real numbers.
        query: (..., D): a sum of products, for block codes their mean. Not quantised: a sign keeps less.
        products: n, how many the query holds.
        rounds: how often each product is looked for, at least 1.
        generator: of what is random. Default: a new one from the factorizer's seed.

    Returns:
        A factorization with an axis of n products behind the leading axes, in the order in which they were found. Its
        similarities, and what they certify, are those of each product to what the others leave of the query.

    Raises:
        UnsupportedError: an algebra whose vectors cannot hold a sum: ``laws.linear`` is false.
    """
    vsa.validation.check_count("explain_away", "products", products)
    vsa.validation.check_count("explain_away", "rounds", rounds)
    algebra = factorizer.problem.algebra
    if not algebra.laws.linear:
        raise UnsupportedError(
            "explain_away",
            received=f"vectors of {algebra.name}, whose bundle is a vote",
            expected="sums of products",
            hint=algebra.room_for_sums,
        )
    generator = vsa.validation.make_generator("explain_away", generator, factorizer.seed if generator is None else None)
    whole = algebra.embed(query)
    taken = [torch.zeros_like(whole) for _ in range(products)]
    answers: list[Factorization | None] = [None] * products
    work = torch.zeros(products, *query.shape[:-1], dtype=torch.int64, device=query.device)
    steps = torch.zeros_like(work)
    for turn in range(rounds):
        for number in range(products):
            others = sum((part for i, part in enumerate(taken) if i != number), torch.zeros_like(whole))
            rest = whole - others
            if algebra.block_length is not None:
                rest = rest.clamp_min(0)
                rest = rest / rest.unflatten(-1, (-1, algebra.block_length)).sum(-1).amax(-1, keepdim=True).clamp_min(
                    1e-9
                )
            rest = torch.where((rest == 0).all(-1, keepdim=True), whole, rest)  # nothing left: look at the whole again
            answer = factorizer(algebra.unembed(rest), generator=generator)
            before = answers[number]
            if before is not None:  # a second look counts where it explains more
                keep = before.product_similarity > answer.product_similarity
                answer = _choose(keep, before, answer)
            answers[number] = answer
            work[number] += answer.macs
            steps[number] += answer.iterations
            product = algebra.embed(factorizer.problem.product(answer.indices)).to(whole.dtype)
            weight = (rest * product).sum(-1, keepdim=True) / product.square().sum(-1, keepdim=True).clamp_min(1e-12)
            if algebra.block_length is not None:
                weight = torch.full_like(weight, 1 / products)
            taken[number] = weight * product
        if all(answer is not None and bool(answer.valid.all()) for answer in answers) and turn:
            break
    found = _without_repeats([answer for answer in answers if answer is not None])
    axis = query.ndim - 1
    return replace(
        found[0],
        indices=torch.stack([answer.indices for answer in found], axis),
        similarities=torch.stack([answer.similarities for answer in found], axis),
        product_similarity=torch.stack([answer.product_similarity for answer in found], axis),
        iterations=steps.movedim(0, -1),
        converged=torch.stack([answer.converged for answer in found], axis),
        valid=torch.stack([answer.valid for answer in found], axis),
        tau=torch.stack([answer.tau for answer in found], axis),
        false_expected=torch.stack([answer.false_expected for answer in found], axis),
        macs=work.movedim(0, -1),
        trace=None,
    )


def _without_repeats(found: list[Factorization]) -> list[Factorization]:
    """A product found again certifies nothing: the query holds fewer than were asked for."""
    kept: list[Factorization] = []
    for answer in found:
        again = torch.zeros_like(answer.valid)
        for before in kept:
            again |= (before.indices == answer.indices).all(-1) & before.valid
        kept.append(replace(answer, valid=answer.valid & ~again))
    return kept


def _choose(keep: Tensor, before: Factorization, now: Factorization) -> Factorization:
    """Row by row the one or the other; the work is that of now."""

    def pick(old: Tensor, new: Tensor) -> Tensor:
        return torch.where(keep.unsqueeze(-1) if old.ndim > keep.ndim else keep, old, new)

    return replace(
        now,
        indices=pick(before.indices, now.indices),
        similarities=pick(before.similarities, now.similarities),
        product_similarity=pick(before.product_similarity, now.product_similarity),
        converged=pick(before.converged, now.converged),
        valid=pick(before.valid, now.valid),
        tau=pick(before.tau, now.tau),
        false_expected=pick(before.false_expected, now.false_expected),
    )
