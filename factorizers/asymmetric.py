"""The asymmetric factorizer: noise frozen into the codebook that is read, none while it iterates.

A share of the entries of the codebook that similarities are read from is flipped once. Forward and transposed reads
then disagree a little, which is enough to leave limit cycles.
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
from .activations import hard_threshold, int8_threshold_
from .base import Dynamics, Iterative
from .certificate import Certificate
from .in_memory import chance_threshold
from .needs import SIGNS, Need
from .problem import drawn_seed
from .resonator import ResonatorDynamics, Update, check_similarity, check_update, examine_from
from .spaces import Signs, Vectors, for_problem

__all__ = ["Asymmetric", "flip"]

Flips = Literal["sign", "zero_two"]


@FACTORIZERS.register("asymmetric")
@dataclass(eq=False)
class Asymmetric(Iterative):
    """The factorizer of Karunaratne et al. with asymmetric codebooks, for bipolar and binary vectors.

    Args:
        books: F codebooks of signs (map, bsc); answers are read from and certified by these.
        rate: share r of the entries flipped in the codebooks that similarities are read from.
        rebuild_rate: the same, by other flips, for the codebooks that are superposed. Published variants use it.
        flips: ``"sign"``: an entry changes its sign; ``"zero_two"``: as released, +1 becomes 0 and -1 becomes 2.
        threshold: similarity below which an atom is left out. Default: :func:`~factorizers.in_memory.chance_threshold`.
        update: sequential or parallel.
        converge: similarity of the last factor's best atom from which an answer is examined. Default: the
            certificate's tau.
        restart: iterations after which a row starts again from a random place; None, as published, is never.

    Reference:
        Karunaratne et al., "On the role of noise in factorizers for disentangling distributed representations", 2024.
    """

    rate: float = field(default=0.01, kw_only=True)
    rebuild_rate: float = field(default=0.0, kw_only=True)
    flips: Flips = field(default="sign", kw_only=True)
    threshold: float | None = field(default=None, kw_only=True)
    update: Update = field(default="sequential", kw_only=True)
    converge: float | None = field(default=None, kw_only=True)
    restart: int | None = field(default=50, kw_only=True)
    name: ClassVar[str] = "asymmetric"
    needs: ClassVar[tuple[Need, ...]] = (SIGNS,)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_update(self.name, self.update)
        if not self.problem.nearly_signs:
            raise UnsupportedError(
                self.name,
                received="atoms of other entries than +1 and -1",
                expected="signs, which can be flipped",
                hint="take their signs with algebra.quantize, or use in_memory",
            )
        if self.flips not in ("sign", "zero_two"):
            raise VSAError(f"{self.name} flips", received=repr(self.flips), expected="'sign' or 'zero_two'")
        for name in ("rate", "rebuild_rate"):
            vsa.validation.check_number(self.name, name, getattr(self, name))
            if not 0 <= getattr(self, name) <= 0.5:
                raise VSAError(f"{self.name} {name}", received=getattr(self, name), expected="a share from 0 to 0.5")
        for name in ("threshold", "converge"):
            check_similarity(self.name, name, getattr(self, name))

    def _dynamics(self, queries: Tensor, certificate: Certificate, generator: torch.Generator) -> Dynamics:
        return _Asymmetric(self, for_problem(self.problem, queries, None, self.slots), generator, certificate)

    def flipped(self, generator: torch.Generator) -> tuple[list[Codebook], list[Codebook]]:
        """The codebooks that are read and those that are superposed, flips drawn from the generator.

        Args:
            generator: the source of randomness.
        """
        books = self.problem.books
        readers = [flip(book, self.rate, self.flips, generator) for book in books]
        return readers, [flip(book, self.rebuild_rate, self.flips, generator) for book in books]


class _Asymmetric(ResonatorDynamics):
    def __init__(
        self, settings: Asymmetric, space: Signs | Vectors, generator: torch.Generator, certificate: Certificate
    ) -> None:
        readers, writers = settings.flipped(generator)
        super().__init__(
            settings.problem,
            space,
            generator,
            converge=examine_from(settings.converge, certificate),
            update=settings.update,
            readers=readers,
            writers=writers,
        )
        chosen = settings.threshold
        self._thresholds = [
            (chosen if chosen is not None else chance_threshold(settings.problem, n)) * space.unit
            for n in settings.problem.sizes
        ]

    def activate(self, similarities: Tensor, factor: int) -> Tensor:
        threshold = self._thresholds[factor]
        if similarities.dtype == torch.int32 and isinstance(self.space, Signs):
            kept = int8_threshold_(similarities, max(1, -int(-threshold // 1)), self.space.shift)
            return kept if self.writers[factor].kind == "bipolar" else self._as_float(kept)
        return hard_threshold(similarities, threshold) / self.space.unit


def flip(book: Codebook, rate: float, flips: Flips, generator: torch.Generator) -> Codebook:
    """A codebook with a share of its entries flipped.

    Args:
        book: of an algebra that declares ``laws.signs``.
        rate: r, the probability that an entry flips.
        flips: ``"sign"`` or ``"zero_two"``.
        generator: the source of randomness.

    Returns:
        A codebook of map on the same backend: int8 signs, or floats that contain 0 and 2.
    """
    signs = book.algebra.embed(book.atoms).sign()
    drawn = torch.rand(signs.shape, generator=generator, device=generator.device).to(signs.device) < rate
    algebra = vsa.get("map", dim=book.algebra.embedding.width)
    if flips == "sign":
        atoms = torch.where(drawn, -signs, signs).to(torch.int8)
    else:
        atoms = torch.where(drawn, 1 - signs, signs)
    return Codebook(
        algebra, atoms, labels=book.labels, backend=book.backend, seed=drawn_seed(book, generator), unrelated=False
    )


def as_queries(books: Sequence[Codebook], indices: Tensor) -> Tensor:
    """Products of flipped atoms, as the released code forms its queries.

    Args:
        books: flipped codebooks of one form.
        indices: (..., F).

    Returns:
        (..., D).
    """
    parts = torch.stack([book.atoms[indices[..., f]] for f, book in enumerate(books)], -2)
    return books[0].algebra.bind_all(parts)
