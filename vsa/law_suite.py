"""The laws, one function each: it returns the largest error, or raises. Run by :mod:`vsa.checks`.

Those of products, by which factorizers go, are in :mod:`vsa.law_products`, those of reads in :mod:`vsa.law_reads`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable

import torch
from torch import Tensor

from .accumulator import Accumulator
from .errors import UnsupportedError
from .law_case import PAIRS, Case, LawError, Skipped, difference
from .law_products import PRODUCT_LAWS
from .law_reads import READ_LAWS

__all__ = ["ALGEBRA_LAWS", "Case", "LawError", "Skipped", "difference"]

_ORDER_FREE = 0.98  # similarity of a vote to itself in another order
_KEPT = 1 / 3  # of what a nested vote with fair ties would keep of each member
_FINITE_SIZE = 3.0  # an expectation stated for large D may be off by this much over D


def _random(c: Case) -> float:
    x = c.vectors(2, 3)
    first, second = (c.algebra.random(4, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    c.valid("random", x)
    if float(difference(c.vectors(), c.vectors()).max()) == 0.0:
        raise LawError("random", received="the same vector twice", expected="a generator that moves on")
    return c.equal(first, second, 0.0)


def _identity(c: Case) -> float:
    c.needs("identity")
    x, e = c.bundles(5), c.algebra.identity(dtype=c.dtype)
    return max(c.equal(c.algebra.bind(x, e), x), c.equal(c.algebra.unbind(x, e), x))


def _commutative(c: Case) -> float:
    x, y = c.bundles(5), c.bundles(5)
    return c.claim(c.algebra.laws.commutative, c.algebra.bind(x, y), c.algebra.bind(y, x))


def _associative(c: Case) -> float:
    (x, y, z), bind = c.bundles(3, 5), c.algebra.bind
    return c.claim(c.algebra.laws.associative, bind(bind(x, y), z), bind(x, bind(y, z)))


def _distributive(c: Case) -> float:
    x, y = c.vectors(5), c.vectors(5, 3)
    weights = None if c.algebra.laws.linear else torch.tensor([1.0, 2.0, 4.0], dtype=c.real)  # no tie among these
    left = c.algebra.bind(x, c.algebra.bundle(y, weights))
    right = c.algebra.bundle(c.algebra.bind(x.unsqueeze(-2), y), weights)
    return c.claim(c.algebra.laws.distributive, left, right)


def _self_inverse(c: Case) -> float:
    x, y = c.vectors(2, 64)
    return c.claim(c.algebra.laws.self_inverse, c.algebra.bind(c.algebra.bind(x, y), y), x)


def _unbinding(c: Case) -> float:
    laws, a = c.algebra.laws, c.algebra
    if laws.exact_keys == "none":
        x, y = c.vectors(2, PAIRS)
        back = a.unbind(a.bind(x, y), y)
        limit = c.near(a.cosine(back, x), laws.unbinding_cosine, "unbinding_cosine", slack=_FINITE_SIZE / a.dim)
        return max(limit, c.near(a.similarity(back, x), laws.unbinding_similarity, "unbinding"))
    y = c.bundles(5) if laws.exact_keys == "all" else c.vectors(5)
    x = c.bundles(5)
    return c.equal(a.unbind(a.bind(x, y), y), x)


def _inverse(c: Case) -> float:
    c.needs("inverse")
    x, y = c.bundles(2, 5)
    return c.equal(c.algebra.unbind(x, y), c.algebra.bind(x, c.algebra.inverse(y)))


def _binding_matrix(c: Case) -> float:
    c.needs("binding_matrix")
    x, y = c.bundles(2, 3)
    return c.equal((c.algebra.binding_matrix(x) @ y.unsqueeze(-1)).squeeze(-1), c.algebra.bind(x, y))


def _embedding(c: Case) -> float:
    a, e = c.algebra, c.algebra.embedding
    x, y = c.bundles(2, 5)
    inner = (a.embed(x, c.real) * a.embed(y, c.real)).sum(-1) * e.scale + e.offset
    if a.embed(x).shape[-1] != e.width:
        raise LawError("embed", received=f"width {a.embed(x).shape[-1]}", expected=f"{e.width}, as declared")
    return max(c.equal(a.unembed(a.embed(x, c.real)), x), c.equal(a.similarity(x, y), inner))


def _similarity(c: Case) -> float:
    a, x, y = c.algebra, c.vectors(5), c.vectors(7)
    pairs = a.similarity(x[:, None], y)
    one = torch.ones(5, dtype=c.real)
    errors = (c.equal(pairs, a.similarity(y, x[:, None])), c.equal(pairs, a.similarity_to_set(x, y)))
    return max(*errors, c.equal(a.similarity(x, x), one), c.equal(a.cosine(x, x), one))


def _bundle(c: Case) -> float:
    x, w = c.vectors(5, 3), torch.rand(5, 3, generator=c.generator, dtype=c.real)
    if not c.algebra.laws.linear:
        return _vote(c, x, w)
    expected = sum((w[:, i, None] * x[:, i] for i in range(3)), torch.zeros_like(x[:, 0]))
    moved = c.algebra.bundle(x.transpose(0, 1), w, dim=0)
    return max(c.equal(c.algebra.bundle(x, w), expected), c.equal(moved, expected))


def _vote(c: Case, x: Tensor, w: Tensor) -> float:
    """A vote is a vector, equal votes change nothing, and a hundred times the weight of all others wins everywhere."""
    a, heavy = c.algebra, w.clone()
    heavy[:, 1] = 100 * w.sum(-1) + 1
    c.valid("bundle", a.bundle(x, w))
    same = c.equal(a.bundle(x[:, :1].expand(-1, 4, -1)), x[:, 0])
    moved = c.equal(a.bundle(x.transpose(0, 1), w, dim=0), a.bundle(x, w))
    shared = a.similarity(a.bundle(x).unsqueeze(-2), x)
    if float(shared.mean()) <= a.laws.crosstalk_mean + 2 * a.laws.crosstalk_std:
        raise LawError("bundle", received=f"similarity {float(shared.mean()):.3g} with what was bundled")
    ten = c.vectors(5, 10)  # no sum of ten times .1 is exact
    equal = c.equal(a.bundle(ten, torch.full((10,), 0.1, dtype=c.real)), a.bundle(ten))
    return max(same, moved, equal, c.equal(a.bundle(x, heavy), x[:, 1]))


def _bundle_order(c: Case) -> float:
    """A bundle does not depend on the order of what is bundled, all at once or one after the other.

    Of a vote two entries in a hundred may differ: what a rounding decides between two that are equally near.
    """
    x, w = c.vectors(5, 6), torch.rand(5, 6, generator=c.generator, dtype=c.real).round(decimals=1) + 0.5
    order = torch.randperm(6, generator=c.generator)
    running = Accumulator(c.algebra)
    for part in x[:, order].unbind(1):
        running.add(part)
    running.add(x[:, 0])
    running.remove(x[:, 0])
    pairs = [
        (c.algebra.bundle(x[:, order]), c.algebra.bundle(x)),
        (c.algebra.bundle(x[:, order[:2]]), c.algebra.bundle(x[:, order[:2].flip(0)])),
        (c.algebra.bundle(x[:, order], w[:, order]), c.algebra.bundle(x, w)),
        (running.bundle(), c.algebra.bundle(x)),
    ]
    if c.algebra.laws.linear:
        return max(c.equal(one, other) for one, other in pairs)
    for one, other in pairs:
        alike = float((c.algebra.similarity(one, other) / c.algebra.similarity(other, other)).mean())
        if alike < _ORDER_FREE:
            raise LawError("bundle", received=f"similarity {alike:.3g} after another order", expected="the same vector")
    return 0.0


def _nested_votes(c: Case) -> float:
    """A bundle of bundles keeps all members: what a tie decides is independent from bundle to bundle."""
    a = c.algebra
    if a.laws.linear:
        raise Skipped("bundling is a sum")
    x = c.vectors(PAIRS // 4, 2, 2)
    pairs = a.similarity(a.bundle(x).unsqueeze(-2), x)
    nested = a.similarity(a.bundle(a.bundle(x))[:, None, None], x)
    chance = a.laws.crosstalk_mean
    kept = float((pairs.double().mean() - chance) ** 2 / (1 - chance))  # above chance, each level keeps the same share
    least = float(nested.mean(0).min()) - chance
    if least < kept * _KEPT:
        raise LawError(
            "bundle", received=f"similarity {least:.3g} of a member of a bundle of bundles", expected=f"{kept:.3g}"
        )
    mean = float(nested.double().mean())
    worst = max(c.near(nested[:, i, j], mean, "nested bundle") for i in range(2) for j in range(2))
    return max(worst, *(c.near(pairs[..., i], float(pairs.double().mean()), "bundle of two") for i in range(2)))


def _votes_carried_along(c: Case) -> float:
    """Binding and permuting distribute over a vote in what the result resembles, also where there are ties."""
    a = c.algebra
    if a.laws.linear:
        raise Skipped("bundling is a sum")
    x, key = c.vectors(PAIRS // 4, 2), c.vectors(PAIRS // 4)
    moves: list[Callable[[Tensor], Tensor]] = []
    if a.laws.distributive:
        moves.append(lambda v: a.bind(v, key if v.ndim == key.ndim else key.unsqueeze(-2)))
    if a.laws.reason("permute") is None:
        moves.append(a.permute)
    worst = 0.0
    for move in moves:
        moved = move(x)
        after, before = (a.similarity(b.unsqueeze(-2), moved).double() for b in (move(a.bundle(x)), a.bundle(moved)))
        for i in range(2):
            worst = max(worst, c.near(after[:, i] - before[:, i], 0.0, "a vote that is carried along"))
        three = torch.tensor([1.0, 2.0], dtype=c.real)
        worst = max(worst, c.equal(move(a.bundle(x, three)), a.bundle(moved, three)))
    return worst


def _negative(c: Case) -> float:
    c.needs("negative")
    a, x = c.algebra, c.vectors(5)
    errors = [c.equal(a.similarity(x, a.negative(x)), -a.similarity(x, x)), c.equal(a.negative(a.negative(x)), x)]
    if a.laws.linear:
        errors.append(c.equal(a.bundle(torch.stack((x, a.negative(x)), -2)), torch.zeros_like(x)))
    return max(errors)


def _bind_all(c: Case) -> float:
    x = c.bundles(5, 3)
    expected = c.algebra.bind(c.algebra.bind(x[:, 0], x[:, 1]), x[:, 2])
    return max(c.equal(c.algebra.bind_all(x), expected), c.equal(c.algebra.bind_all(x.mT.mT[:, :1]), x[:, 0]))


def _permute(c: Case) -> float:
    c.needs("permute")
    a, (x, y) = c.algebra, c.bundles(2, 5)
    back = c.equal(a.permute(a.permute(x, 3), -3), x)
    whole = c.equal(a.permute(x, a.laws.permutation_order), x)
    left, right = a.permute(a.bind(x, y)), a.bind(a.permute(x), a.permute(y))
    return max(back, whole, c.claim(a.laws.permutation_distributes, left, right))


def _power(c: Case) -> float:
    c.needs("power", "identity", "inverse")
    a, x = c.algebra, c.vectors(5)
    three = a.bind_all(x.unsqueeze(-2).expand(-1, 3, -1))
    errors = [c.equal(a.power(x, 3), three), c.equal(a.power(x, 1.0), x)]
    if a.laws.reason("fractional power") is not None:
        try:
            a.power(x, 0.5)
        except UnsupportedError:
            pass
        else:
            raise LawError("power", received="a fractional power", expected="a refusal, as lacks says")
    errors.append(c.equal(a.power(x, 0), a.identity(5, dtype=c.dtype)))
    errors.append(c.equal(a.power(x, torch.tensor([-1, 2, 0, 1, -2]))[0], a.inverse(x)[0]))
    base = a.power_base(generator=c.generator)
    period = a.power_period(base)
    if period is not None:
        errors.append(c.equal(a.power(base, period), a.power(base, 0)))
        if any(bool((a.power(base, n) == a.power(base, 0)).all()) for n in range(1, period)):
            raise LawError("power_period", received=period, expected="the smallest period")
    return max(errors)


def _normalize(c: Case) -> float:
    c.needs("normalize")
    x = c.algebra.normalize(c.algebra.bundle(c.vectors(5, 3)))
    c.valid("normalize", x)
    return c.equal(c.algebra.normalize(x), x)


def _quantize(c: Case) -> float:
    c.needs("quantize")
    x = c.vectors(5)
    noisy = c.algebra.bundle(torch.stack((x, c.vectors(5)), -2), torch.tensor([1.0, 0.25], dtype=c.real))
    if c.algebra.laws.reason("soft quantize") is None:
        c.equal(c.algebra.quantize(noisy, temperature=1e-3), x)
    return max(c.equal(c.algebra.quantize(x), x), c.equal(c.algebra.quantize(noisy), x))


def _crosstalk(c: Case) -> float:
    laws, sample = c.algebra.laws, c.algebra.similarity(*c.vectors(2, PAIRS))
    mean = c.near(sample, laws.crosstalk_mean, "crosstalk_mean")
    squares = (sample.double() - laws.crosstalk_mean).square()
    return max(mean, c.near(squares, laws.crosstalk_std**2, "crosstalk_std, squared"))


def _broadcasting(c: Case) -> float:
    x, y = c.bundles(3, 1), c.bundles(2)
    loop = torch.stack([torch.stack([c.algebra.bind(u[0], v) for v in y]) for u in x])
    empty = c.algebra.bind(x[:0], y)
    return max(c.equal(c.algebra.bind(x, y), loop), c.equal(empty, loop[:0]))


def _forms(c: Case) -> float:
    a, errors = c.algebra, [0.0]
    if len(a.forms) == 1:
        raise Skipped("only one form")
    for form in a.forms[1:]:
        x, y = (a.random(5, generator=c.generator, dtype=form.dtypes[0]) for _ in range(2))
        u, v = (a.unembed(a.embed(z, c.real)) for z in (x, y))
        for operation in (a.bind, a.unbind):
            errors.append(c.equal(a.embed(operation(x, y), c.real), a.embed(operation(u, v), c.real)))
            if a.mixes_forms:
                expected = a.embed(operation(u, v), c.real)
                errors.append(c.equal(a.embed(operation(x, v), c.real), expected))
                errors.append(c.equal(a.embed(operation(u, y), c.real), expected))
        errors.append(c.equal(a.similarity(x, y), a.similarity(u, v), 1e-5))
    return max(errors)


def _gradients(c: Case) -> float:
    if c.dtype not in (torch.float64, torch.complex128):
        raise Skipped("no form in double precision")
    x, y = (c.bundles(2).requires_grad_() for _ in range(2))
    for operation in (c.algebra.bind, c.algebra.unbind, c.algebra.similarity):
        torch.autograd.gradcheck(operation, (x, y))
    return 0.0


def _value(c: Case) -> float:
    again = pickle.loads(pickle.dumps(c.algebra))  # noqa: S301  # what we pickled ourselves a moment ago
    if again != c.algebra or hash(again) != hash(c.algebra):
        raise LawError("pickle", received=again, expected=f"a value equal to {c.algebra}")
    return 0.0


ALGEBRA_LAWS: dict[str, Callable[[Case], float]] = {
    law.__name__.removeprefix("_"): law
    for law in (
        _random, _identity, _commutative, _associative, _distributive, _self_inverse, _unbinding, _inverse,
        _binding_matrix, _embedding, _similarity, _bundle, _bundle_order, _nested_votes,
        _votes_carried_along, _negative, _bind_all, _permute, _power, _normalize,
        _quantize, _crosstalk, _broadcasting, _forms, _gradients, _value,
    )
} | PRODUCT_LAWS | READ_LAWS  # fmt: skip
