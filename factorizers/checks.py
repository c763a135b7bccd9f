"""The law suite of factorizers, for the project's own and for those that others write.

>>> import vsa, factorizers
>>> results = factorizers.check_factorizer(factorizers.InMemory, vsa.get("map", dim=512))
>>> [result.law for result in results if result.status != "held"]
[]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

import vsa
from vsa import Algebra, Backend, Codebook, VSAError

from .base import Factorizer
from .result import Factorization

__all__ = ["check_factorizer"]

Make = Callable[[Sequence[Codebook]], Factorizer]


def check_factorizer(
    make: Make, algebra: Algebra, *, backend: Backend | None = None, sizes: tuple[int, ...] = (5, 7, 4), seed: int = 0
) -> tuple[vsa.checks.LawResult, ...]:
    """Hold a factorizer to what every one promises.

    Args:
        make: makes the factorizer from codebooks: its class, or a function that adds options.
        algebra: of the codebooks, of a dimension at which the method finds every one of so few products.
        backend: where the codebooks are. Default: digital.
        sizes: N of each factor, few.
        seed: of codebooks, queries and randomness.

    Returns:
        One outcome per law.

    Raises:
        LawError: a law is broken.
    """
    case = _Case(make, algebra, backend, sizes, seed)
    laws = {
        "recovers exact products": case.recovers,
        "keeps leading axes": case.keeps_axes,
        "repeats itself from a seed": case.repeats,
        "certifies only what re-binds": case.certifies,
        "ends on what is no product": case.ends,
        "leaves its arguments alone": case.leaves_arguments,
        "counts its work": case.counts,
        "one factor is clean-up": case.one_factor,
        "refuses NaN, zeros and other shapes": case.refuses,
        "answers queries of any length": case.scales,
        "answers a batch of none": case.empty,
        "tells atoms apart that are alike": case.alike,
        "says where codebooks share atoms": case.shared,
        "takes atoms of any length": case.lengths,
        "says where products are equal": case.equal,
        "says where atoms can change places": case.circle,
    }
    results = []
    for law, check in laws.items():
        outcome = check()
        status = "skipped" if outcome.startswith("skipped") else "held"
        results.append(vsa.checks.LawResult(law, status, outcome))  # type: ignore[arg-type]
    return tuple(results)


class _Case:
    def __init__(
        self, make: Make, algebra: Algebra, backend: Backend | None, sizes: tuple[int, ...], seed: int
    ) -> None:
        self.make, self.algebra, self.backend, self.seed = make, algebra, backend, seed
        self.generator = torch.Generator().manual_seed(seed)
        self.books = [self._book(size) for size in sizes]
        self.factorizer = make(self.books)
        self.indices = torch.stack([torch.randint(n, (2, 6), generator=self.generator) for n in sizes], -1)
        self.queries = self.factorizer.problem.product(self.indices)
        self.answer = self._ask(self.queries)

    def _book(self, size: int) -> Codebook:
        book = Codebook.random(self.algebra, size, generator=self.generator)
        if self.backend is None or self.backend.exact:
            return book if self.backend is None else book.on(self.backend)
        return book.on(self.backend, seed=int(torch.randint(2**62, (), generator=self.generator)))

    def _ask(self, queries: Tensor) -> Factorization:
        return self.factorizer(queries, generator=torch.Generator().manual_seed(self.seed))

    def recovers(self) -> str:
        wrong = (self.answer.indices != self.indices).any(-1)
        self._need(not bool(wrong.any()), f"{int(wrong.sum())} of {wrong.numel()} wrong", "all factors of all products")
        self._need(bool(self.answer.valid.all()), "right answers without certificate", "a certificate for each")
        return f"{wrong.numel()} of {wrong.numel()}"

    def keeps_axes(self) -> str:
        shapes = {name: tuple(getattr(self.answer, name).shape) for name in ("indices", "valid", "iterations", "macs")}
        expected = {"indices": tuple(self.indices.shape), **dict.fromkeys(("valid", "iterations", "macs"), (2, 6))}
        self._need(shapes == expected, shapes, expected)
        one = self._ask(self.queries[0, 0])
        self._need(tuple(one.indices.shape) == (len(self.books),), tuple(one.indices.shape), (len(self.books),))
        return "shapes as the query's"

    def repeats(self) -> str:
        again = self._ask(self.queries)
        same = torch.equal(again.indices, self.answer.indices)
        self._need(same and torch.equal(again.iterations, self.answer.iterations), "another answer", "the same one")
        return "the same answer and iterations"

    def certifies(self) -> str:
        noise = self.algebra.random(12, generator=self.generator, dtype=self.queries.dtype)
        for queries in (self.queries.reshape(-1, self.queries.shape[-1]), noise):
            answer = self._ask(queries)
            certificate = self.factorizer.problem.certificate(queries)
            rebound = certificate.similarity(torch.arange(len(queries), device=queries.device), answer.indices)
            self._need(
                torch.equal(
                    answer.valid, certificate.valid(torch.arange(len(queries), device=queries.device), rebound)
                ),
                "a certificate that re-binding does not give",
                "valid exactly where the product reaches tau",
            )
        return "valid exactly where the product reaches tau"

    def ends(self) -> str:
        noise = self.algebra.random(4, generator=self.generator, dtype=self.queries.dtype)
        answer = self._ask(noise)
        self._need(not bool(answer.valid.any()), "a certificate for a random vector", "none")
        self._need(bool((answer.iterations >= 1).all()), "answers without iterations", "at least one")
        return "no certificate for random vectors"

    def leaves_arguments(self) -> str:
        before = self.queries.clone(), [book.atoms.clone() for book in self.books]
        self._ask(self.queries)
        same = torch.equal(before[0], self.queries)
        same &= all(torch.equal(atoms, book.atoms) for atoms, book in zip(before[1], self.books, strict=True))
        self._need(same, "queries or atoms that changed", "both as they were")
        return "unchanged"

    def counts(self) -> str:
        self._need(bool((self.answer.macs > 0).all()), "no multiply-accumulates", "what was spent")
        return f"{self.answer.exhaustive_share:.2g} of exhaustive search"

    def one_factor(self) -> str:
        book = self.books[0]
        alone = self.make([book])(book.atoms, generator=torch.Generator().manual_seed(self.seed))
        right = torch.equal(alone.indices.squeeze(-1), torch.arange(len(book), device=alone.indices.device))
        self._need(right, alone.indices.squeeze(-1).tolist(), "each atom's own row")
        return "each atom is its own answer"

    def refuses(self) -> str:
        wrong = {"another width": self.queries[..., :-1]}
        real = self._real(self.queries)
        if real is not None:
            wrong["NaN"] = torch.full_like(real, float("nan"))
            wrong["one NaN among products"] = real.clone()
            wrong["one NaN among products"][0, 0, 0] = float("nan")
            wrong["zeros"] = torch.zeros_like(real)
            wrong["zeros among products"] = real.clone()
            wrong["zeros among products"][0, 0] = 0
        for what, queries in wrong.items():
            try:
                self._ask(queries)
            except VSAError:
                continue
            self._need(False, f"an answer to {what}", "a VSAError")
        return ", ".join(wrong)

    def scales(self) -> str:
        real = self._real(self.queries)
        if real is None:
            return "vectors have no length"
        noise = self.algebra.random(16, generator=self.generator, dtype=real.dtype)
        for scale in (1e-25, 1e20):
            answer = self._ask(real * scale)
            wrong = int((answer.indices != self.indices).any(-1).sum() + (~answer.valid).sum())
            self._need(wrong == 0, f"{wrong} products times {scale} lost", "the answers to the products themselves")
            self._need(not bool(self._ask(noise * scale).valid.any()), f"a certificate for noise times {scale}", "none")
        return "the same times 1e-25 and 1e20"

    def empty(self) -> str:
        answer = self._ask(self.queries[:0])
        expected = (0, *self.indices.shape[1:])
        self._need(tuple(answer.indices.shape) == expected, tuple(answer.indices.shape), expected)
        self._need(answer.labels == [], answer.labels, "no labels")
        return "no answers"

    def alike(self) -> str:
        try:
            books = [self._ramp() for _ in self.books]
        except VSAError as error:
            return f"no vectors between two others: {error}"
        indices = torch.stack([torch.randint(len(book), (100,), generator=self.generator) for book in books], -1)
        factorizer = self.make(books)
        queries = factorizer.problem.product(indices)
        answer = factorizer(queries, generator=torch.Generator().manual_seed(self.seed))
        every = torch.arange(len(queries), device=queries.device)
        right = factorizer.problem.certificate(queries).similarity(every, indices.to(queries.device))
        worse = int((answer.valid & (answer.product_similarity < right - 1e-5)).sum())
        # Climbing from atom to atom may end beside the best: two of a hundred are borne.
        self._need(worse <= 2, f"{worse} certificates for neighbours of the right product", "at most 2 of 100")
        return f"{int(answer.valid.sum())} of {len(queries)} certified, all as similar as the right product"

    def _ramp(self) -> Codebook:
        """Atoms that change from one into another a few entries at a time."""
        dtype = self.books[0].atoms.dtype
        first, last = self.algebra.random(2, generator=self.generator, dtype=dtype)
        width = len(first)
        steps = min(30, width + 1)
        cut = (torch.arange(steps) * width / (steps - 1)).round().unsqueeze(-1)
        atoms = torch.where(torch.randperm(width, generator=self.generator) < cut, last, first)
        return Codebook(self.algebra, atoms, backend=self.backend)

    def shared(self) -> str:
        book = self.books[0]
        factorizer = self.make([book, book])
        rows = torch.arange(len(book))
        indices = torch.cartesian_prod(rows, rows)
        queries = factorizer.problem.product(indices)
        answer = factorizer(queries, generator=torch.Generator().manual_seed(self.seed))
        self._need(answer.interchangeable == ((0, 1),), answer.interchangeable, "factors 0 and 1, interchangeable")
        other = (answer.indices.cpu().sort(-1).values != indices.sort(-1).values).any(-1)
        silent = int((other & answer.valid.cpu() & (answer.false_expected.cpu() < 0.5)).sum())
        self._need(silent == 0, f"{silent} certificates for other atoms", "the right ones in any order, or a count")
        return "right up to their order"

    def lengths(self) -> str:
        atoms = [self._real(book.atoms) for book in self.books]
        if any(part is None or part.shape != book.atoms.shape for part, book in zip(atoms, self.books, strict=True)):
            return "vectors have no length"
        shares = [torch.logspace(-3, 3, len(book)).unsqueeze(-1) for book in self.books]
        try:
            made = self.make(
                [
                    Codebook(self.algebra, part * share, backend=self.backend)
                    for part, share in zip(atoms, shares, strict=True)
                    if part is not None
                ]
            )
        except VSAError as error:
            return f"atoms of one length: {error}"
        if self.backend is not None and not self.backend.exact:
            return "an array keeps the largest atoms only"
        queries = self._real(self.queries)
        if queries is None or queries.shape != self.queries.shape:
            return "vectors have no length"
        answer = made(queries, generator=torch.Generator().manual_seed(self.seed))
        wrong = (answer.indices != self.indices).any(-1)
        silent = int((wrong & answer.valid).sum())
        self._need(silent == 0, f"{silent} certificates for other atoms", "none")
        lost = int((~answer.valid).sum())
        self._need(lost <= 1, f"{lost} of {wrong.numel()} lost", "answers as to atoms of one length")
        return "as atoms of one length"

    def equal(self) -> str:
        """Two atoms each of two codebooks that make one product: the answer may be the other pair, but not silently."""
        if self.algebra.laws.reason("unbind") is not None:
            return "nothing to unbind with"
        first, second = self.books[0].atoms, self.books[1].atoms.clone()
        second[3] = self.algebra.unbind(self.algebra.bind(first[1], second[2]), first[4])
        rows = torch.tensor([[1, 2], [4, 3]])
        try:
            factorizer = self.make([Codebook(self.algebra, part, backend=self.backend) for part in (first, second)])
            queries = factorizer.problem.product(rows)
        except VSAError as error:
            return f"no such atoms: {error}"
        one, two = self.algebra.embed(queries).double()
        if not torch.allclose(one, two, rtol=1e-3, atol=1e-4):
            return "unbinding is not exact"
        answer = factorizer(queries, generator=torch.Generator().manual_seed(self.seed))
        silent = int((answer.valid & (answer.false_expected < 0.5)).sum())
        self._need(
            silent == 0, f"{silent} certificates for one of two equal products", "false_expected that counts both"
        )
        return "both are counted"

    def circle(self) -> str:
        """Three codebooks of which each two share another atom: their product does not tell which is whose."""
        book = self._book(9).atoms
        parts = [book[[0, 2, 3, 4]], book[[0, 1, 5, 6]], book[[1, 2, 7, 8]]]
        factorizer = self.make([Codebook(self.algebra, part, backend=self.backend) for part in parts])
        rows = torch.tensor([[0, 1, 1], [1, 0, 0]])  # atoms 0, 1, 2 either way round
        answer = factorizer(factorizer.problem.product(rows), generator=torch.Generator().manual_seed(self.seed))
        self._need(answer.interchangeable == ((0, 1, 2),), answer.interchangeable, "factors 0, 1, 2, interchangeable")
        both = bool(answer.valid.all()) and not torch.equal(answer.indices[0], answer.indices[1])
        self._need(not both, "two answers to one product", "one and the same order")
        return "one order of three factors"

    def _real(self, queries: Tensor) -> Tensor | None:
        """Queries in the canonical form, where that is one of real or complex numbers."""
        real = self.algebra.unembed(self.algebra.embed(queries))
        return real if real.is_floating_point() or real.is_complex() else None

    def _need(self, held: bool, received: object, expected: object) -> None:
        if not held:
            raise vsa.checks.LawError(f"{self.factorizer.name} on {self.algebra}", received=received, expected=expected)
