"""Several products superposed in one query: find the strongest, explain it away, go on; then look at each again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

import vsa
from vsa import UnsupportedError

from .base import Factorizer
from .result import Factorization

__all__ = ["explain_away"]

_NOTHING = 1e-4  # length of a rest, as a share of the query's, that is rounding


def explain_away(
    factorizer: Factorizer,
    query: Tensor,
    products: int | None = None,
    *,
    rounds: int = 2,
    generator: torch.Generator | None = None,
) -> Factorization:
    """Factorize a query that superposes several products, known or unknown in number.

    Each product found is taken out of the query; how much of each it holds is fitted to all of them at once (least
    squares). In further rounds every product is looked for again with all others taken out, so that early mistakes are
    mended. No product is found twice: a query that holds it twice holds it with twice the weight.

    Args:
        factorizer: of any method that takes queries of real numbers.
        query: (..., D): a sum of products, for block codes their mean. Not quantised: a sign keeps less.
        products: n, how many to look for. Default: as many as are certified, which may be none.
        rounds: how often each product is looked for, at least 1.
        generator: of what is random. Default: a new one from the factorizer's seed.

    Returns:
        A factorization with an axis of n products behind the leading axes, in the order in which they were found;
        ``valid.sum(-1)`` counts the certified ones. Where a query holds fewer, the rest of the axis is none: indices of
        -1, the label None, not valid. Similarities, and what they certify, are those of each product to what the others
        leave of the query.

    Raises:
        UnsupportedError: an algebra whose vectors cannot hold a sum: ``laws.linear`` is false.
    """
    if products is not None:
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
    flat, lead = factorizer.problem.check_query(query)
    search = _Search(factorizer, algebra.embed(flat), generator)
    for turn in range(rounds):
        if products is None:
            while search.another():
                pass
        elif not turn:
            for _ in range(products):
                search.look(search.add())
        if turn and search.sure:
            break
        for slot in range(len(search.slots) if turn or products is None else 0):
            search.look(slot)
    return search.result(lead, certified=products is None)


@dataclass
class _Slot:
    """One product of each query; indices of -1: none."""

    indices: Tensor
    similarities: Tensor
    product_similarity: Tensor
    iterations: Tensor
    converged: Tensor
    valid: Tensor
    tau: Tensor
    false_expected: Tensor
    macs: Tensor

    FIELDS = ("indices", "similarities", "product_similarity", "converged", "valid", "tau", "false_expected")

    def put(self, rows: Tensor, answer: Factorization) -> None:
        """Take the answers to some queries; their work is counted already."""
        for name in self.FIELDS:
            mine = getattr(self, name)
            mine[rows] = getattr(answer, name).to(mine)

    def clear(self, rows: Tensor) -> None:
        """None is what some queries hold here."""
        self.indices[rows] = -1
        for name in ("similarities", "product_similarity", "valid"):
            getattr(self, name)[rows] = 0


class _Search:
    """The products found in (B, E) queries so far."""

    def __init__(self, factorizer: Factorizer, whole: Tensor, generator: torch.Generator) -> None:
        self.factorizer, self.problem, self.generator = factorizer, factorizer.problem, generator
        self.algebra = self.problem.algebra
        self.whole = whole
        self._wide = whole.to(torch.promote_types(whole.dtype, torch.float32))
        self._least = _NOTHING * self._wide.square().sum(-1).sqrt()
        self.slots: list[_Slot] = []
        self._empty = factorizer(self.algebra.unembed(whole)[:0], generator=generator)
        certificate = self.problem.certificate(self.algebra.unembed(whole))
        self._bars = certificate.tau, certificate.false_expected

    def add(self) -> int:
        """A slot that holds none; its number."""
        count, device = len(self.whole), self.whole.device
        zeros = torch.zeros(count, device=device)
        work = torch.zeros(count, dtype=torch.int64, device=device)
        indices = torch.full((count, self.problem.factors), -1, device=device)
        tau, false = (bar.clone() for bar in self._bars)
        self.slots.append(
            _Slot(indices, zeros.unsqueeze(-1).expand(-1, self.problem.factors).clone(), zeros, work,
                  torch.ones_like(zeros, dtype=torch.bool), torch.zeros_like(zeros, dtype=torch.bool), tau, false,
                  work.clone())
        )  # fmt: skip
        return len(self.slots) - 1

    def another(self) -> bool:
        """Look for one more product in each query; whether any has one that is certified."""
        slot = self.slots[self.add()]
        self.look(len(self.slots) - 1)
        slot.clear((~slot.valid).nonzero().squeeze(-1))
        if bool(slot.valid.any()):
            return True
        self.slots.pop()
        return False

    @property
    def sure(self) -> bool:
        """Whether every product is certified, or none."""
        return all(bool((slot.valid | (slot.indices[:, 0] < 0)).all()) for slot in self.slots)

    def look(self, number: int) -> None:
        """Look for one product in what the others leave of each query."""
        rest = self._rest(number)
        rows = (rest.square().sum(-1).sqrt() > self._least).nonzero().squeeze(-1)
        slot = self.slots[number]
        if not len(rows):
            return
        queries = self.algebra.unembed(rest[rows].to(self.whole.dtype))
        answer = self.factorizer(queries, generator=self.generator)
        slot.macs[rows] += answer.macs
        slot.iterations[rows] += answer.iterations
        before = slot.indices[rows]
        had = before[:, 0] >= 0
        certificate = self.problem.certificate(self.problem.check_query(queries)[0])
        every = torch.arange(len(rows), device=rows.device)
        again = certificate.similarity(every, before.clamp_min(0)).to(answer.product_similarity)
        double = self._elsewhere(number, rows, answer.indices)
        keep = had & (double | (again >= answer.product_similarity))  # a second look counts where it explains more
        kept = keep.nonzero().squeeze(-1)
        slot.product_similarity[rows[kept]] = again[kept].to(slot.product_similarity)
        slot.valid[rows[kept]] = certificate.valid(kept, again[kept])
        slot.tau[rows[kept]] = certificate.tau[kept].to(slot.tau)
        new = (~keep & ~double).nonzero().squeeze(-1)
        slot.put(rows[new], answer[new])

    def result(self, lead: tuple[int, ...], *, certified: bool) -> Factorization:
        """All slots behind the leading axes; where only certified products count, others become none."""
        if certified:
            for slot in self.slots:
                slot.clear((~slot.valid).nonzero().squeeze(-1))
            self.slots = [slot for slot in self.slots if bool(slot.valid.any())]

        def stack(name: str) -> Tensor:
            empty = getattr(self._empty, name)
            if not self.slots:
                return empty.new_zeros(*lead, 0, *empty.shape[1:])
            parts = torch.stack([getattr(slot, name) for slot in self.slots], 1)
            return parts.reshape(*lead, *parts.shape[1:])

        names = (*_Slot.FIELDS, "iterations", "macs")
        return replace(self._empty, trace=None, **{name: stack(name) for name in names})  # type: ignore[arg-type]

    # ------------------------------------------------------------------ helpers

    def _elsewhere(self, number: int, rows: Tensor, indices: Tensor) -> Tensor:
        """(R,): whether another slot holds the product already."""
        found = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        for other, slot in enumerate(self.slots):
            if other != number:
                found |= (slot.indices[rows] == indices).all(-1)
        return found

    def _rest(self, number: int) -> Tensor:
        """(B, E): the queries without all products but one."""
        others = [slot for i, slot in enumerate(self.slots) if i != number and bool((slot.indices >= 0).any())]
        mine = self.slots[number]
        if not others:
            return self._wide
        slots = [*others, mine]
        parts = torch.stack([self._product(slot) for slot in slots], 1)  # (B, n, E)
        gram = parts @ parts.mT
        absent = torch.stack([slot.indices[:, 0] < 0 for slot in slots], -1)
        length = self.problem.perfect
        # An absent product is all zeros; products that are nearly the same share their weight.
        gram = gram + torch.diag_embed(absent.to(gram) * length + 1e-6 * length)
        weights = torch.linalg.solve(gram, parts @ self._wide.unsqueeze(-1)).squeeze(-1)
        weights[:, -1] = 0
        rest = self._wide - (weights.unsqueeze(-1) * parts).sum(1)
        return rest if self.algebra.block_length is None else rest.clamp_min(0)  # blocks hold shares

    def _product(self, slot: _Slot) -> Tensor:
        """(B, E); zeros where there is none."""
        made = self.algebra.embed(self.problem.product(slot.indices.clamp_min(0))).to(self._wide)
        return made * (slot.indices[:, :1] >= 0)
