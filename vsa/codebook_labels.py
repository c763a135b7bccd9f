"""What a codebook's atoms are called, and whether two of them can be told apart."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import arithmetic
from .algebra import Algebra
from .errors import DtypeError, VSAError
from .validation import check_count

__all__ = ["Cleanup", "check_labels", "label_names", "warn_of_alike"]

log = logging.getLogger(__name__)
_ALIKE = 0.75  # cosine from which two atoms of a book are said to be alike
_MOST = 2**31  # atoms
_COMPARED = 2**26  # multiply-accumulates that a new book may spend on finding them
_SIGNS, _POSITIONS, _SUSPECT = 128, 16, 0.4  # of an atom that are compared first; the cosine from which all are


@dataclass(frozen=True)
class Cleanup:
    """The atoms nearest to some vectors.

    Args:
        indices: (...), int64, the row of the best atom; -1 where none is near enough.
        similarities: (...), its similarity.
        names: the codebook's labels.
    """

    indices: Tensor
    similarities: Tensor
    names: tuple[Hashable, ...]

    @property
    def labels(self) -> Any:
        """The label of each best atom: one label, or lists nested like the leading axes; None where no atom is near."""

        def look_up(index: Any) -> Any:
            if isinstance(index, list):
                return [look_up(i) for i in index]
            return self.names[index] if index >= 0 else None

        return look_up(self.indices.tolist())


def warn_of_alike(algebra: Algebra, atoms: Tensor, labels: Sequence[Hashable]) -> None:
    """Name the pair of atoms that is most alike, where two are; not for books so large that it would take long.

    Args:
        algebra: of the atoms.
        atoms: (..., N, D); stacks are not looked at.
        labels: N names.
    """
    count, width = atoms.shape[-2], algebra.embedding.width
    if atoms.ndim != 2 or count < 2 or count * count * width > _COMPARED or torch.compiler.is_compiling():
        return
    rows = _suspects(algebra, atoms)
    if rows is not None:
        if len(rows) < 2:
            return
        atoms, labels, count = atoms[rows], [labels[row] for row in rows.tolist()], len(rows)
    atoms, embedding = arithmetic.widened(atoms.detach()), algebra.embedding
    products = (algebra._similarity_to_set(atoms, atoms) - embedding.offset) / embedding.scale
    squares = products.diagonal()
    if arithmetic.within(squares, 1e-30, 1e30):
        norms = squares.sqrt()
        cosines = products / (norms * norms.unsqueeze(-1))
    else:
        directions = arithmetic.to_norm(algebra._embed(atoms), 1.0)
        cosines = directions @ directions.mT
    cosines = cosines.fill_diagonal_(-1.0)
    worst = int(cosines.argmax())
    value = float(cosines.flatten()[worst])
    if value > _ALIKE:
        log.warning(
            "Codebook: atoms %r and %r are alike (cosine %.2f) and will be taken for each other; "
            "say unrelated=False if that is meant",
            labels[worst // count],
            labels[worst % count],
            value,
        )


def _suspects(algebra: Algebra, atoms: Tensor) -> Tensor | None:
    """Rows (R,) of which a sample resembles that of another, equal atoms among them; None where all are to be compared.

    Bits, signs and positions are as good as one another, so that a few of them tell: equal atoms always, of those that
    are barely alike nearly all.
    """
    entries, length = atoms.shape[-1], algebra.block_length
    if atoms.is_floating_point() or atoms.is_complex() or entries * (length or 1) != algebra.embedding.width:
        return None
    few = atoms[:, :: max(1, entries // (_POSITIONS if length else _SIGNS))]
    products = algebra._similarity_to_set(few, few) - algebra.embedding.offset
    limit = _SUSPECT * products[0, 0].item()
    most = products.fill_diagonal_(0.0).amax(-1)
    return (most > limit).nonzero().squeeze(-1)


def label_names(operation: str, labels: Sequence[Hashable] | int) -> tuple[Hashable, ...]:
    """N names: those given, or numbers from 0."""
    if isinstance(labels, int):
        check_count(operation, "n", labels)
        if labels > _MOST:
            raise VSAError(operation, received=f"{labels} names", expected=f"at most {_MOST}")
        return tuple(range(labels))
    if isinstance(labels, Tensor) or not isinstance(labels, Iterable):
        raise DtypeError(operation, received=f"labels {labels!r}", expected="names, or how many")
    return tuple(labels)


def check_labels(labels: Sequence[Hashable] | None, count: int) -> tuple[Hashable, ...]:
    """The names of so many atoms; refuse what cannot be looked up, or names two of them."""
    if isinstance(labels, int):
        raise DtypeError("Codebook", received=f"labels {labels!r}", expected="names")
    names = tuple(range(count)) if labels is None else label_names("Codebook", labels)
    for name in names:
        try:
            hash(name)
        except TypeError:
            raise DtypeError("Codebook", received=f"label {name!r}", expected="labels that can be looked up") from None
    if len(names) != count or len(set(names)) != count:
        raise VSAError(
            "Codebook",
            received=f"{len(names)} labels, {len(set(names))} distinct, for {count} atoms",
            expected=f"{count} distinct labels",
        )
    return names
