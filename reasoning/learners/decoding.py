"""Decoding predicted product vectors: what a learner expects, bound into one vector and taken apart again.

A component's expected Type, Size and Color are three PMFs; as vectors they are three superpositions, and bound
together one product vector. It is decoded by comparing it with every product (``codebook``) or by a factorizer, and the
candidate that shows the decoded values wins. Both read the same vector: the table shows what factorizing costs.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

import factorizers
from reasoning.learners.base import Learner, Prediction
from reasoning.scene import AttributeKey, Scene
from reasoning.sparse import dense
from vsa import Algebra, Backend, Codebook, StoredMatrix
from vsa.errors import UnknownNameError, VSAError
from vsa.seeding import child_seed

__all__ = ["CODEBOOK", "DECODERS", "FACTORIZER", "Decoded", "check_decoder"]

CODEBOOK, FACTORIZER = "codebook", "factorizer"
DECODERS = (CODEBOOK, FACTORIZER)  # besides these, every registered factorizer by its name
_DEFAULT = "block_code"
_BOUND = ("Type", "Size", "Color")
_MOST = 200_000  # products that are compared one by one
_PIECE = 64  # puzzles at a time
_TIE = 1e-3  # weight of the learner's own agreement, which decides between candidates with the same values


def check_decoder(name: str) -> str:
    """The registered name of a decoder.

    Args:
        name: codebook, factorizer (block_code) or a factorizer.

    Returns:
        ``codebook`` or a factorizer's name.

    Raises:
        UnknownNameError: no such decoder.
    """
    if name == CODEBOOK:
        return name
    known = factorizers.FACTORIZERS.names()
    chosen = _DEFAULT if name == FACTORIZER else name
    if chosen not in known:
        raise UnknownNameError("setting decoder", name=name, known=(*DECODERS, *known), kind="decoder")
    return chosen


class Decoded(Learner):
    """A learner whose answer is the candidate that shows the values decoded from its predicted product vector.

    Args:
        learner: with :meth:`Learner.expected`.
        algebra: of the product vectors.
        decoder: ``codebook``, ``factorizer`` or a factorizer's name.
        backend: where the codebooks are stored. Default: digital.
        seed: of the codebooks.
    """

    def __init__(
        self, learner: Learner, algebra: Algebra, decoder: str, backend: Backend | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.learner, self.algebra, self.backend, self.seed = learner, algebra, backend, seed
        self.decoder = check_decoder(decoder)
        self.learns, self.teaches = learner.learns, learner.teaches
        self.mixed, self.entities = learner.mixed, learner.entities
        self._products: dict[tuple[int, ...], Codebook] = {}
        self._books: dict[tuple[int, int, torch.device], Codebook] = {}

    def describe(self) -> list[str]:
        return self.learner.describe()

    def rule_labels(self) -> list[str]:
        return self.learner.rule_labels()

    def expected(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        return self.learner.expected(scene)

    @torch.no_grad()
    def forward(self, scene: Scene) -> Prediction:
        prediction: Prediction = self.learner(scene)
        expected = self.learner.expected(scene)
        columns = {key: index for index, key in enumerate(prediction.keys)}
        agreement = prediction.agreement.to(torch.float32)
        scores = _TIE * agreement.sum(1)
        rest = set(columns)
        for component in sorted({key.component for key in scene.keys}):
            keys = [AttributeKey(component, name) for name in _BOUND if AttributeKey(component, name) in scene.pmfs]
            if not keys:
                continue
            decoded = self._decode([_with_rest(expected[key]) for key in keys])
            for value, key in zip(decoded.unbind(-1), keys, strict=True):
                shown = _with_rest(dense(scene.pmfs[key])[:, scene.context_panels :])  # (B, 8, V + 1)
                scores = scores + shown.gather(2, value[:, None, None].expand(-1, shown.shape[1], 1)).squeeze(-1)
            rest -= set(keys)
        for key in rest:
            scores = scores + agreement[:, columns[key]]
        return replace(prediction, scores=scores)

    def _decode(self, pmfs: list[Tensor]) -> Tensor:
        """F PMFs (B, V) -> long (B, F): the values that their product vector is decoded to."""
        books = [self._book(place, pmf.shape[-1], pmf) for place, pmf in enumerate(pmfs)]
        pieces = []
        for start in range(0, len(pmfs[0]), _PIECE):
            parts = [book.superpose(pmf[start : start + _PIECE]) for book, pmf in zip(books, pmfs, strict=True)]
            query = self.algebra.bind_all(torch.stack(parts, dim=-2))
            if self.decoder == CODEBOOK:
                best = self._all_products(books).similarity(query).argmax(-1)
                pieces.append(torch.stack(torch.unravel_index(best, tuple(len(book) for book in books)), dim=-1))
            else:
                factorizer = factorizers.get(self.decoder, books, seed=child_seed(self.seed, "decode", start))
                pieces.append(factorizer(query).indices)
        return torch.cat(pieces)

    def _book(self, place: int, values: int, like: Tensor) -> Codebook:
        """The atoms of one factor: its values, then one for entities that differ."""
        key = (place, values, like.device)
        if key not in self._books:
            seed = child_seed(self.seed, "decode", place, values)
            made = Codebook.random(self.algebra, values, seed=seed).to(like.device)
            self._books[key] = made if self.backend is None else made.on(self.backend, seed=seed)
        return self._books[key]

    def stored(self) -> dict[str, list[StoredMatrix]]:
        """The arrays read so far, by what they are read for."""
        books = [*self._books.values(), *self._products.values()]
        return {"PMFs to product vectors, and their decoding": [book.stored for book in books]}

    def _all_products(self, books: list[Codebook]) -> Codebook:
        sizes = tuple(len(book) for book in books)
        if math.prod(sizes) > _MOST:
            raise VSAError(
                "decode by codebook",
                received=f"{math.prod(sizes):.3g} products of {' x '.join(map(str, sizes))} values",
                expected=f"at most {_MOST}",
                hint="use decoder=factorizer, which does not list the products",
            )
        if sizes not in self._products:
            atoms = books[0].atoms
            for book in books[1:]:
                atoms = self.algebra.bind(atoms.unsqueeze(-2), book.atoms).flatten(0, 1)
            self._products[sizes] = Codebook(
                self.algebra,
                atoms,
                backend=self.backend,
                seed=child_seed(self.seed, "decode products", *sizes),
                unrelated=False,
            )
        return self._products[sizes]


def _with_rest(pmf: Tensor) -> Tensor:
    """(..., V) -> (..., V + 1): with the mass that is missing, which says that entities differ."""
    return torch.cat([pmf, (1 - pmf.sum(-1, keepdim=True)).clamp_min(0)], dim=-1)
