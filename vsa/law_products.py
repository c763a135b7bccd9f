"""The laws of what an algebra declares about products: by these a factorizer takes it or refuses it.

What is not claimed is skipped: it costs the algebra a factorizer, not a right answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .law_case import PAIRS, Case, LawError, Skipped
from .models._spectral import Spectral

__all__ = ["PRODUCT_LAWS"]

_FACTORS = (1, 3, 5)  # of the products whose chance is measured: more make a heavy tail plainer
_PIECES = 8  # in which their sample is made, to bound the memory


def _adjoint(c: Case) -> float:
    if not c.algebra.laws.adjoint:
        raise Skipped("laws.adjoint is not claimed")
    a, errors = c.algebra, [0.0]
    for x, y, z in (c.vectors(3, 5), c.bundles(3, 5)):
        left, right = _inner(c, a.bind(x, y), z), _inner(c, y, a.unbind(z, x))
        errors.append(c.equal(left, right, c.tolerance * max(1.0, float(left.abs().max()))))
    return max(errors)


def _signs(c: Case) -> float:
    if not c.algebra.laws.signs:
        raise Skipped("laws.signs is not claimed")
    a, errors = c.algebra, []
    for form in a.forms:
        x, y = (a.random(5, generator=c.generator, dtype=form.dtypes[0]) for _ in range(2))
        e, f = a.embed(x), a.embed(y)
        errors.append(c.equal(e.abs(), torch.ones_like(e)))
        errors += [c.equal(a.embed(operation(x, y)), e * f) for operation in (a.bind, a.unbind)]
        errors.append(c.equal(a.embed(a.unembed(e * f)), e * f))
    return max(errors)


def _sign_pairs(c: Case) -> float:
    if not c.algebra.laws.sign_pairs:
        raise Skipped("laws.sign_pairs is not claimed")
    c.needs("negative")
    a, (x, y) = c.algebra, c.vectors(2, 5)
    both = c.equal(a.bind(a.negative(x), a.negative(y)), a.bind(x, y))
    turned = a.similarity(a.bind(a.negative(x), y), a.bind(x, y)) + a.similarity(a.bind(x, y), a.bind(x, y))
    return max(both, c.equal(turned, torch.zeros_like(turned)))


def _blocks(c: Case) -> float:
    a, length = c.algebra, c.algebra.block_length
    if length is None:
        raise Skipped("block_length is not declared")
    e, blocks = a.embedding, a.embedding.width // length
    if blocks * length != e.width or e.offset or not math.isclose(e.scale * blocks, 1.0):
        raise LawError("embedding", received=e, expected=f"K blocks of {length} entries, of scale 1 / K, offset 0")
    errors = [0.0]
    for form in a.forms:
        x, y = (a.random(5, generator=c.generator, dtype=form.dtypes[0]) for _ in range(2))
        u, v = (a.embed(z).unflatten(-1, (blocks, length)) for z in (x, y))
        errors.append(c.equal(u, torch.nn.functional.one_hot(u.argmax(-1), length)))
        if a.storage(x).block_length != length:
            raise LawError("storage", received=a.storage(x).block_length, expected=f"the block length, {length}")
        index = torch.int64 in form.dtypes
        errors.append(c.equal(x.remainder(length) if index else x, u.argmax(-1) if index else u.flatten(-2)))
        for operation, turn in ((a.bind, 1), (a.unbind, -1)):
            place = a.embed(operation(x, y)).unflatten(-1, (blocks, length)).argmax(-1)
            errors.append(c.equal(place, (u.argmax(-1) + turn * v.argmax(-1)).remainder(length)))
    return max(errors)


def _spectral(c: Case) -> float:
    a = c.algebra
    if not isinstance(a, Spectral):
        raise Skipped("no spectral form is claimed")
    x, y = c.vectors(2, 5)
    s, t = a.spectrum(x), a.spectrum(y)
    errors = [c.equal(a.spectrum(a.bind(x, y)), s * t), c.equal(a.spectrum(a.unbind(x, y)), s * t.conj())]
    errors.append(c.equal(a.from_spectrum(s), a.embed(x)))
    errors.append(c.equal(a.spectral_similarity(s, t), a.similarity(x, y)))
    return max(errors)


def _relaxed(c: Case) -> float:
    a, soft = c.algebra, c.algebra.relaxed
    if soft == a:
        raise Skipped("relaxed is the algebra itself")
    if not soft.laws.linear or soft.embedding != a.embedding or soft.block_length != a.block_length:
        raise LawError("relaxed", received=soft, expected="sums, in the same embedding and blocks")
    x, y = c.vectors(2, 5)
    u, v = (soft.unembed(a.embed(z, c.real)) for z in (x, y))
    errors = [c.equal(soft.embed(u, c.real), a.embed(x, c.real))]
    for hard, easy in ((a.bind, soft.bind), (a.unbind, soft.unbind)):
        errors.append(c.equal(soft.embed(easy(u, v)), a.embed(hard(x, y), c.real), 1e-4))
    return max(errors)


def _products(c: Case) -> float:
    """4,096 pairs of products of one, three and five: mean, variance, and a fourth moment that no tail makes larger."""
    a, claimed = c.algebra, c.algebra.laws.products
    if claimed == "unknown":
        raise Skipped("laws.products is not claimed")
    errors = [0.0]
    if claimed == "flattened":
        x, y = c.vectors(2, 5)
        errors.append(c.equal(a.flatten(a.bind(x, y)), a.bind(a.flatten(x), a.flatten(y)), 1e-6))
        errors.append(c.equal(a.flatten(a.flatten(x)), a.flatten(x), 1e-6))
    for factors in _FACTORS:
        parts = [_standardised(c, factors, claimed == "flattened" and factors > 1) for _ in range(_PIECES)]
        sample = torch.cat(parts)
        errors.append(c.near(sample, 0.0, f"mean chance of products of {factors}"))
        errors.append(c.near(sample.square(), 1.0, f"its variance times E, of products of {factors}"))
        fourth = sample.double().pow(4)
        bar = 3.0 + 5.0 * math.sqrt(96 / len(fourth))  # of normal numbers z, z^4 has the variance 96
        if float(fourth.mean()) > bar:
            raise LawError(
                f"chance of products of {factors}",
                received=f"a fourth moment of {float(fourth.mean()):.3g}",
                expected=f"3, that of normal ones, up to {bar:.3g}",
            )
    return max(errors)


def _phases(c: Case) -> float:
    count = c.algebra.phases
    if count is None:
        raise Skipped("phases is not declared")
    x, y = 2 * math.pi * torch.rand(2, 5, count, generator=c.generator, dtype=c.real)
    make = c.algebra.from_phases
    return c.equal(c.algebra.bind(make(x), make(y)), make(x + y))


def _inner(c: Case, x: Tensor, y: Tensor) -> Tensor:
    return (c.algebra.embed(x, c.real) * c.algebra.embed(y, c.real)).sum(-1)


def _standardised(c: Case, factors: int, flatten: bool) -> Tensor:
    """Cosines of unrelated products, times the root of E: normal of variance 1 as far as ``products`` claims."""
    a = c.algebra
    x, y = (a.bind_all(c.vectors(PAIRS // _PIECES, factors)) for _ in range(2))
    u, v = a.embed(x, c.real), a.embed(a.flatten(y) if flatten else y, c.real)
    norms = (u.square().sum(-1) * v.square().sum(-1)).sqrt()
    return (u * v).sum(-1) / norms * math.sqrt(a.embedding.width)


PRODUCT_LAWS: dict[str, Callable[[Case], float]] = {
    law.__name__.removeprefix("_"): law
    for law in (_adjoint, _signs, _sign_pairs, _blocks, _spectral, _relaxed, _products, _phases)
}
