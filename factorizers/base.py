"""Factorizers share one call, one loop and one certificate; a member provides one step.

The loop keeps a pool of rows busy: a query whose answer is certified leaves, and the next waiting one takes its slot,
so a batch costs what its queries need and not what its slowest needs.
"""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

import vsa
from vsa import Codebook, DtypeError, UnsupportedError, VSAError

from . import takers
from .certificate import EQUAL, Certificate
from .needs import ASSOCIATIVE, COMMUTATIVE, Need, broken_law, first_missing
from .problem import Problem, as_books
from .result import Factorization, Trace, concatenate

__all__ = ["Dynamics", "Factorizer", "Iterative", "Outcome", "Pool", "Watch"]

log = logging.getLogger(__name__)
_EXACT = 1 - 1e-6  # the similarity of a query to the product that it is, but for rounding
_BUSY = 128  # slots kept busy with copies of the last queries: fewer rows cost hardly less time per iteration
Pool = dict[str, Tensor]  # the state of R rows: every tensor has R as its first axis


@dataclass(frozen=True)
class Outcome:
    """Answers to B queries, before they are packed for the caller.

    Args:
        indices: (B, F).
        similarities: (B, F).
        iterations: (B,), int64.
        converged: (B,), bool.
        macs: (B,), int64.
        trace: what happened, if it was asked for.
    """

    indices: Tensor
    similarities: Tensor
    iterations: Tensor
    converged: Tensor
    macs: Tensor
    trace: Trace | None = None


