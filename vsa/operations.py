"""What a vector-symbolic model provides: its declarations, and the mathematics behind each public operation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NoReturn

import torch
from torch import Tensor

from . import arithmetic, validation
from .errors import UnsupportedError
from .laws import Embedding, Form, Laws, Storage

__all__ = ["Operations"]


class Operations(ABC):
    """The part of an :class:`~vsa.algebra.Algebra` that a model writes.

    Arguments of the underscore methods are checked already. What is left out refuses the call with the reason given in
    ``laws.lacks``.
    """

    name: ClassVar[str]
    mixes_forms: ClassVar[bool] = False  # whether the arguments of one operation may be in different forms
    settles: ClassVar[bool] = False  # of a vote: whether integral weights have integral tallies; see :meth:`_settled`

    # ------------------------------------------------------------------ declarations

    @property
    @abstractmethod
    def forms(self) -> tuple[Form, ...]:
        """The forms a vector may take; the first is the canonical one, on which every operation is defined."""

    @property
    @abstractmethod
    def embedding(self) -> Embedding:
        """Width, scale and offset of :meth:`embed`."""

    @property
    @abstractmethod
    def laws(self) -> Laws:
        """The declared laws."""

    @property
    def compact_dtype(self) -> torch.dtype | None:
        """The dtype of the most compact form that holds random vectors exactly; None: the canonical form's default."""
        return None

    @property
    def block_length(self) -> int | None:
        """L, where vectors are K blocks of length L that bind by adding positions; None: no blocks.

        Random vectors embed to one-hot blocks. A vector of int64 is its positions, (..., K), modulo L; one of another
        dtype is its embedding, (..., K * L). Similarity is the inner product over K.
        """
        return None

    @property
    def phases(self) -> int | None:
        """How many phases :meth:`Algebra.from_phases` makes a vector of; None: vectors have no phases."""
        return None

    # ------------------------------------------------------------------ to be provided

    @abstractmethod
    def _random(self, batch: tuple[int, ...], generator: torch.Generator, form: Form, dtype: torch.dtype) -> Tensor: ...

    @abstractmethod
    def _bind(self, x: Tensor, y: Tensor) -> Tensor: ...

    @abstractmethod
    def _unbind(self, x: Tensor, y: Tensor) -> Tensor: ...

    @abstractmethod
    def _embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor: ...

    @abstractmethod
    def _unembed(self, e: Tensor) -> Tensor: ...

    def _identity(self, form: Form, dtype: torch.dtype, device: torch.device | str | None) -> Tensor:
        self._refuse("identity")

    def _inverse(self, x: Tensor) -> Tensor:
        self._refuse("inverse")

    def _negative(self, x: Tensor) -> Tensor:
        self._refuse("negative")

    def _permute(self, x: Tensor, shifts: int) -> Tensor:
        self._refuse("permute")

    def _reorder(self, x: Tensor, order: Tensor) -> Tensor:
        """What :meth:`_permute` moves, in an order (N,) of its own."""
        return x.index_select(-1, order)

    def _power(self, base: Tensor, exponents: Tensor) -> Tensor:
        self._refuse("power")

    def _normalize(self, x: Tensor) -> Tensor:
        self._refuse("normalize")

    def _quantize(self, x: Tensor) -> Tensor:
        self._refuse("quantize")

    def _soften(self, x: Tensor, temperature: float) -> Tensor:
        self._refuse("soft quantize")

    def _flatten(self, x: Tensor) -> Tensor:
        self._refuse("flatten")

    def _binding_matrix(self, x: Tensor) -> Tensor:
        self._refuse("binding_matrix")

    def _is_valid(self, x: Tensor, tolerance: float) -> Tensor:
        self._refuse("is_valid")

    def _power_period(self, base: Tensor) -> int | None:
        return None

    def _vote_similarity(self, items: int) -> tuple[float, float]:
        self._refuse("vote_similarity")

    def _bind_all(self, vectors: Tensor) -> Tensor:
        """(N, ..., D) -> (..., D)."""
        product = vectors[0]
        for vector in vectors[1:]:
            product = self._bind(product, vector)
        return product

    def _bundle(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        """(..., N, D), (..., N) -> (..., D). The weights of a vote are integers here, whose sums are exact."""
        if weights is None:
            return vectors.sum(-2)
        return (weights.to(vectors.dtype).unsqueeze(-2) @ vectors).squeeze(-2)

    def _settled_bundle(self, vectors: Tensor, weights: Tensor, margin: float) -> Tensor | None:
        """A vote whose sums all differ by more than a margin, so that the weights need not be integers."""
        return self._settled(self._tally(vectors, weights), margin) if self.settles else None

    def _settled(self, tally: Tensor, margin: float) -> Tensor | None:
        """The same of a tally (..., E); None: some do not, or nothing is known."""
        return None

    def _tally(self, vectors: Tensor, weights: Tensor | None) -> Tensor:
        """(..., N, D), (..., N) -> (..., E): the sum that a bundle is made of; of a vote that of the embeddings."""
        if self.laws.linear:
            return self._bundle(vectors, weights)
        if weights is None:
            return self._embed(vectors).sum(-2, dtype=torch.float64)
        return (weights.unsqueeze(-2) @ self._embed(vectors).to(weights.dtype)).squeeze(-2)

    def _from_tally(self, tally: Tensor, total: Tensor) -> Tensor:
        """A tally (..., E) and the sum of weights (...) -> the bundle (..., D). A vote that ``settles``: integral."""
        return tally if self.laws.linear else self._unembed(tally.to(torch.get_default_dtype()))

    def _similarity(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = self._embed_pair(x, y)
        if a.dtype in arithmetic.HALVES:
            return ((a.float() * b).sum(-1) * self.embedding.scale + self.embedding.offset).to(a.dtype)
        return (a * b).sum(-1) * self.embedding.scale + self.embedding.offset

    def _similarity_to_set(self, x: Tensor, atoms: Tensor) -> Tensor:
        a, b = self._embed_pair(x, atoms)
        if a.dtype in arithmetic.HALVES:
            return (a.float() @ b.float().mT * self.embedding.scale + self.embedding.offset).to(a.dtype)
        return a @ b.mT * self.embedding.scale + self.embedding.offset

    def _storage(self, atoms: Tensor) -> Storage:
        """As compact as what is declared allows: positions of blocks, int8 signs, else the embedding."""
        length = self.block_length
        if length is not None and atoms.dtype == torch.int64:
            return Storage(atoms.remainder(length), "onehot_blocks", length)
        if self.laws.signs and not (atoms.is_floating_point() or atoms.is_complex()):
            return Storage(self._embed(atoms).to(torch.int8), "bipolar")
        return Storage(self._embed(atoms), "dense", length)

    def _embed_pair(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Both embeddings, the one without a float dtype of its own in the dtype of the other."""
        a = self._embed(x, y.dtype if y.is_floating_point() else None)
        return a, a if y is x else self._embed(y, a.dtype)

    def _check(self, operation: str, *vectors: Tensor) -> None:
        """Refuse what is no vector of this algebra, and vectors that do not go together; not in compiled code."""
        if torch.compiler.is_compiling():
            return
        validation.check_vectors(self.name, operation, vectors, self.forms, self.mixes_forms)

    def _refuse(self, operation: str) -> NoReturn:
        raise UnsupportedError(
            f"{self.name} {operation}",
            received="a call",
            expected="an operation that this algebra has",
            hint=self.laws.reason(operation) or "choose another algebra",
        )
