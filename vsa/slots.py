"""Sets of slots as vectors: union, difference and roll, as a reasoner over the positions of a panel needs them.

A set is the bundle of the vectors of its slots; with probabilities as weights it is an uncertain set. Adding two sets
counts what both have twice: *saturation* reads the counts, cuts them to [0, 1] and writes them back. Both steps are
reads of the slots' codebook, so they run on its backend. A roll moves every slot on by one binding or one permutation.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from .algebra import Algebra
from .arithmetic import widened
from .backends.base import Backend
from .codebook import Codebook
from .codebook_labels import label_names
from .errors import DtypeError, UnsupportedError, VSAError
from .validation import check_count, check_kind, make_generator

__all__ = ["SlotSets"]

Motion = Literal["bind", "permute"]


class SlotSets(nn.Module):
    """Sets over S slots that lie on a circle.

    Args:
        algebra: one whose bundles keep weights (``laws.linear``).
        slots: S names, or S itself.
        motion: what moves a set around the circle. ``"bind"``: slot i is power i of a vector of period S (gsbc with
            blocks of a length that S divides, hrr, fhrr). ``"permute"``: slot i is one vector permuted i times
            ``laws.permutation_order / S``, which S must divide. Default: binding where the algebra can, else permuting.
        generator: the source of randomness; or
        seed: of a new one.
        backend: where the slots' vectors are stored.

    Raises:
        VSAError: the algebra can neither bind nor permute around a circle of S places.
    """

    def __init__(
        self,
        algebra: Algebra,
        slots: Sequence[Hashable] | int,
        *,
        motion: Motion | None = None,
        generator: torch.Generator | None = None,
        seed: int | None = None,
        backend: Backend | None = None,
    ) -> None:
        super().__init__()
        check_kind("SlotSets", algebra, Algebra, "an algebra", "see vsa.get")
        if not algebra.laws.linear:
            raise UnsupportedError(
                f"{algebra.name} SlotSets",
                received="an algebra whose bundle is a vote",
                expected="one whose bundle keeps weights",
                hint=algebra.room_for_sums,
            )
        names = label_names("SlotSets", slots)
        check_count("SlotSets", "slots", len(names))
        if motion is not None and (not isinstance(motion, str) or motion not in ("bind", "permute")):
            raise VSAError("SlotSets", received=f"motion {motion!r}", expected="bind, permute, or None")
        source = make_generator("SlotSets", generator, seed)
        atoms, self.motion = _circle(algebra, len(names), motion, source)
        self.algebra = algebra
        self.book = Codebook(algebra, atoms, labels=names, backend=backend, unrelated=False)
        embedded = algebra.embed(atoms, torch.float64).to(torch.float64)
        gram = embedded @ embedded.mT
        if int(torch.linalg.matrix_rank(gram)) < len(names):
            raise VSAError(
                f"{algebra.name} SlotSets",
                received=f"{len(names)} slots in dimension {algebra.dim} that are not independent",
                expected="independent slot vectors",
                hint="use a larger dim",
            )
        # Inner products to counts: the inverse of the slots' Gram matrix, which is nearly diagonal.
        self.register_buffer("_untangle", torch.linalg.inv(gram).to(torch.get_default_dtype()))

    _untangle: Tensor

    # ------------------------------------------------------------------ sets and vectors

    def encode(self, occupied: Tensor) -> Tensor:
        """Occupancies to a set's vector.

        Args:
            occupied: (..., S), 0 or 1, or the probability that a slot is in the set.

        Returns:
            (..., D).
        """
        return self.book.superpose(occupied)

    def counts(self, vector: Tensor) -> Tensor:
        """How often each slot is in a bundle of sets, exact up to rounding and to the backend's noise.

        Args:
            vector: (..., D).

        Returns:
            (..., S), not cut.
        """
        embedding, similarity = self.algebra.embedding, self.book.similarity(vector)
        products = (widened(similarity) - embedding.offset) / embedding.scale
        return (products @ self._untangle.to(products.dtype)).to(similarity.dtype)

    def decode(self, vector: Tensor) -> Tensor:
        """Occupancies of a set's vector.

        Args:
            vector: (..., D).

        Returns:
            (..., S), from 0 to 1.
        """
        return self.counts(vector).clamp(0, 1)

    def saturate(self, vector: Tensor) -> Tensor:
        """A bundle of sets to a set: what occurs more than once occurs once, what is negative is absent.

        Args:
            vector: (..., D).

        Returns:
            (..., D).
        """
        return self.encode(self.decode(vector))

    # ------------------------------------------------------------------ set algebra

    def union(self, x: Tensor, y: Tensor, *, independent: bool = False) -> Tensor:
        """Slots in either set.

        Args:
            x: (..., D).
            y: (..., D), broadcast against ``x``.
            independent: for uncertain sets: p + q - p q, as if slots were independent, instead of min(p + q, 1). The
                same for certain sets.

        Returns:
            (..., D).
        """
        self.algebra._check("union", x, y)
        if not independent:
            return self.saturate(x + y)
        p, q = self.decode(x), self.decode(y)
        return self.encode(p + q - p * q)

    def difference(self, x: Tensor, y: Tensor, *, independent: bool = False) -> Tensor:
        """Slots in the first set and not in the second.

        Args:
            x: (..., D).
            y: (..., D), broadcast against ``x``.
            independent: for uncertain sets: p (1 - q) instead of max(p - q, 0).

        Returns:
            (..., D).
        """
        self.algebra._check("difference", x, y)
        if not independent:
            return self.saturate(x - y)
        p, q = self.decode(x), self.decode(y)
        return self.encode(p * (1 - q))

    def intersection(self, x: Tensor, y: Tensor, *, independent: bool = False) -> Tensor:
        """Slots in both sets.

        Args:
            x: (..., D).
            y: (..., D), broadcast against ``x``.
            independent: for uncertain sets: p q instead of max(p + q - 1, 0).

        Returns:
            (..., D).
        """
        self.algebra._check("intersection", x, y)
        if not independent:
            return self.saturate(x + y - self.everything().to(x.dtype))
        return self.encode(self.decode(x) * self.decode(y))

    def complement(self, x: Tensor) -> Tensor:
        """Slots that are not in a set.

        Args:
            x: (..., D).

        Returns:
            (..., D).
        """
        self.algebra._check("complement", x)
        return self.everything().to(x.dtype) - x

    def roll(self, x: Tensor, steps: int) -> Tensor:
        """Every slot moves on around the circle: one binding, or one permutation.

        Args:
            x: (..., D).
            steps: how far; negative moves back.

        Returns:
            (..., D).
        """
        if isinstance(steps, bool) or not isinstance(steps, int):
            raise DtypeError("SlotSets roll", received=f"steps {steps!r}", expected="an integer")
        if self.motion == "permute":
            return self.algebra.permute(x, steps * (self.algebra.laws.permutation_order // len(self.book)))
        key = self.book.atoms[steps % len(self.book)]
        return self.algebra.bind(x, key.to(x.dtype) if key.is_floating_point() or key.is_complex() else key)

    def everything(self) -> Tensor:
        """The set of all slots, (D,)."""
        ones = torch.ones(len(self.book), dtype=self._untangle.dtype, device=self._untangle.device)
        return self.encode(ones)

    def size(self, x: Tensor) -> Tensor:
        """The (expected) number of slots in a set.

        Args:
            x: (..., D).

        Returns:
            (...).
        """
        return self.decode(x).sum(-1)

    def extra_repr(self) -> str:
        """How sets move."""
        return f"{len(self.book)} slots, moved by {'binding' if self.motion == 'bind' else 'permutation'}"


def _circle(algebra: Algebra, count: int, motion: Motion | None, source: torch.Generator) -> tuple[Tensor, Motion]:
    """Vectors (S, D) of places around a circle, and what moves them."""
    if motion != "permute":
        try:
            base = algebra.cyclic_base(count, generator=source)
            return algebra.power(base, torch.arange(count, device=base.device)), "bind"
        except VSAError:
            if motion == "bind":
                raise
    order = algebra.laws.permutation_order
    if order % count:
        raise VSAError(
            f"{algebra.name} SlotSets",
            received=f"{count} slots, and permutations that repeat after {order}",
            expected="a number of slots that divides it, or a vector of that period",
            hint="choose dim (for block codes the block length) as a multiple of the number of slots",
        )
    first = algebra.random(generator=source, dtype=algebra.compact_dtype)
    return torch.stack([algebra.permute(first, i * (order // count)) for i in range(count)]), "permute"
