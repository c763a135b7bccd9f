"""Meet in the middle: products of half of the factors are looked up among those of the other half, by a key.

A key is a part of a vector that binding acts on alone: some bits of a bipolar product, some blocks of a block code.
Keys of the larger half are sorted once for all queries; a query unbound by each product of the smaller half is one
look-up. For exact queries this finds the factors in the square root of the time of exhaustive search. Noise hits a
short key rarely: further trials use other parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

import vsa
from vsa import UnsupportedError

from . import FACTORIZERS
from .base import Factorizer, Outcome
from .certificate import Certificate
from .needs import SIGNS_OR_BLOCKS, Need
from .sweeps import digits

__all__ = ["Join"]

_WORD = 62  # bits of a key


@FACTORIZERS.register("join")
@dataclass(eq=False)
class Join(Factorizer):
    """Exact factorization of noise-free products of signs and of block codes; trials for slightly noisy ones.

    Where block codes admit several right products (see ``false_expected``), it answers with one of them. A real query
    is read by its signs, a dense block by its largest entry. Noise that spares one of the tried keys does no harm;
    where it spares none, the answer is not valid, its indices are those of the best chance hit, or the first atoms.

    The sorted keys of the first trial are kept. Multiply-accumulates count an entry of each key that is made or looked
    up, and those that are kept in every call.

    Args:
        books: F codebooks of signs (map, bsc) or blocks (sbc, gsbc).
        trials: keys tried for queries that no key has answered yet. The first is as long as can be; a further key keeps
            only as many bits or blocks as tell the products apart, so that noise spares it with some luck.
        elements: keys held at once; it bounds the memory.
    """

    trials: int = field(default=256, kw_only=True)
    elements: int = field(default=2**22, kw_only=True)
    name: ClassVar[str] = "join"
    needs: ClassVar[tuple[Need, ...]] = (SIGNS_OR_BLOCKS,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sorted: tuple[Tensor, Tensor] | None = None  # keys of the first trial, the same in every call
        vsa.validation.check_count(self.name, "trials", self.trials)
        vsa.validation.check_count(self.name, "elements", self.elements)
        if self.problem.block_length is None and self.problem.signs is None:
            raise UnsupportedError(
                self.name,
                received="atoms of other entries than +1 and -1",
                expected="signs, for exact keys",
                hint="take their signs with algebra.quantize, or use in_memory",
            )

    def _solve(self, queries: Tensor, certificate: Certificate, generator: torch.Generator, trace: bool) -> Outcome:
        keys = _Blocks(self, queries) if self.problem.block_length is not None else _Bits(self, queries)
        left, right = _halves(list(self.problem.sizes))
        indices = torch.zeros(len(queries), self.problem.factors, dtype=torch.int64, device=queries.device)
        best = torch.full((len(queries),), -math.inf, device=queries.device)
        macs = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
        open_ = torch.arange(len(queries), device=queries.device)
        for trial in range(self.trials):
            parts = keys.parts(trial, generator) if trial else keys.parts(0, torch.Generator().manual_seed(self.seed))
            tables = [keys.atoms(factor, parts) for factor in range(self.problem.factors)]
            for row, found in self._look_up(keys, tables, parts, open_, left, right, keep=trial == 0):
                similarity = certificate.similarity(row, found).float()
                order = similarity.argsort(stable=True)
                order = order[similarity[order] > best[row[order]]]
                for better in order.split(1 if len(row.unique()) < len(row) else max(1, len(row))):
                    indices[row[better]] = found[better]
                    best[row[better]] = similarity[better]
            looked = math.prod(self.problem.sizes[f] for f in left) * keys.macs
            made = math.prod(self.problem.sizes[f] for f in right) * keys.macs // len(open_)
            macs[open_] += max(1, looked + made)
            open_ = open_[~certificate.valid(open_, best[open_])]
            if not len(open_) or keys.last(trial):
                break
        converged = torch.ones(len(queries), dtype=torch.bool, device=queries.device)
        converged[open_] = False
        similarity = best.clamp_min(0).unsqueeze(-1).expand(-1, self.problem.factors)
        return Outcome(indices, similarity, torch.ones_like(macs), converged, macs)

    def _look_up(
        self,
        keys: _Keys,
        tables: list[Tensor],
        parts: Tensor,
        rows: Tensor,
        left: list[int],
        right: list[int],
        keep: bool,
    ) -> list[tuple[Tensor, Tensor]]:
        """Pairs (query, indices) whose keys agree."""
        sizes = self.problem.sizes
        found = []
        everything = math.prod(sizes[f] for f in right)
        for start in range(0, everything, self.elements):
            numbers = torch.arange(start, min(everything, start + self.elements), device=rows.device)
            if keep and everything <= self.elements and self._sorted is not None:
                made, order = self._sorted
            else:
                made, order = keys.key(keys.product(tables, right, numbers)).sort(stable=True)
                self._sorted = (made, order) if keep else self._sorted
            count = math.prod(sizes[f] for f in left)
            for some in rows.split(max(1, self.elements // count)):
                every = torch.arange(count, device=rows.device)
                wanted = keys.key(keys.unbind(keys.queries(some, parts), keys.product(tables, left, every)))
                low = torch.searchsorted(made, wanted)
                hits = (made[low.clamp_max(len(made) - 1)] == wanted) & (low < len(made))
                at = hits.nonzero()
                if not len(at):
                    continue
                first = low[at[:, 0], at[:, 1]]
                times = torch.searchsorted(made, wanted[at[:, 0], at[:, 1]], right=True) - first
                at = at.repeat_interleave(times, dim=0)
                within = torch.arange(len(at), device=rows.device) - (times.cumsum(0) - times).repeat_interleave(times)
                partner = order[first.repeat_interleave(times) + within] + start
                indices = torch.empty(len(at), len(sizes), dtype=torch.int64, device=rows.device)
                for half, number in ((left, at[:, 1]), (right, partner)):
                    for factor, column in zip(half, digits(number, [sizes[f] for f in half]), strict=True):
                        indices[:, factor] = column
                found.append((some[at[:, 0]], indices))
        return found


class _Keys:
    """Parts of vectors that binding acts on alone, as (..., parts) integers, and words made of them."""

    macs: int  # of one key, in units of one entry

    def __init__(self, settings: Join, queries: Tensor) -> None:
        self.problem = settings.problem
        combinations = math.log2(max(2, settings.problem.combinations))
        self._needed = combinations + 4  # bits that leave a sixteenth of a wrong product per query

    def parts(self, trial: int, generator: torch.Generator) -> Tensor:
        """Which bits or blocks a trial looks at."""
        raise NotImplementedError

    def last(self, trial: int) -> bool:
        """Whether further trials would repeat this one."""
        raise NotImplementedError

    def atoms(self, factor: int, parts: Tensor) -> Tensor:
        """(N, parts)."""
        raise NotImplementedError

    def queries(self, rows: Tensor, parts: Tensor) -> Tensor:
        """(R, parts)."""
        raise NotImplementedError

    def product(self, tables: list[Tensor], factors: list[int], numbers: Tensor) -> Tensor:
        """(O, parts): products of atoms, numbered by mixed radix."""
        columns = digits(numbers, [len(tables[f]) for f in factors])
        product: Tensor | None = None
        for factor, column in zip(factors, columns, strict=True):
            part = tables[factor][column]
            product = part if product is None else self.bind(product, part)
        if product is None:  # of no factors
            return torch.zeros(len(numbers), tables[0].shape[-1], dtype=torch.int64, device=numbers.device)
        return product

    def bind(self, x: Tensor, y: Tensor) -> Tensor:
        """Of parts."""
        raise NotImplementedError

    def unbind(self, queries: Tensor, products: Tensor) -> Tensor:
        """(R, parts), (O, parts) -> (R, O, parts)."""
        raise NotImplementedError

    def key(self, parts: Tensor) -> Tensor:
        """(..., parts) -> (...) words."""
        raise NotImplementedError


class _Bits(_Keys):
    """Sampled signs, packed into one word; products are exclusive ors of words."""

    macs = 1

    def __init__(self, settings: Join, queries: Tensor) -> None:
        super().__init__(settings, queries)
        signs = self.problem.as_signs(queries)
        self._atoms = self.problem.signs or ()
        self._bits = signs < 0
        self._width = signs.shape[-1]

    def parts(self, trial: int, generator: torch.Generator) -> Tensor:
        count = min(self._width, _WORD if trial == 0 else math.ceil(self._needed))
        drawn = torch.randperm(self._width, generator=generator, device=generator.device)
        return drawn[:count].to(self._bits.device)

    def last(self, trial: int) -> bool:
        return self._width <= min(_WORD, math.ceil(self._needed))

    def atoms(self, factor: int, parts: Tensor) -> Tensor:
        return _word(self._atoms[factor][:, parts] < 0).unsqueeze(-1)

    def queries(self, rows: Tensor, parts: Tensor) -> Tensor:
        return _word(self._bits[rows][:, parts]).unsqueeze(-1)

    def bind(self, x: Tensor, y: Tensor) -> Tensor:
        return x ^ y

    def unbind(self, queries: Tensor, products: Tensor) -> Tensor:
        return queries.unsqueeze(1) ^ products

    def key(self, parts: Tensor) -> Tensor:
        return parts.squeeze(-1)


class _Blocks(_Keys):
    """Positions in chosen blocks, as digits of a number to the base L."""

    def __init__(self, settings: Join, queries: Tensor) -> None:
        super().__init__(settings, queries)
        self._length = self.problem.block_length or 1
        self._positions = self._index(queries)
        self._blocks = self._positions.shape[-1]
        bits = math.log2(self._length)
        self._most = min(self._blocks, int(_WORD / bits))
        self._fewest = min(self._most, max(1, math.ceil(self._needed / bits)))
        self.macs = self._most

    def parts(self, trial: int, generator: torch.Generator) -> Tensor:
        count = self._most if trial == 0 else self._fewest
        drawn = torch.randperm(self._blocks, generator=generator, device=generator.device)
        return drawn[:count].to(self._positions.device)

    def last(self, trial: int) -> bool:
        return self._fewest == self._blocks

    def atoms(self, factor: int, parts: Tensor) -> Tensor:
        return self._index(self.problem.books[factor].atoms)[:, parts]

    def queries(self, rows: Tensor, parts: Tensor) -> Tensor:
        return self._positions[rows][:, parts]

    def bind(self, x: Tensor, y: Tensor) -> Tensor:
        return (x + y).remainder(self._length)

    def unbind(self, queries: Tensor, products: Tensor) -> Tensor:
        return (queries.unsqueeze(1) - products).remainder(self._length)

    def key(self, parts: Tensor) -> Tensor:
        word = parts[..., 0].clone()
        for k in range(1, parts.shape[-1]):
            word = word * self._length + parts[..., k]
        return word

    def _index(self, x: Tensor) -> Tensor:
        if x.dtype == torch.int64:
            return x.remainder(self._length)
        return x.unflatten(-1, (-1, self._length)).argmax(-1)


def _word(bits: Tensor) -> Tensor:
    """(..., parts) bool, at most 62 -> (...) int64."""
    weights = 2 ** torch.arange(bits.shape[-1], device=bits.device)
    return (bits.to(torch.int64) * weights).sum(-1)


def _halves(sizes: list[int]) -> tuple[list[int], list[int]]:
    """Two groups of factors, the products of their sizes as close as can be; the smaller first."""
    best: tuple[list[int], list[int]] = ([], list(range(len(sizes))))
    for mask in range(2 ** len(sizes)):
        left = [f for f in range(len(sizes)) if mask >> f & 1]
        right = [f for f in range(len(sizes)) if not mask >> f & 1]
        small, large = math.prod(sizes[f] for f in left), math.prod(sizes[f] for f in right)
        if small <= large < math.prod(sizes[f] for f in best[1]):
            best = (left, right)
    return best
