"""The resonator network: an estimate is what the query holds once the other estimates are unbound, cleaned up.

Its step is shared by the in-memory and the asymmetric factorizer, which change the activation and the codebooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

import vsa
from vsa import Codebook, UnsupportedError, VSAError

from . import FACTORIZERS
from .base import Dynamics, Iterative, Pool, Watch
from .certificate import Certificate
from .needs import ADJOINT, SUMS, Need
from .problem import Problem
from .spaces import Signs, Vectors, for_problem, reads_integers

__all__ = ["Resonator", "ResonatorDynamics"]

Readout = Literal["outer_product", "least_squares"]
Update = Literal["sequential", "parallel"]


@FACTORIZERS.register("resonator")
@dataclass(eq=False)
class Resonator(Iterative):
    """The resonator network of Frady, Kent, Olshausen and Sommer, for every algebra whose sums can be unbound.

    Deterministic, apart from restarts. It stops at a fixed point in which every estimate reads one atom.

    Args:
        books: F codebooks of one algebra.
        readout: how a target becomes weights of the superposition: the similarities themselves
            (``"outer_product"``), or the coefficients of the least-squares fit by the atoms (``"least_squares"``).
        update: ``"sequential"``: each factor sees the newest estimates of the others; ``"parallel"``: those of the
            previous iteration.
        converge: similarity of the last factor's best atom from which an answer is examined. Default: the certificate's
            tau, less where the query is noisy.

    Reference:
        Frady, Kent, Olshausen, Sommer, "Resonator networks, 1", Neural Computation 2020; Kent, Frady, Sommer,
        Olshausen, "Resonator networks, 2", Neural Computation 2020.
    """

    readout: Readout = field(default="outer_product", kw_only=True)
    update: Update = field(default="sequential", kw_only=True)
    converge: float | None = field(default=None, kw_only=True)
    name: ClassVar[str] = "resonator"
    needs: ClassVar[tuple[Need, ...]] = (ADJOINT, SUMS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.readout not in ("outer_product", "least_squares"):
            raise VSAError(f"{self.name} readout", received=repr(self.readout), expected="outer_product, least_squares")
        check_update(self.name, self.update)
        check_similarity(self.name, "converge", self.converge)

    def _dynamics(self, queries: Tensor, certificate: Certificate, generator: torch.Generator) -> Dynamics:
        space = for_problem(self.problem, queries, None, self.slots)
        return ResonatorDynamics(
            self.problem,
            space,
            generator,
            converge=examine_from(self.converge, certificate),
            update=self.update,
            mixers=least_squares(self.problem) if self.readout == "least_squares" else None,
            signed=self.problem.algebra.laws.sign_pairs,
        )


class ResonatorDynamics(Dynamics):
    """The loop of unbinding, reading, superposing and projecting.

    Args:
        problem: the codebooks that answers are read from, and whose atoms are superposed.
        space: where estimates live.
        generator: of restarts.
        converge: similarity from which an answer is examined.
        update: sequential or parallel.
        readers: codebooks that similarities are read from. Default: the problem's.
        writers: codebooks whose atoms are superposed. Default: the problem's.
        mixers: (N, N) for each factor, applied to the similarities. Default: none.
        signed: whether a strongly negative similarity counts as well: two estimates with both signs wrong make the same
            product.
    """

    def __init__(
        self,
        problem: Problem,
        space: Signs | Vectors,
        generator: torch.Generator,
        *,
        converge: float,
        update: Update = "sequential",
        readers: Sequence[Codebook] | None = None,
        writers: Sequence[Codebook] | None = None,
        mixers: Sequence[Tensor] | None = None,
        signed: bool = False,
    ) -> None:
        self.problem = problem
        self.space = space
        self.generator = generator
        self.converge = converge * space.unit
        self.update = update
        self.readers = [book.stored for book in (readers or problem.books)]
        self.writers = [book.stored for book in (writers or problem.books)]
        self.exact = all(book.backend.exact for book in (*(readers or ()), *(writers or ()), *problem.books))
        self.mixers = mixers
        self.signed = signed
        self.integer = [space.integer and reads_integers(stored, self.exact) for stored in self.readers]
        self._float = problem.books[0].stored.dtype or torch.get_default_dtype()
        self._lengths = problem.lengths
        width = problem.algebra.embedding.width
        self.macs_per_decode = sum(problem.sizes) * width
        self.macs_per_iteration = 2 * self.macs_per_decode
        self._first = [self._initial(factor) for factor in range(problem.factors)]

    # ------------------------------------------------------------------ the loop's hooks

    def start(self, rows: Tensor, attempt: int) -> Pool:
        if attempt == 0:
            return self.space.start(rows, self._first)
        return self.space.start(rows, [self._elsewhere(factor, len(rows)) for factor in range(self.problem.factors)])

    def step(self, pool: Pool, watch: Watch | None) -> Tensor | None:
        best: Tensor | None = None
        superposed = []
        last = self.problem.factors - 1
        for factor in range(self.problem.factors):
            target = self.space.target(pool, factor)
            similarities = self.read(factor, target)
            if factor == last:
                best = (similarities.abs() if self.signed else similarities).amax(-1)
            seen = similarities / self.space.unit if watch is not None else None
            weights = self.activate(similarities, factor)
            if watch is not None and seen is not None:
                watch.read(seen, weights)
            values = self.write(factor, weights)
            if self.update == "parallel":
                superposed.append(values)
            else:
                self.space.put(pool, factor, target, values)
        if superposed:
            self.space.put_parallel(pool, superposed)
        if watch is not None:
            watch.energy = -self.space.agreement(pool)
        return None if best is None else best >= self.converge

    def decode(self, pool: Pool, rows: Tensor) -> tuple[Tensor, Tensor]:
        part = {key: value[rows] for key, value in pool.items()}
        reads = []
        for factor, book in enumerate(self.problem.books):
            target = self.space.target(part, factor)
            integer = self.space.integer and reads_integers(book.stored, self.exact)
            similarities = self._of_usual(factor, book.stored.matvec(target if integer else self._as_float(target)))
            reads.append((similarities.abs() if self.signed else similarities).max(-1))
        values = torch.stack([read.values for read in reads], -1)
        return torch.stack([read.indices for read in reads], -1), values / self.space.unit

    # ------------------------------------------------------------------ what members change

    def activate(self, similarities: Tensor, factor: int) -> Tensor:
        """From raw similarities to weights.

        Args:
            similarities: (R, N), int32 or float; may be overwritten.
            factor: which.

        Returns:
            (R, N), int8 or float.
        """
        values = self._as_float(similarities) / self.space.unit
        return values if self.mixers is None else values @ self.mixers[factor]

    # ------------------------------------------------------------------ reads

    def read(self, factor: int, target: Tensor) -> Tensor:
        """(R, E) -> (R, N), raw similarities."""
        raw = self.readers[factor].matvec(target if self.integer[factor] else self._as_float(target))
        return self._of_usual(factor, raw)

    def write(self, factor: int, weights: Tensor) -> Tensor:
        """(R, N) -> (R, E)."""
        return self.writers[factor].rmatvec(self._of_usual(factor, weights))

    def _of_usual(self, factor: int, x: Tensor) -> Tensor:
        """Reads, or weights, (R, N) of atoms as if all were of the usual length: no product depends on it."""
        lengths = self._lengths[factor]
        return x if lengths is None else x / lengths.to(x.dtype)

    def _as_float(self, x: Tensor) -> Tensor:
        return x if x.is_floating_point() else x.to(self._float)

    def _initial(self, factor: int) -> Tensor:
        """(1, D'): all atoms superposed alike."""
        count = self.problem.sizes[factor]
        weights = torch.ones(1, count, dtype=self._float, device=self.problem.device)
        return self.space.project(self.write(factor, weights))

    def _elsewhere(self, factor: int, rows: int) -> Tensor:
        """(R, D'): random superpositions."""
        shape = (rows, self.problem.sizes[factor])
        weights = torch.randn(shape, generator=self.generator, device=self.generator.device)
        return self.space.project(self.write(factor, weights.to(self.problem.device, self._float)))


def _scale(embedding: vsa.Embedding) -> float:
    """What makes the inner product of an atom with itself 1."""
    return embedding.scale / (1.0 - embedding.offset)


def check_update(name: str, update: str) -> None:
    """Refuse another word than sequential or parallel."""
    if update not in ("sequential", "parallel"):
        raise VSAError(f"{name} update", received=repr(update), expected="'sequential' or 'parallel'")


def check_similarity(name: str, option: str, value: float | None) -> None:
    """Refuse what is neither None nor a similarity above 0."""
    if value is None:
        return
    vsa.validation.check_number(name, option, value)
    if not 0 < value <= 1:
        raise VSAError(f"{name} {option}", received=value, expected="a similarity in (0, 1]")


def examine_from(given: float | None, certificate: Certificate) -> float:
    """The similarity from which an answer is examined: as given, else the lowest that could be certified."""
    return given if given is not None else min(0.9, float(certificate.tau.min()))


def least_squares(problem: Problem) -> list[Tensor]:
    """The inverse Gram matrices that turn similarities into least-squares coefficients.

    Args:
        problem: the codebooks.

    Returns:
        (N, N) for each factor; the pseudo-inverse where there are more atoms than dimensions.
    """
    made = []
    for book in problem.books:
        if not book.backend.exact:
            raise UnsupportedError(
                "resonator readout",
                received="least_squares on a backend with noise",
                expected="exact codebooks",
                hint="use readout='outer_product'",
            )
        atoms = book.algebra.embed(book.atoms).to(torch.float64)
        made.append(torch.linalg.pinv(atoms @ atoms.mT * _scale(book.algebra.embedding), hermitian=True))
    return [matrix.to(problem.books[0].stored.dtype or torch.get_default_dtype()) for matrix in made]