@dataclass(eq=False)
class Factorizer(ABC):
    """Splits products of one atom per codebook into their factors.

    Args:
        books: F codebooks of one algebra; sizes may differ.
        optional: factors that a product may lack; their answer is then the label None.
        seed: of all randomness of a call that is given no generator.
    """

    books: Sequence[Codebook]
    optional: Sequence[int] = field(default=(), kw_only=True)
    seed: int = field(default=0, kw_only=True)
    name: ClassVar[str] = ""
    needs: ClassVar[tuple[Need, ...]] = ()  # beside commutative and associative binding, which every product has
    customary_algebra: ClassVar[str] = "map"  # of a capacity measurement that names none
    sweeps: ClassVar[bool] = False  # whether the method goes through the search space by its nature

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise DtypeError(f"{self.name} seed", received=repr(self.seed), expected="an integer")
        self._warned = False
        self.problem = Problem(as_books(self.name, self.books), tuple(self.optional))
        self.books = self.problem.books
        algebra = self.problem.algebra
        missing = first_missing(self.needs, algebra)
        if missing is not None:
            others = " or ".join(takers(algebra))
            raise UnsupportedError(
                self.name,
                received=f"codebooks of {algebra.name}, which does not declare {missing.declared}",
                expected=missing.words,
                hint=f"use {others}" if others else "",
            )

    @classmethod
    def takes(cls, algebra: vsa.Algebra) -> bool:
        """Whether an algebra declares all that this method needs, and keeps what it declares.

        Args:
            algebra: of the codebooks.
        """
        return first_missing((COMMUTATIVE, ASSOCIATIVE, *cls.needs), algebra) is None and broken_law(algebra) is None

    def __call__(
        self, query: Tensor, *, generator: torch.Generator | None = None, trace: bool = False
    ) -> Factorization:
        """Factorize queries.

        Args:
            query: (..., D), products in any form of the algebra, exact or noisy.
            generator: of what is random. Default: a new one from ``seed``.
            trace: keep what happened in each iteration.

        Returns:
            The factors; leading axes are those of the query.

        Raises:
            VSAError: a query that cannot be factorized (wrong shape, dtype or device, NaN, zeros).
        """
        queries, lead = self.problem.check_query(query)
        self._warn()
        certificate = self.problem.certificate(queries)
        generator = vsa.validation.make_generator(self.name, generator, self.seed if generator is None else None)
        with torch.no_grad():
            if len(queries):
                outcome = self._solve(queries, certificate, generator, trace)
            else:
                outcome = _nothing(self.problem, trace)
            every = torch.arange(len(queries), device=queries.device)
            similarity = certificate.similarity(every, outcome.indices)
            valid = certificate.valid(every, similarity)
            outcome, similarity, valid, false = self._told_apart(outcome, certificate, similarity, valid)
        return Factorization(
            indices=outcome.indices.reshape(*lead, self.problem.factors),
            similarities=outcome.similarities.reshape(*lead, self.problem.factors),
            product_similarity=similarity.reshape(lead),
            iterations=outcome.iterations.reshape(lead),
            converged=outcome.converged.reshape(lead),
            valid=valid.reshape(lead),
            tau=certificate.tau.reshape(lead),
            false_expected=false.reshape(lead),
            macs=outcome.macs.reshape(lead),
            exhaustive_macs=self.problem.exhaustive_macs,
            names=self.problem.labels,
            method=self.name,
            trace=outcome.trace,
            sweeps=self.sweeps,
            interchangeable=self.problem.sameness.shared,
            assumes=self.problem.sameness.assumes,
        )

    def _warn(self) -> None:
        """Say once what no answer can tell."""
        if not self._warned and self.problem.sameness.warning is not None:
            log.warning("%s", self.problem.sameness.warning)
        self._warned = True

    @property
    def _climbs(self) -> bool:
        """Whether answers are improved among atoms that are alike: not where the best of all was looked for."""
        return True

    def _told_apart(
        self, outcome: Outcome, certificate: Certificate, similarity: Tensor, valid: Tensor
    ) -> tuple[Outcome, Tensor, Tensor, Tensor]:
        """The best of answers that are alike, and one of those that are the same.

        Args:
            outcome: of the search.
            certificate: of the queries.
            similarity: (B,), of the answers.
            valid: (B,), which are certified.

        Returns:
            All but the certificate, improved, and lambda (B,) with the neighbours and equals of what was found.
        """
        like, same, false = self.problem.likeness, self.problem.sameness, certificate.false_expected
        if not len(valid):
            return outcome, similarity, valid, false
        every = torch.arange(len(valid), device=valid.device)
        exact = not certificate.flat and bool((valid & (similarity >= _EXACT)).all())  # nothing can be better
        related = not exact and bool(like.across)
        marks = torch.zeros_like(outcome.indices, dtype=torch.bool)
        if not exact:
            marks = like.marked(outcome.indices, valid & (similarity < EQUAL))
            related = related or bool(marks.any())
        if self._climbs and related:
            indices, close, spent = like.climb(certificate, every, outcome.indices, marks)
            climbed = certificate.similarity(every, indices)
            keep = ~valid | certificate.valid(every, climbed)
            indices = torch.where(keep.unsqueeze(-1), indices, outcome.indices)
            similarity = torch.where(keep, climbed, similarity)
            valid = certificate.valid(every, similarity)
            reads = torch.where(
                indices == outcome.indices, outcome.similarities, close.to(outcome.similarities).unsqueeze(-1)
            )
            outcome = replace(outcome, indices=indices, similarities=reads, macs=outcome.macs + spent)
        rows = valid.nonzero().squeeze(-1)
        if related and len(rows):
            false = false.clone()
            false[rows] += like.neighbours(certificate, rows, outcome.indices[rows], marks[rows]).to(false)
        if same.any and len(rows):
            equals = same.equals(outcome.indices[rows]).to(false)  # chance may have counted them already
            false = false.index_put((rows,), torch.where(equals > 0, torch.fmax(false[rows], equals), false[rows]))
        if same.shared:
            indices, reads = same.ordered(outcome.indices, outcome.similarities)
            outcome = replace(outcome, indices=indices, similarities=reads)
        return outcome, similarity, valid, false

    @abstractmethod
    def _solve(self, queries: Tensor, certificate: Certificate, generator: torch.Generator, trace: bool) -> Outcome:
        """(B, D) -> answers."""


def _nothing(problem: Problem, trace: bool) -> Outcome:
    """The answers to no query."""
    empty = torch.zeros(0, problem.factors, device=problem.device)
    count = torch.zeros(0, dtype=torch.int64, device=problem.device)
    kept = concatenate([], problem.factors) if trace else None
    return Outcome(empty.long(), empty, count, count.bool(), count, kept)


class Watch:
    """Collects what one iteration of the pool shows, when a trace is asked for."""

    def __init__(self) -> None:
        self._best: list[Tensor] = []
        self._entropy: list[Tensor] = []
        self.energy: Tensor | None = None

    def read(self, similarities: Tensor, weights: Tensor) -> None:
        """Note the reads of one factor.

        Args:
            similarities: (R, N).
            weights: (R, N), the activations.
        """
        self._best.append(similarities.amax(-1).float())
        share = weights.float().abs()
        share = share / share.sum(-1, keepdim=True).clamp_min(1e-30)
        self._entropy.append(-torch.xlogy(share, share).sum(-1))

    def table(self, query: Tensor, iteration: Tensor) -> dict[str, Tensor]:
        """The lines of this iteration."""
        best = torch.stack(self._best, -1)
        energy = -best.mean(-1) if self.energy is None else self.energy.float()
        return {
            "query": query.clone(),
            "iteration": iteration.clone(),
            "similarities": best,
            "entropies": torch.stack(self._entropy, -1),
            "energy": energy,
        }


