"""Values as vectors and back: one fractional-power codebook, written by superposition and read by similarity.

Value v of any attribute is the v-th power of one base, so that binding adds values; one more atom says that the
entities of a panel differ. A PMF is the superposition of its values. Where a value is known for certain and the backend
is exact, its atom stands for it, in the algebra's most compact form.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

import vsa
from vsa import Algebra, Backend, Codebook, StoredMatrix
from vsa.backends import get as get_backend
from vsa.seeding import child_seed

__all__ = ["Alphabet"]

log = logging.getLogger(__name__)
_DRAWN = 256  # atoms for "the entities differ", of which the one least like any value is taken
_DEVIATIONS = 4.5  # of the crosstalk between atoms; what is read below is nothing
_ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-14}  # of a read, relative to an atom's similarity with itself


class Alphabet(nn.Module):
    """Writes PMFs as vectors and reads vectors as PMFs.

    Args:
        algebra: any whose vectors have powers and superpose linearly.
        backend: where the codebooks are stored. Default: digital, exact.
        seed: of the atoms.
    """

    def __init__(self, algebra: Algebra, backend: Backend | None = None, seed: int = 0) -> None:
        super().__init__()
        self.algebra, self.seed = algebra, seed
        self.backend = get_backend("digital") if backend is None else backend
        self._books: dict[tuple[int, torch.device], Codebook] = {}
        self._floors: dict[tuple[int, torch.device], float] = {}
        self._atom: Tensor | None = None

    def ideal(self, reach: int) -> Alphabet:
        """An alphabet without crosstalk whose sums wrap around as this one's do.

        Args:
            reach: the largest sum, for an algebra whose powers do not repeat.

        Returns:
            One-hot blocks, digital.
        """
        length = self.period or 1 << (2 * reach - 1).bit_length()
        return Alphabet(vsa.get("gsbc", dim=length, blocks=1), seed=self.seed)

    def stored(self) -> dict[str, list[StoredMatrix]]:
        """The arrays read so far."""
        return {"values to vectors and back": [book.stored for book in self._books.values()]}

    def book(self, values: int, device: torch.device | str = "cpu") -> Codebook:
        """The atoms of values 0 .. V - 1, then one for "the entities differ".

        Args:
            values: V.
            device: where to.

        Returns:
            V + 1 atoms.
        """
        place = (values, torch.device(device))
        if place not in self._books:
            powers = self.powers(torch.arange(values))
            length = self.period
            if length is not None and values > length:
                log.warning(
                    "%d values of a base that repeats after %d, so that some share an atom: longer blocks keep them "
                    "apart (algebra.blocks=1, or a larger algebra.dim)",
                    values,
                    length,
                )
            drawn = self.algebra.random(_DRAWN, generator=self._generator("differs"), dtype=powers.dtype)
            around = self.powers(torch.arange(-values, 3 * values))  # sums and differences, too, but values above all
            likeness = self.algebra.similarity_to_set(drawn, around).abs()
            likeness = likeness.amax(-1) + likeness[:, values : 2 * values].amax(-1)
            atoms = torch.cat([powers, drawn[likeness.argmin()].unsqueeze(0)]).to(place[1])
            labels = [*range(values), "differs"]
            seed = child_seed(self.seed, "alphabet", "array", values)
            # allow for values beyond the period: they share atoms, as the warning says
            self._books[place] = Codebook(
                self.algebra, atoms, labels=labels, backend=self.backend, seed=seed, unrelated=False
            )
        return self._books[place]

    def powers(self, exponents: Tensor) -> Tensor:
        """The atoms of some values, without a read.

        Args:
            exponents: long (N,).

        Returns:
            (N, D), in the algebra's most compact form.
        """
        return self.algebra.power(self._base(), exponents)

    def step(self, offset: int, like: Tensor) -> Tensor:
        """The vector that adds an offset when bound.

        Args:
            offset: any integer.
            like: a vector; the result is on its device.

        Returns:
            (D,).
        """
        return self.powers(torch.tensor([offset]))[0].to(like.device)

    def write(self, weights: Tensor, values: int, support: Tensor | None = None) -> Tensor:
        """PMFs as vectors.

        Args:
            weights: (..., V + 1); or (..., N), of the values in ``support``.
            values: V.
            support: long (..., N).

        Returns:
            (..., D).
        """
        if support is None:
            return self.book(values, weights.device).superpose(weights)
        return self.book(values, weights.device).superpose_some(support, weights)

    def atoms(self, values: int, rows: Tensor) -> Tensor:
        """The atoms of values that are known for certain: written without a superposition.

        Args:
            values: V.
            rows: long (...).

        Returns:
            (..., D), in the algebra's most compact form.
        """
        book = self.book(values, rows.device)
        return book[rows.flatten()].unflatten(0, rows.shape)

    def read(self, x: Tensor, values: int, support: Tensor | None = None) -> Tensor:
        """Vectors as PMFs; what is no value adds to none.

        Args:
            x: (..., D).
            values: V.
            support: long (..., N): read only these.

        Returns:
            (..., V + 1), or (..., N): at least 0; what is below the crosstalk of the codebook is 0.
        """
        book = self.book(values, x.device)
        if support is None:
            found = book.similarity(x)
        elif self.backend.exact:
            found = self.algebra.similarity(x.unsqueeze(-2), book[support.flatten()].unflatten(0, support.shape))
        else:
            found = book.similarity(x).gather(-1, support)
        if not found.is_floating_point():
            found = found.to(torch.get_default_dtype())
        return torch.where(found > self.floor(values, found), found, 0.0)

    def by_atoms(self, count: int, *, shared: bool = False) -> bool:
        """Whether superpositions of so many atoms are bound and compared atom by atom: it is exact, and cheaper.

        ``shared``: all are superpositions of the same atoms, which are bound and compared once.
        """
        pairs = count * (1 if shared else count)
        return self.backend.exact and pairs * self.compact <= self.algebra.embedding.width

    @property
    def period(self) -> int | None:
        """After how many values atoms repeat; None: they do not."""
        return self.algebra.power_period(self._base())

    @property
    def compact(self) -> int:
        """Numbers that an atom takes in its most compact form."""
        return self._base().shape[-1]

    def floor(self, values: int, found: Tensor) -> float:
        """What a read may show of an atom that is not there: measured, by reading atoms with each other.

        Args:
            values: V.
            found: what was read, for dtype and device.

        Returns:
            The least that counts.
        """
        place = (values, found.device)
        if place not in self._floors:
            book = self.book(values, found.device)
            sample = torch.linspace(0, values - 1, min(values, 64), device=found.device).long()
            weights = torch.nn.functional.one_hot(sample, values + 1).to(torch.get_default_dtype())
            off = book.similarity(book.superpose(weights)).masked_fill(weights.bool(), 0.0)[:, :values]
            self._floors[place] = _DEVIATIONS * float(off.square().mean().sqrt())
        return max(self._floors[place], _ROUNDING.get(found.dtype, 1e-6))

    def _base(self) -> Tensor:
        if self._atom is None:
            self._atom = self.algebra.power_base(generator=self._generator("values"))
        return self._atom

    def _generator(self, *names: str) -> torch.Generator:
        return torch.Generator().manual_seed(child_seed(self.seed, "alphabet", *names))