class Dynamics(ABC):
    """One call of an iterative method: how rows start, what one iteration does to them, and how they are read."""

    macs_per_iteration: int
    macs_per_decode: int

    @abstractmethod
    def start(self, rows: Tensor, attempt: int) -> Pool:
        """The state of some queries before their first iteration.

        Args:
            rows: (R,), which queries.
            attempt: 0 for the first, more for restarts, which begin somewhere else.
        """

    @abstractmethod
    def step(self, pool: Pool, watch: Watch | None) -> Tensor | None:
        """One iteration of all rows, in place.

        Args:
            pool: the state of R rows.
            watch: notes what is read.

        Returns:
            (R,), bool: rows that may be done. None: no row is.
        """

    @abstractmethod
    def decode(self, pool: Pool, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Read the factors off the state.

        Args:
            pool: the state.
            rows: (Q,), which of its rows.

        Returns:
            Indices (Q, F) and similarities (Q, F).
        """


@dataclass(eq=False)
class Iterative(Factorizer):
    """A factorizer that iterates until its answer is certified or its budget is spent.

    Args:
        budget: iterations a query may take in all, at least 1. Default: what the method's rule says.
        restart: start again from elsewhere after so many iterations without a certified answer, and when the method
            converges to a wrong one. Where slots are idle, several such attempts at a query run side by side; all their
            iterations count. None: never.
        slots: rows in work at once.
        stop: ``"certified"``: a row is done when re-binding certifies its answer. ``"converged"``: when the method
            itself says so, right or wrong, as published.
    """

    budget: int | None = field(default=None, kw_only=True)
    restart: int | None = field(default=None, kw_only=True)
    slots: int = field(default=512, kw_only=True)
    stop: str = field(default="certified", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("budget", "restart", "slots"):
            value = getattr(self, name)
            if value is not None:
                vsa.validation.check_count(self.name, name, value)
        if self.stop not in ("certified", "converged"):
            raise VSAError(f"{self.name} stop", received=repr(self.stop), expected="'certified' or 'converged'")

    @cached_property
    def iterations(self) -> int:
        """The budget in force."""
        return self.budget if self.budget is not None else self._default_budget()

    @property
    def _climbs(self) -> bool:
        return self.stop == "certified"

    @abstractmethod
    def _dynamics(self, queries: Tensor, certificate: Certificate, generator: torch.Generator) -> Dynamics: ...

    def _default_budget(self) -> int:
        """The customary one, the combinations of all factors but one shared among the factors; at least 1,000."""
        sizes = self.problem.sizes
        return max(1000, math.prod(sizes) // max(sizes) // len(sizes))

    def _solve(self, queries: Tensor, certificate: Certificate, generator: torch.Generator, trace: bool) -> Outcome:
        dynamics = self._dynamics(queries, certificate, generator)
        answers = _Answers(len(queries), self.problem.factors, queries.device)
        waiting = min(self.slots, len(queries))  # the next query that has no slot yet
        rows = torch.arange(waiting, device=queries.device)  # which query is in which slot
        age = torch.zeros_like(rows)
        pool = dynamics.start(rows, 0)
        tables: list[dict[str, Tensor]] = []
        step = 0
        while len(rows):
            watch = Watch() if trace else None
            candidates = dynamics.step(pool, watch)
            age += 1
            step += 1
            answers.iterations.index_add_(0, rows, torch.ones_like(rows))
            if watch is not None:
                tables.append(watch.table(rows, age))
            rejected = self._examine(dynamics, pool, candidates, rows, certificate, answers)
            self._spend(dynamics, pool, rows, certificate, answers, step)
            if answers.news:
                answers.news = False
                leaving = answers.done[rows].nonzero().squeeze(-1)
                fresh = leaving[: len(queries) - waiting]
                if len(fresh):
                    rows[fresh] = torch.arange(waiting, waiting + len(fresh), device=rows.device)
                    age[fresh] = 0
                    waiting += len(fresh)
                    _put(pool, fresh, dynamics.start(rows[fresh], 0))
                if len(fresh) < len(leaving):
                    keep = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
                    keep[leaving[len(fresh) :]] = False
                    rows, age = rows[keep], age[keep]
                    rejected = None if rejected is None else rejected[keep]
                    for key, value in pool.items():
                        pool[key] = value[keep]
            if self.restart is None or not len(rows):
                continue
            again = (age > 0) & (age % self.restart == 0)
            again = again if rejected is None else again | (rejected & (age > 0))
            if bool(again.any()):
                stuck = again.nonzero().squeeze(-1)
                _put(pool, stuck, dynamics.start(rows[stuck], 1))
            if waiting == len(queries) and step % self.restart == 0 and not trace:
                copies = self._copies(rows)
                if len(copies):
                    rows, age = torch.cat((rows, copies)), torch.cat((age, torch.zeros_like(copies)))
                    for key, value in dynamics.start(copies, 1).items():
                        pool[key] = torch.cat((pool[key], value))
        macs = answers.iterations * dynamics.macs_per_iteration + answers.decodes * dynamics.macs_per_decode
        kept = concatenate(tables, self.problem.factors) if trace else None
        return Outcome(answers.indices, answers.similarities, answers.iterations, answers.converged, macs, kept)

    def _copies(self, rows: Tensor) -> Tensor:
        """Queries that deserve another slot, where slots are idle: restarts that need not wait for one another."""
        queries, held = rows.unique(return_counts=True)
        each = min(min(self.slots, _BUSY) // len(queries), self.iterations // (self.restart or 1))
        return queries.repeat_interleave((each - held).clamp_min(0))

    def _examine(
        self,
        dynamics: Dynamics,
        pool: Pool,
        candidates: Tensor | None,
        rows: Tensor,
        certificate: Certificate,
        answers: "_Answers",
    ) -> Tensor | None:
        """Decode the candidates; (R,), bool: those whose answer was refused."""
        if candidates is None or not bool(candidates.any()):
            return None
        at = candidates.nonzero().squeeze(-1)
        accepted = answers.offer(dynamics, pool, at, rows, certificate)
        if self.stop == "converged":
            accepted = torch.ones_like(accepted)
        done = rows[at[accepted]]
        answers.converged[done] = True
        answers.finish(done)
        rejected = torch.zeros_like(candidates)
        rejected[at[~accepted]] = True
        return rejected

    def _spend(
        self, dynamics: Dynamics, pool: Pool, rows: Tensor, certificate: Certificate, answers: "_Answers", step: int
    ) -> None:
        """Take the best guess of queries that cannot afford another iteration."""
        if int(answers.iterations.max()) < self.iterations - _BUSY and step < self.iterations:
            return
        held = torch.bincount(rows, minlength=len(answers.done))
        spent = (answers.iterations + held > self.iterations) & ~answers.done
        at = spent[rows].nonzero().squeeze(-1)
        if len(at):
            answers.offer(dynamics, pool, at, rows, certificate)
            answers.finish(rows[at])


class _Answers:
    """The best answer to each query so far."""

    def __init__(self, count: int, factors: int, device: torch.device) -> None:
        self.indices = torch.zeros(count, factors, dtype=torch.int64, device=device)
        self.similarities = torch.zeros(count, factors, device=device)
        self.iterations = torch.zeros(count, dtype=torch.int64, device=device)
        self.converged = torch.zeros(count, dtype=torch.bool, device=device)
        self.decodes = torch.zeros(count, dtype=torch.int64, device=device)
        self.done = torch.zeros(count, dtype=torch.bool, device=device)
        self.news = False  # whether queries were done since this was last cleared
        self._product = torch.full((count,), -math.inf, device=device)

    def finish(self, queries: Tensor) -> None:
        """Take queries off the list."""
        self.done[queries] = True
        self.news = self.news or len(queries) > 0

    def offer(self, dynamics: Dynamics, pool: Pool, at: Tensor, rows: Tensor, certificate: Certificate) -> Tensor:
        """Decode some rows, keep what is better than before; (Q,), bool: whether it is certified."""
        indices, similarities = dynamics.decode(pool, at)
        queries = rows[at]
        product = certificate.similarity(queries, indices).float()
        self.decodes.index_add_(0, queries, torch.ones_like(queries))
        # Copies of a query may answer at once: in ascending order, the best is written last.
        order = product.argsort(stable=True)
        for better in order[product[order] > self._product[queries[order]]].split(1 if _repeats(queries) else len(at)):
            chosen = queries[better]
            self.indices[chosen] = indices[better]
            self.similarities[chosen] = similarities[better].float()
            self._product[chosen] = product[better]
        return certificate.valid(queries, product)


def _repeats(queries: Tensor) -> bool:
    return len(queries) > 1 and len(queries.unique()) < len(queries)


def _put(pool: Pool, at: Tensor, fresh: Pool) -> None:
    for key, value in fresh.items():
        pool[key][at] = value
